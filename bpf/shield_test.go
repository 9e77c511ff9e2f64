package bpf_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// shieldLab is a program that defends a listener, and the listener.
type shieldLab struct {
	t        testing.TB
	program  *bpf.Program
	shield   *bpf.Shield
	core     *tcp.Core
	listener *tcp.Listener
	offset   int64 // from CLOCK_MONOTONIC to the stack's time
	marks    *tcp.FlowMarks
}

var (
	shieldMAC    = [6]byte{2, 0, 0, 0, 0, 2}
	shieldPeer   = [6]byte{2, 0, 0, 0, 0, 1}
	shieldSecret = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252, 253, 254, 255, 77}
	shieldFlow   = tcp.Flow{LocalAddr: [4]byte{10, 77, 0, 2}, RemoteAddr: [4]byte{10, 77, 0, 1}, LocalPort: 80, RemotePort: 40000}
)

const shieldTOS = 0x48

func newShieldLab(t testing.TB, load bpf.Config, cfg tcp.Config) *shieldLab {
	t.Helper()
	load.ShieldFlows = cmp.Or(load.ShieldFlows, 1000)
	p, err := bpf.Load(load)
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs root, or CAP_BPF and CAP_NET_ADMIN: %v", err)
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	address := netip.AddrFrom4(shieldFlow.LocalAddr)
	if load.Mode == bpf.SharedAddress {
		err = errors.Join(p.AddPort(unix.IPPROTO_TCP, address, 80), p.AddPort(unix.IPPROTO_TCP, address, 81))
	} else {
		err = p.AddAddress(address)
	}
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_RX_RING, 8), p.SetSocket(0, fd)); err != nil {
		t.Fatal(err)
	}
	s := &shieldLab{t: t, program: p, shield: p.Shield(), offset: int64(1000 * time.Hour)}
	s.marks = tcp.NewFlowMarks(s.shield.Marks())
	pool, err := frame.NewPool(make([]byte, 64*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	if s.core, err = tcp.NewCore(pool, 256, 1460, 1<<20, shieldSecret, cfg); err != nil {
		t.Fatal(err)
	}
	if s.listener, err = tcp.NewListener(s.core, tcp.ListenerConfig{Cookies: tcp.CookiesAlways, Backlog: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	s.setup()
	s.shield.SetMode(bpf.ShieldAlways)
	o, _ := s.listener.Offer()
	if err := s.shield.Listen(netip.Addr{}, 80, bpf.ShieldOffer(o)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shieldLab) setup() {
	s.shield.Setup(bpf.ShieldSetup{
		Secret: shieldSecret, Clock: s.offset, MAC: shieldMAC, Network: netip.MustParsePrefix("10.77.0.2/24"), TTL: 61, TOS: shieldTOS,
	})
}

func (s *shieldLab) now() clock.Time {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return clock.Time(ts.Nano() + s.offset)
}

// packet is a segment of the flow's peer in all its headers.
type packet struct {
	flow    tcp.Flow
	flags   tcp.Flags
	seq     tcp.Seq
	ack     tcp.Seq
	options []byte // a multiple of 4
	payload []byte
	tags    int
	padding int
	ip      func(*ipv4.Header)
}

func (p packet) bytes() []byte {
	seg := make([]byte, 20, 20+len(p.options)+len(p.payload))
	binary.BigEndian.PutUint16(seg[0:], p.flow.RemotePort)
	binary.BigEndian.PutUint16(seg[2:], p.flow.LocalPort)
	binary.BigEndian.PutUint32(seg[4:], uint32(p.seq))
	binary.BigEndian.PutUint32(seg[8:], uint32(p.ack))
	seg[12], seg[13] = byte(20+len(p.options))/4<<4, byte(p.flags)
	binary.BigEndian.PutUint16(seg[14:], 64240)
	seg = append(append(seg, p.options...), p.payload...)
	return link(shieldMAC, shieldPeer, p.tags, p.padding, withSum(p.flow.RemoteAddr, p.flow.LocalAddr, seg), p.flow.RemoteAddr, p.flow.LocalAddr,
		func(h *ipv4.Header) {
			h.TTL = 64
			if p.ip != nil {
				p.ip(h)
			}
		})
}

// withSum puts the checksum into a segment.
func withSum(src, dst [4]byte, seg []byte) []byte {
	sum := ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoTCP, len(seg))
	for i := 0; i < len(seg); i += 2 {
		sum += uint32(seg[i]) << 8
		if i+1 < len(seg) {
			sum += uint32(seg[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(seg[16:], ^uint16(sum))
	return seg
}

// link puts IPv4 and Ethernet headers before a segment.
func link(dst, src [6]byte, tags, padding int, seg []byte, from, to [4]byte, change func(*ipv4.Header)) []byte {
	h := ipv4.Header{Proto: ipv4.ProtoTCP, DF: true, Src: from, Dst: to, TotalLen: uint16(20 + len(seg))}
	change(&h)
	b := append(append([]byte{}, dst[:]...), src[:]...)
	for i := range tags {
		b = append(b, 0x81, 0, 0, byte(100+i))
	}
	b = append(b, 8, 0)
	ip := make([]byte, 20)
	h.Marshal(ip)
	return append(append(append(b, ip...), seg...), make([]byte, padding)...)
}

// answer returns the frame with which the stack answers another, or nil.
func (s *shieldLab) answer(p packet, now clock.Time) []byte {
	b := p.bytes()
	var seg tcp.Segment
	end := len(b) - p.padding
	if err := tcp.Parse(b[14+4*p.tags+20:end], &seg); err != nil {
		s.t.Fatal(err)
	}
	var out tcp.OutSegment
	if s.listener.Input(p.flow, &seg, now, &out) != tcp.VerdictReply {
		return nil
	}
	t := make([]byte, out.HeaderLen())
	out.Marshal(t, p.flow.LocalPort, p.flow.RemotePort)
	t = withSum(p.flow.LocalAddr, p.flow.RemoteAddr, t)
	return link(shieldPeer, shieldMAC, p.tags, 0, t, p.flow.LocalAddr, p.flow.RemoteAddr, func(h *ipv4.Header) {
		h.TTL, h.TOS = 61, shieldTOS|out.ECN
	})
}

// run runs the program and returns what it did, the frame, and what was counted.
func (s *shieldLab) run(frame []byte) (bpf.Action, []byte, string) {
	s.t.Helper()
	before, err := s.program.Counters()
	if err != nil {
		s.t.Fatal(err)
	}
	action, out, err := s.program.Test(frame, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	after, err := s.program.Counters()
	if err != nil {
		s.t.Fatal(err)
	}
	for name, c := range map[string][2]uint64{
		"TCP": {before.Redirected.TCP, after.Redirected.TCP}, "cookie": {before.Redirected.Cookie, after.Redirected.Cookie},
		"bad SYN": {before.Dropped.BadSYN, after.Dropped.BadSYN}, "bad cookie": {before.Dropped.BadCookie, after.Dropped.BadCookie},
		"no flow": {before.Dropped.NoFlow, after.Dropped.NoFlow}, "SYN cookie": {before.Answered.SYNCookie, after.Answered.SYNCookie},
	} {
		if c[1] == c[0]+1 {
			return action, out, name
		}
	}
	return action, out, "something else"
}

// sameAnswer has the program and the listener answer the same SYN at the same time, and compares their frames.
func (s *shieldLab) sameAnswer(name string, p packet) (answer []byte) {
	s.t.Helper()
	for range 100 {
		before := s.answer(p, s.now())
		action, got, err := s.program.Test(p.bytes(), 0)
		if err != nil {
			s.t.Fatal(err)
		}
		after := s.answer(p, s.now())
		if !bytes.Equal(before, after) {
			continue // a tick of the clock lay between them
		}
		if action != bpf.ActionTX || !bytes.Equal(got, before) {
			s.t.Fatalf("%s:\nSYN    %x\ngot    %x, %v\nwanted %x", name, p.bytes(), got, action, before)
		}
		return got
	}
	s.t.Fatal("the clock ticks all the time")
	return nil
}

// returning is the ACK that answers a SYN-ACK.
func returning(p packet, synAck []byte) packet {
	t := synAck[14+4*p.tags+20:]
	p.flags, p.seq, p.ack = tcp.FlagACK, p.seq.Add(1), tcp.Seq(binary.BigEndian.Uint32(t[4:])).Add(1)
	p.options, p.payload, p.padding = nil, nil, 0
	var seg tcp.Segment
	if err := tcp.Parse(t, &seg); err == nil && seg.HasTS {
		p.options = binary.BigEndian.AppendUint32([]byte{1, 1, 8, 10}, 5001)
		p.options = binary.BigEndian.AppendUint32(p.options, seg.TSVal)
	}
	return p
}

func pad(options []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 1)
	}
	return options
}

// Options of SYNs, to be combined.
var (
	mssOptions    = [][]byte{nil, {2, 4, 5, 180}, {2, 4, 0, 0}, {2, 4, 0, 50}, {2, 4, 2, 24}, {2, 4, 35, 0}, {2, 4, 5, 70}}
	wscaleOptions = [][]byte{nil, {3, 3, 0}, {3, 3, 7}, {3, 3, 14}, {3, 3, 15}, {3, 3, 255}}
	sackOptions   = [][]byte{nil, {4, 2}}
	tsOptions     = [][]byte{nil, {8, 10, 0, 0, 19, 136, 0, 0, 0, 0}, {8, 10, 255, 255, 255, 255, 1, 2, 3, 4}}
	oddOptions    = [][]byte{
		{0, 2, 4, 5, 180}, {2, 3, 5, 1}, {3, 4, 7, 1}, {4, 3, 1}, {8, 9, 1, 2, 3, 4, 5, 6, 7}, {5, 2}, {5, 10, 1, 2, 3, 4, 5, 6, 7, 8}, {5, 11},
		{254, 12, 249, 137, 1, 2, 3, 4, 5, 6, 7, 8}, {34, 2}, {77, 0}, {77, 1}, {77, 40}, {77}, {2}, {3, 3}, {1, 1, 1, 1, 1},
	}
)

// shieldConfigs are connections that agree to different things.
var shieldConfigs = map[string]tcp.Config{
	"default": {}, "no timestamps": {NoTimestamps: true}, "no SACK": {NoSACK: true}, "no window scale": {NoWindowScale: true},
	"no ECN": {ECN: tcp.ECNOff}, "DCTCP": {Congestion: "dctcp"}, "small buffer": {RecvBuffer: 20000},
}

// TestShieldAnswersAsTheStack compares the SYN-ACKs of the program, byte for byte, with those of a listener that always sends cookies, and
// has the listener and the program take back what they get for them.
func TestShieldAnswersAsTheStack(t *testing.T) {
	for name, cfg := range shieldConfigs {
		t.Run(name, func(t *testing.T) {
			s := newShieldLab(t, bpf.Config{}, cfg)
			random := rand.New(rand.NewPCG(1, 2))
			some := mssOptions
			if name != "default" {
				some = some[:2]
			}
			for _, mss := range some {
				for _, wscale := range wscaleOptions {
					for _, sack := range sackOptions {
						for _, ts := range tsOptions {
							for _, flags := range []tcp.Flags{tcp.FlagSYN, tcp.FlagSYN | tcp.FlagECE | tcp.FlagCWR, tcp.FlagSYN | tcp.FlagECE} {
								parts := [][]byte{mss, sack, ts, {1}, wscale}
								random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
								s.exchange(packet{flags: flags, options: pad(bytes.Join(parts, nil))}, random)
							}
						}
					}
				}
			}
		})
	}
}

// exchange has a SYN answered and the answer acknowledged, at some time.
func (s *shieldLab) exchange(p packet, random *rand.Rand) {
	s.t.Helper()
	s.offset = int64(random.Uint32())<<20 | 1<<50
	s.setup()
	p.flow = shieldFlow
	p.flow.RemotePort, p.seq = uint16(1+random.IntN(65535)), tcp.Seq(random.Uint32())
	synAck := s.sameAnswer(fmt.Sprintf("options % x, flags %v", p.options, p.flags), p)
	back := returning(p, synAck)
	if action, _, err := s.program.Test(back.bytes(), 0); err != nil || action != bpf.ActionRedirect {
		s.t.Fatalf("the ACK of %x: %v, %v", synAck, action, err)
	}
	var seg tcp.Segment
	var out tcp.OutSegment
	if err := tcp.Parse(back.bytes()[14+20:], &seg); err != nil {
		s.t.Fatal(err)
	}
	if v := s.listener.Input(back.flow, &seg, s.now(), &out); v != tcp.VerdictAccept {
		s.t.Fatalf("the listener's verdict on the ACK of %x is %d", synAck, v)
	}
}

// TestShieldOptions has options in odd forms and places be read as the stack reads them.
func TestShieldOptions(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	random := rand.New(rand.NewPCG(3, 4))
	usual := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 19, 136, 0, 0, 0, 0, 1, 3, 3, 7}
	for _, odd := range oddOptions {
		for _, options := range [][]byte{odd, append(bytes.Clone(usual), odd...), append(bytes.Clone(odd), usual...)} {
			s.exchange(packet{flags: tcp.FlagSYN, options: pad(options)}, random)
		}
	}
	for range 2000 {
		options := make([]byte, 4*random.IntN(11))
		for i := range options {
			options[i] = byte(random.IntN(12))
		}
		if random.IntN(2) == 0 {
			copy(options, usual[:min(len(options), random.IntN(len(usual)))])
		}
		s.exchange(packet{flags: tcp.FlagSYN, options: options}, random)
	}
}

// TestShieldFrames has SYNs come in frames of all kinds.
func TestShieldFrames(t *testing.T) {
	usual := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 19, 136, 0, 0, 0, 0, 1, 3, 3, 7}
	for _, c := range []struct {
		name string
		load bpf.Config
		p    packet
	}{
		{"plain", bpf.Config{}, packet{}},
		{"shared address", bpf.Config{Mode: bpf.SharedAddress}, packet{}},
		{"several buffers", bpf.Config{Fragments: true}, packet{}},
		{"prefixes", bpf.Config{MaxPrefixes: 1}, packet{}},
		{"a tag", bpf.Config{VLAN: 100}, packet{tags: 1}},
		{"padding", bpf.Config{}, packet{padding: 6}},
		{"much padding", bpf.Config{Fragments: true}, packet{padding: 1000}},
		{"data", bpf.Config{}, packet{payload: []byte("GET / HTTP/1.0\r\n\r\n")}},
		{"much data, odd", bpf.Config{}, packet{payload: bytes.Repeat([]byte("abc"), 475)}},
		{"other flags", bpf.Config{}, packet{flags: tcp.FlagPSH | tcp.FlagURG}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShieldLab(t, c.load, tcp.Config{})
			c.p.flow, c.p.flags = shieldFlow, c.p.flags|tcp.FlagSYN
			for _, options := range [][]byte{nil, usual} {
				c.p.options = options
				s.sameAnswer(c.name, c.p)
			}
		})
	}
}
