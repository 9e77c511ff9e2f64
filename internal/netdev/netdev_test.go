package netdev

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/genetlink/genltest"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var family = genetlink.Family{Name: familyName, ID: 0x22, Version: familyVersion}

// answering gives a connection to a kernel that answers each command with recorded messages, or an errno. What was asked comes out.
func answering(t *testing.T, answers map[uint8][]string, errno unix.Errno) (*Conn, *genetlink.Message) {
	t.Helper()
	asked := new(genetlink.Message)
	c, err := newConn(genltest.Dial(genltest.ServeFamily(family, func(g genetlink.Message, _ netlink.Message) ([]genetlink.Message, error) {
		if g.Header.Command != 0 { // the fake calls again to see whether more is to come
			*asked = g
		}
		if errno != 0 {
			return nil, genltest.Error(int(errno))
		}
		var all []genetlink.Message
		for _, text := range answers[g.Header.Command] {
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, genetlink.Message{Header: g.Header, Data: b})
		}
		return all, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, asked
}

// TestDevice reads answers of real drivers, and shorter ones of older kernels.
func TestDevice(t *testing.T) {
	const (
		index = "0800010002000000"
		veth  = "0c0003002300000000000000"
		igb   = "0c0003000b00000000000000"
	)
	for _, c := range []struct {
		name, answer string
		want         Device
		text, json   string
	}{
		{"veth, 6.18", index + veth + "0c00050007000000000000000c0006000000000000000000",
			Device{2, XDPBasic | XDPRedirect | XDPReceiveMulti, Unknown, RxTimestamp | RxHash | RxVLANTag, 0},
			"xdp-features: basic redirect rx-sg; xdp-rx-metadata-features: timestamp hash vlan-tag; xsk-features: none",
			`{"ifindex":2,"xdp-features":["basic","redirect","rx-sg"],"xdp-zc-max-segs":-1,` +
				`"xdp-rx-metadata-features":["timestamp","hash","vlan-tag"],"xsk-features":[]}`},
		{"igb, 7.3", index + igb + "0c00050000000000000000000c00060000000000000000000800040001000000",
			Device{2, XDPBasic | XDPRedirect | XDPZeroCopy, 1, 0, 0},
			"xdp-features: basic redirect xsk-zerocopy; xdp-zc-max-segs: 1; xdp-rx-metadata-features: none; xsk-features: none",
			`{"ifindex":2,"xdp-features":["basic","redirect","xsk-zerocopy"],"xdp-zc-max-segs":1,` +
				`"xdp-rx-metadata-features":[],"xsk-features":[]}`},
		{"6.3", index + igb, Device{2, XDPBasic | XDPRedirect | XDPZeroCopy, Unknown, RxMetadataUnknown, XSKUnknown},
			"xdp-features: basic redirect xsk-zerocopy; xdp-rx-metadata-features: unknown; xsk-features: unknown",
			`{"ifindex":2,"xdp-features":["basic","redirect","xsk-zerocopy"],"xdp-zc-max-segs":-1,` +
				`"xdp-rx-metadata-features":null,"xsk-features":null}`},
		{"later features", index + "0c0003000001000000000000" + "0c0006000c00000000000000",
			Device{2, 1 << 8, Unknown, RxMetadataUnknown, TxLaunchTime | 1<<3},
			"xdp-features: bit8; xdp-rx-metadata-features: unknown; xsk-features: tx-launch-time-fifo bit3", ""},
		{"wrong lengths", "05000100ff000000" + "060003000b000000" + "0400050008000400ffffffff",
			Device{Unknown, XDPUnknown, Unknown, RxMetadataUnknown, XSKUnknown},
			"xdp-features: unknown; xdp-rx-metadata-features: unknown; xsk-features: unknown", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, asked := answering(t, map[uint8][]string{cmdDevGet: {c.answer}}, 0)
			got, err := k.Device(2)
			if err != nil || got != c.want || got.String() != c.text {
				t.Errorf("%+v (%v), %v;\nwant %+v (%s)", got, got, err, c.want, c.text)
			}
			if hex.EncodeToString(asked.Data) != index {
				t.Errorf("asked % x", asked.Data)
			}
			if b, err := json.Marshal(got); err != nil || c.json != "" && string(b) != c.json {
				t.Errorf("%s, %v;\nwant %s", b, err, c.json)
			}
		})
	}
}

// TestUnknownIsNotNo keeps what is not told apart from what is not there.
func TestUnknownIsNotNo(t *testing.T) {
	if XDPUnknown.Has(0) || XDPUnknown.Has(XDPBasic) || XDPUnknown.Known() || XSKUnknown.Has(TxChecksum) || RxMetadataUnknown.Has(RxHash) {
		t.Error("what is unknown is there")
	}
	if f := XDPFeatures(0); !f.Known() || !f.Has(0) || f.Has(XDPBasic) || f.String() != "none" {
		t.Errorf("no features are %v", f)
	}
	if !(TxTimestamp | TxChecksum).Has(TxChecksum) || TxChecksum.Has(TxTimestamp|TxChecksum) || !RxHash.Has(RxHash) {
		t.Error("all of what is wanted must be there")
	}
}

func TestQueues(t *testing.T) {
	rx := Queue{Ifindex: 2, ID: 1, Type: Receive, NAPI: 8194}
	tx := Queue{Ifindex: 2, ID: 1, Type: Transmit, XSK: true}
	k, asked := answering(t, map[uint8][]string{cmdQueueGet: {
		"0800010001000000080003000000000008000200020000000800040002200000", // igb
		"08000100010000000800030001000000080002000200000004000780",         // with a socket
	}}, 0)
	all, err := k.Queues(2)
	if err != nil || !slices.Equal(all, []Queue{rx, tx}) || hex.EncodeToString(asked.Data) != "0800020002000000" {
		t.Errorf("%+v, %v, asked %x", all, err, asked.Data)
	}
	if rx.String() != "rx queue 1: NAPI 8194" || tx.String() != "tx queue 1: no NAPI told, xsk" {
		t.Errorf("%v; %v", rx, tx)
	}
	if _, err := k.Queue(2, Transmit, 1); err == nil {
		t.Error("two answers to a question for one queue are no error")
	}
	if hex.EncodeToString(asked.Data) != "080002000200000008000300010000000800010001000000" {
		t.Errorf("asked %x", asked.Data)
	}
	b, err := json.Marshal(tx)
	if want := `{"ifindex":2,"id":1,"type":"tx","napi-id":0,"xsk":true}`; err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
}

func TestNAPI(t *testing.T) {
	const old = "080002000120000008000100020000000800030020000000" // 6.8
	for _, c := range []struct {
		name, answer string
		want         NAPI
		text         string
	}{
		{"igb, 7.3", "0800020001200000080001000200000008000300200000000800080000000000080005000500000008000700000000000800060000000000",
			NAPI{8193, 2, 32, Unknown, NAPISettings{5, 0, 0, ThreadedDisabled}},
			"NAPI 8193, irq 32, defer-hard-irqs 5, gro-flush-timeout 0s, irq-suspend-timeout 0s, threaded disabled"},
		{"6.8, with a thread", old + "0800040011000000", NAPI{8193, 2, 32, 17, Unchanged()}, "NAPI 8193, irq 32, pid 17, no settings"},
		{"6.13, with times of 64 bits", old + "08000500ffffff7f" + "0c00060000f2052a01000000" + "0800070040420f00",
			NAPI{8193, 2, 32, Unknown, NAPISettings{math.MaxInt32, 5 * time.Second, time.Millisecond, Unknown}},
			"NAPI 8193, irq 32, defer-hard-irqs 2147483647, gro-flush-timeout 5s, irq-suspend-timeout 1ms"},
		{"nonsense", "0c000600ffffffffffffffff" + "08000500ffffffff" + "0800080002000000",
			NAPI{0, Unknown, Unknown, Unknown, NAPISettings{Unknown, Unknown, Unknown, ThreadedBusyPoll}}, "NAPI 0, threaded busy-poll"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, asked := answering(t, map[uint8][]string{cmdNAPIGet: {c.answer}}, 0)
			got, err := k.NAPI(8193)
			if err != nil || got != c.want || got.String() != c.text || hex.EncodeToString(asked.Data) != "0800020001200000" {
				t.Errorf("%+v (%v), %v, asked %x; want %+v (%s)", got, got, err, asked.Data, c.want, c.text)
			}
			if all, err := k.NAPIs(2); err != nil || !slices.Equal(all, []NAPI{c.want}) {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
}

// TestSetNAPI sends what is to be changed and nothing else.
func TestSetNAPI(t *testing.T) {
	for _, c := range []struct {
		settings NAPISettings
		want     map[uint16]uint64
	}{
		{Unchanged(), map[uint16]uint64{napiID: 9}},
		{NAPISettings{2, 200 * time.Microsecond, Unknown, Unknown}, map[uint16]uint64{napiID: 9, napiDefer: 2, napiFlush: 200_000}},
		{NAPISettings{0, 0, 20 * time.Second, ThreadedEnabled},
			map[uint16]uint64{napiID: 9, napiDefer: 0, napiFlush: 0, napiSuspend: 20e9, napiThreaded: 1}},
	} {
		k, asked := answering(t, nil, 0)
		if err := k.SetNAPI(9, c.settings); err != nil || asked.Header.Command != cmdNAPISet {
			t.Fatalf("command %d, %v", asked.Header.Command, err)
		}
		d, err := netlink.NewAttributeDecoder(asked.Data)
		if err != nil {
			t.Fatal(err)
		}
		got := map[uint16]uint64{}
		for d.Next() {
			got[d.Type()], _ = value(d.Bytes()).number()
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: sent %v, want %v", c.settings, got, c.want)
		}
	}
}

// TestErrors has a kernel without the family, one without the command, and one that refuses.
func TestErrors(t *testing.T) {
	_, err := newConn(genltest.Dial(func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
		return nil, genltest.Error(int(unix.ENOENT))
	}))
	if !errors.Is(err, ErrUnknown) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the family: %v", err)
	}
	for _, c := range []struct {
		errno   unix.Errno
		unknown bool
	}{{unix.EOPNOTSUPP, true}, {unix.EINVAL, false}, {unix.ENODEV, false}, {unix.EPERM, false}} {
		k, _ := answering(t, nil, c.errno)
		_, err := k.Queue(2, Receive, 0)
		for _, err := range []error{err, k.SetNAPI(1, Unchanged())} {
			if errors.Is(err, ErrUnknown) != c.unknown || !errors.Is(err, c.errno) {
				t.Errorf("%v: %v; unknown should be %v", c.errno, err, c.unknown)
			}
		}
	}
	k, _ := answering(t, nil, 0)
	if d, err := k.Device(2); err == nil {
		t.Errorf("no answer is read as %v", d)
	}
	k, _ = answering(t, map[uint8][]string{cmdNAPIGet: {"ff000100"}}, 0)
	if n, err := k.NAPI(2); err == nil {
		t.Errorf("a broken answer is read as %v", n)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{QueueType(7).String(), "type 7"}, {Threaded(9).String(), "mode 9"}, {Threaded(Unknown).String(), "unknown"},
		{ThreadedEnabled.String(), "enabled"}, {XSKUnknown.String(), "unknown"},
		{(TxTimestamp | TxChecksum | TxLaunchTime).String(), "tx-timestamp tx-checksum tx-launch-time-fifo"},
		{XDPFeatures(0x7f).String(), "basic redirect ndo-xmit xsk-zerocopy hw-offload rx-sg ndo-xmit-sg"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
