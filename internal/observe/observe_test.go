package observe

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// step is a segment of one of two ends, relative to the initial sequence numbers.
type step struct {
	from      byte // 'a', who opens, or 'b'
	lost      bool // sent, and never received
	held      bool // received after the next one
	arp       bool // no segment, but a request for the other's hardware address
	after     time.Duration
	flags     tcp.Flags
	seq, ack  uint32
	data      string
	wnd       uint16
	sack      []tcp.SACKBlock
	ts, echo  uint32 // 0: no timestamps
	mss       uint16
	badSum    bool
	noOptions bool
	wscale    int8
}

const (
	fS = tcp.FlagSYN
	fA = tcp.FlagACK
	fF = tcp.FlagFIN
)

// watch shows an observer the steps and returns what it finds.
func watch(o *Observer, steps []step) string {
	iss := map[byte]tcp.Seq{'a': 1<<32 - 10, 'b': 1 << 31}
	peer := map[byte]byte{'a': 'b', 'b': 'a'}
	addr := map[byte]ipv4.Addr{'a': {10, 0, 0, 1}, 'b': {10, 0, 0, 2}}
	port := map[byte]uint16{'a': 1000, 'b': 80}
	now := clock.Time(time.Second)
	var held []byte
	for _, s := range steps {
		now = now.Add(s.after)
		if s.arp {
			o.Sent(now, arpRequest(addr[s.from]))
			continue
		}
		var out tcp.OutSegment
		out.Clear()
		out.Seq, out.Flags, out.Window = iss[s.from].Add(s.seq), s.flags, s.wnd
		if s.flags&fA != 0 {
			out.Ack = iss[peer[s.from]].Add(s.ack)
		}
		for _, b := range s.sack {
			base := iss[peer[s.from]]
			out.SACK[out.NumSACK] = tcp.SACKBlock{Start: base + b.Start, End: base + b.End}
			out.NumSACK++
		}
		out.HasTS, out.TSVal, out.TSEcr = s.ts != 0, s.ts, s.echo
		if s.flags&fS != 0 && !s.noOptions {
			out.MSS, out.SACKPermitted, out.WScale = 1460, true, s.wscale
			if s.mss != 0 {
				out.MSS = s.mss
			}
		}
		b := packet(&out, addr[s.from], addr[peer[s.from]], port[s.from], port[peer[s.from]], s.data)
		if s.badSum {
			b[len(b)-1] ^= 1
		}
		o.Sent(now, b)
		if s.held {
			held = b
			continue
		}
		if !s.lost {
			o.Received(now, b)
		}
		if held != nil {
			o.Received(now, held)
			held = nil
		}
	}
	o.Check(now)
	if err := o.Err(); err != nil {
		return err.Error()
	}
	return ""
}

func packet(out *tcp.OutSegment, src, dst ipv4.Addr, srcPort, dstPort uint16, data string) []byte {
	n := out.HeaderLen()
	b := make([]byte, ethernetHeader+ipv4.MinHeaderLen+n, 2048)
	b[12], b[13] = 8, 0
	h := ipv4.Header{TTL: 64, Proto: ipv4.ProtoTCP, Src: src, Dst: dst, TotalLen: uint16(ipv4.MinHeaderLen + n + len(data))}
	h.Marshal(b[ethernetHeader:])
	seg := b[ethernetHeader+ipv4.MinHeaderLen:]
	out.Marshal(seg, srcPort, dstPort)
	b = append(b, data...)
	seg = b[ethernetHeader+ipv4.MinHeaderLen:]
	sum := checksum.Finish(checksum.Sum(seg, ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoTCP, len(seg))))
	binary.BigEndian.PutUint16(seg[16:], sum)
	return b
}

func arpRequest(from ipv4.Addr) []byte {
	b := make([]byte, 60)
	b[12], b[13], b[ethernetHeader+7] = 8, 6, 1
	copy(b[ethernetHeader+14:], from[:])
	return b
}

// opening is a handshake with windows of 1000 bytes.
func opening(more ...step) []step {
	return append([]step{
		{from: 'a', flags: fS, wnd: 1000},
		{from: 'b', flags: fS | fA, ack: 1, wnd: 1000},
		{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000},
	}, more...)
}

func text(n int) string { return strings.Repeat("x", n) }

// TestNothingToBlame shows what is in order.
func TestNothingToBlame(t *testing.T) {
	for name, steps := range map[string][]step{
		"exchange": opening(
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "question"},
			step{from: 'b', flags: fA, seq: 1, ack: 9, wnd: 992, data: "answer"},
			step{from: 'a', flags: fA | fF, seq: 9, ack: 7, wnd: 1000},
			step{from: 'b', flags: fA | fF, seq: 7, ack: 10, wnd: 991},
			step{from: 'a', flags: fA, seq: 10, ack: 8, wnd: 1000}),
		"again": opening(
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "0123456789", lost: true},
			step{from: 'a', flags: fA, seq: 6, ack: 1, wnd: 1000, data: "56789abcde"},
			step{from: 'b', flags: fA, seq: 1, ack: 1, wnd: 1000, sack: []tcp.SACKBlock{{Start: 6, End: 16}}},
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "01234"},
			step{from: 'b', flags: fA, seq: 1, ack: 16, wnd: 985}),
		"probe": opening(
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: text(1000)},
			step{from: 'b', flags: fA, seq: 1, ack: 1001, wnd: 0},
			step{from: 'a', flags: fA, seq: 1001, ack: 1, wnd: 1000, data: "x"},
			step{from: 'b', flags: fA, seq: 1, ack: 1001, wnd: 0}),
		"D-SACK": opening(
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "0123456789"},
			step{from: 'b', flags: fA, seq: 1, ack: 11, wnd: 990},
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "0123456789"},
			step{from: 'b', flags: fA, seq: 1, ack: 11, wnd: 990, sack: []tcp.SACKBlock{{Start: 1, End: 11}}}),
		"reset": opening(
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "question"},
			step{from: 'b', flags: tcp.FlagRST, seq: 1},
			step{from: 'a', flags: tcp.FlagRST, seq: 1, after: time.Minute}),
		"new connection": append(opening(step{from: 'a', flags: tcp.FlagRST, seq: 1}), step{from: 'a', flags: fS, seq: 5000, wnd: 10},
			step{from: 'b', flags: fS | fA, seq: 7000, ack: 5001, wnd: 10}),
		"overtaken": {
			{from: 'a', flags: fS, wnd: 1000, ts: 100},
			{from: 'b', flags: fS | fA, ack: 1, wnd: 1000, ts: 500, echo: 100},
			{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, ts: 101, echo: 500, data: "ab", lost: true},
			{from: 'a', flags: fA, seq: 3, ack: 1, wnd: 1000, ts: 101, echo: 500, data: "cd", held: true},
			{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, ts: 102, echo: 500, data: "ab"},
			{from: 'b', flags: fA, seq: 1, ack: 3, wnd: 998, ts: 501, echo: 102},
			{from: 'b', flags: fA, seq: 1, ack: 3, wnd: 998, ts: 1101, echo: 102, after: 600 * time.Millisecond},
		},
		"waits for ARP": opening(
			step{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 1000, data: "x"},
			step{from: 'b', arp: true},
			step{from: 'b', arp: true, after: time.Second},
			step{from: 'b', flags: fA, seq: 1, ack: 2, wnd: 999}),
		"scaled": {
			{from: 'a', flags: fS, wnd: 10, wscale: 7},
			{from: 'b', flags: fS | fA, ack: 1, wnd: 10, wscale: 7},
			{from: 'a', flags: fA, seq: 1, ack: 1, wnd: 10},
			{from: 'b', flags: fA, seq: 1, ack: 1, wnd: 10, data: text(1280)},
			{from: 'a', flags: fA, seq: 1, ack: 1281, wnd: 0},
		},
	} {
		if got := watch(&Observer{}, steps); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestViolations shows each of the rules broken.
func TestViolations(t *testing.T) {
	data := func(seq uint32, s string) step {
		return step{from: 'a', flags: fA, seq: seq, ack: 1, wnd: 1000, data: s}
	}
	ack := func(n uint32, wnd uint16) step { return step{from: 'b', flags: fA, seq: 1, ack: n, wnd: wnd} }
	late := func(s step, d time.Duration) step { s.after = d; return s }
	lost := func(s step) step { s.lost = true; return s }
	stamped := func(s step, ts, echo uint32) step { s.ts, s.echo = ts, echo; return s }
	stamps := func(more ...step) []step {
		return append([]step{
			{from: 'a', flags: fS, wnd: 1000, ts: 100},
			{from: 'b', flags: fS | fA, ack: 1, wnd: 1000, ts: 500, echo: 100},
		}, more...)
	}
	for want, steps := range map[string][]step{
		"wrong checksum":                    opening(step{from: 'a', flags: fA, seq: 1, ack: 1, data: "x", badSum: true}),
		"without ACK":                       opening(step{from: 'a', seq: 1, data: "x"}),
		"the peer's MSS is 536":             {{from: 'a', flags: fS, wnd: 9000, mss: 536}, {from: 'b', flags: fS | fA, ack: 1, wnd: 9000}, {from: 'b', flags: fA, seq: 1, ack: 1, data: text(537), wnd: 9000}},
		"begins at 5, what was sent before": opening(data(5, "x")),
		"other bytes from 1 to 4":           opening(lost(data(1, "abc")), data(1, "abd")),
		"sends to 1002, the peer's window":  opening(data(1, text(1001))),
		"sends to 1003, the peer's window":  opening(data(1, text(1000)), ack(1001, 0), data(1001, "xx")),
		"before the first acknowledgement":  {{from: 'a', flags: fS, wnd: 9000}, {from: 'b', flags: fS | fA, ack: 1, wnd: 9000, mss: 88}, lost(data(1, text(80))), data(81, text(801))},
		"acknowledges 2, only 1 arrived":    opening(lost(data(1, "x")), ack(2, 999)),
		"acknowledges 1 after 2":            opening(data(1, "x"), ack(2, 999), ack(1, 1000)),
		"right edge back from 1001 to 1000": opening(ack(1, 999)),
		"what did not arrive, 3 to 5":       opening(lost(data(1, "ab")), data(3, "c"), step{from: 'b', flags: fA, seq: 1, ack: 1, wnd: 1000, sack: []tcp.SACKBlock{{Start: 3, End: 5}}}),
		"an empty SACK block":               opening(step{from: 'b', flags: fA, seq: 1, ack: 1, wnd: 1000, sack: []tcp.SACKBlock{{Start: 3, End: 3}}}),
		"below its acknowledgement of 4":    opening(data(1, "abc"), step{from: 'b', flags: fA, seq: 1, ack: 4, wnd: 997, sack: []tcp.SACKBlock{{Start: 1, End: 4}, {Start: 1, End: 4}}}),
		"not both ends permitted":           {{from: 'a', flags: fS, wnd: 9000, noOptions: true}, {from: 'b', flags: fS | fA, ack: 1, wnd: 9000}, {from: 'b', flags: fA, seq: 1, ack: 1, wnd: 9000, sack: []tcp.SACKBlock{{Start: 1, End: 2}}}},
		"both ends announced them: true":    stamps(data(1, "x")),
		"both ends announced them: false":   opening(stamped(data(1, "x"), 5, 5)),
		"sends timestamp 99 after 100":      stamps(stamped(data(1, "x"), 99, 500)),
		"echoes timestamp 501, the highest": stamps(stamped(data(1, "x"), 101, 501)),
		"after the FIN at 1":                opening(step{from: 'a', flags: fA | fF, seq: 1, ack: 1, wnd: 1000}, data(2, "x")),
		"sends a FIN at 1":                  opening(data(1, "x"), step{from: 'a', flags: fA | fF, seq: 1, ack: 1, wnd: 1000}),
		"has not acknowledged what arrived": opening(step{from: 'a', arp: true}, data(1, "x"), late(ack(2, 999), 501*time.Millisecond)),
		"that was due at once at 1s":        append([]step{{from: 'a', flags: fS, wnd: 9000}, {from: 'b', flags: fS | fA, ack: 1, wnd: 9000}}, data(1, text(600)), data(601, text(200)), data(801, text(400)), late(data(1201, "x"), 3*time.Millisecond)),
		"that was due at once at 1.001s":    opening(lost(data(1, "x")), late(data(2, "x"), time.Millisecond), late(ack(1, 1000), 3*time.Millisecond)),
		"that was due at once at 1.002s":    opening(data(1, "x"), ack(2, 999), late(data(1, "x"), 2*time.Millisecond), late(ack(2, 999), 3*time.Millisecond)),
		"and no SYN arrived":                {lost(step{from: 'a', flags: fS, wnd: 9000}), {from: 'b', flags: fS | fA, ack: 1, wnd: 9000}},
	} {
		if got := watch(&Observer{}, steps); !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}
