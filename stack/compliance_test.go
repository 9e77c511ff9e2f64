package stack_test

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// These tests show rules of RFC 9293 that are about TCP's place among the other layers; docs/rfc9293.md says which test shows which.

// TestChecksum has a segment with a wrong checksum be dropped (MUST-3), and the same segment with the right one be answered. The
// harness checks those that the stack sends (MUST-2).
func TestChecksum(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{})
	if _, err := w.Handle(":7", &watcher{}); err != nil {
		t.Fatal(err)
	}
	s := syn(7, 1000)
	s.spoil = true
	w.send(s)
	w.wantNothing()
	if n := w.stats().Drop.TCPChecksum; n != 1 {
		t.Errorf("%d segments dropped for their checksum, want 1", n)
	}
	s.spoil = false
	w.send(s)
	if p := w.next(); !p.seg.Has(tcp.FlagSYN | tcp.FlagACK) {
		t.Errorf("the answer is %v", p.seg.Flags)
	}
}

func (w *wire) stats() stack.ShardStats {
	w.t.Helper()
	r, err := w.Report()
	if err != nil {
		w.t.Fatal(err)
	}
	return r[0].Stats
}

// TestAnnouncedMSS has the MSS option follow from the MTU, in the SYN and in the SYN-ACK (MUST-14, MUST-67).
func TestAnnouncedMSS(t *testing.T) {
	for _, c := range []struct {
		mtu int
		cfg uint16
		mss uint16
	}{{1500, 0, 1460}, {1400, 0, 1360}, {1500, 1000, 1000}, {1000, 1460, 960}} {
		w := newWire(t, stack.Config{TCP: tcp.Config{MSS: c.cfg}}, sim.Config{MTU: c.mtu})
		if _, err := w.Handle(":7", &watcher{}); err != nil {
			t.Fatal(err)
		}
		if p := w.dial(&watcher{}); p.seg.MSS != c.mss {
			t.Errorf("MTU %d, configured %d: the SYN says %d, want %d", c.mtu, c.cfg, p.seg.MSS, c.mss)
		}
		w.send(syn(7, 1000))
		if p := w.next(); p.seg.MSS != c.mss {
			t.Errorf("MTU %d, configured %d: the SYN-ACK says %d, want %d", c.mtu, c.cfg, p.seg.MSS, c.mss)
		}
	}
}

// TestAddressesAndHeader has every segment of a connection come from the same address, with the configured TTL (MUST-49) and DSCP
// (MUST-48), which the application can change (SHLD-21, SHLD-22).
func TestAddressesAndHeader(t *testing.T) {
	w := newWire(t, stack.Config{TTL: 17, TOS: 0x28}, sim.Config{})
	h := &watcher{}
	w.open(h)
	for _, tos := range []uint8{0x28, 0xb8, 0} {
		if tos != 0x28 {
			h.conn.SetTOS(tos | 3)
		}
		h.conn.Write([]byte("x"))
		w.run(time.Millisecond)
		p := w.next()
		if p.ip.TTL != 17 || p.ip.TOS != tos || p.ip.Src != wireLocal || !p.ip.DF {
			t.Errorf("sent with %+v, want TTL 17, TOS %#x from %v", p.ip, tos, wireLocal)
		}
		w.send(ack(p, 1001))
	}
}

// TestIPOptions has a segment with IP options be taken as if it had none (MUST-50), but not one that is source-routed (MUST-51 to 53,
// deliberately not; RFC 7126).
func TestIPOptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []byte
		taken   bool
	}{
		{"unknown", []byte{158, 4, 1, 2}, true},
		{"record route", []byte{7, 7, 4, 0, 0, 0, 0, 0}, true},
		{"timestamp", []byte{68, 8, 5, 0, 0, 0, 0, 0}, true},
		{"router alert", []byte{148, 4, 0, 0}, true},
		{"loose source route", []byte{131, 7, 4, 10, 0, 0, 9, 0}, false},
		{"strict source route", []byte{137, 7, 4, 10, 0, 0, 9, 0}, false},
	} {
		w := newWire(t, stack.Config{}, sim.Config{})
		if _, err := w.Handle(":7", &watcher{}); err != nil {
			t.Fatal(err)
		}
		s := syn(7, 1000)
		s.options = c.options
		w.send(s)
		if taken := len(w.in) == 1; taken != c.taken {
			t.Errorf("%s: answered %v, want %v", c.name, taken, c.taken)
		}
	}
}

// TestInvalidAddresses has segments from and to addresses that are no single host's be dropped without an answer (MUST-57, MUST-63).
func TestInvalidAddresses(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{})
	if _, err := w.Handle(":7", &watcher{}); err != nil {
		t.Fatal(err)
	}
	for _, dst := range []ipv4.Addr{{255, 255, 255, 255}, {10, 0, 0, 255}, {10, 0, 0, 0}, {224, 0, 0, 1}} {
		s := syn(7, 1000)
		s.dst = dst
		w.send(s)
		s.toAll = true
		w.send(s)
		s.Flags, s.Ack = tcp.FlagACK, 5
		w.send(s)
	}
	for _, src := range []ipv4.Addr{{255, 255, 255, 255}, {10, 0, 0, 255}, {10, 0, 0, 0}, {224, 0, 0, 1}, {127, 0, 0, 1}, {0, 0, 0, 0}, wireLocal} {
		s := syn(7, 1000)
		s.src = src
		if src == (ipv4.Addr{}) {
			s.src = ipv4.Addr{0, 0, 0, 1}
		}
		w.send(s)
	}
	s := syn(7, 1000)
	s.toAll = true
	w.send(s)
	w.run(5 * time.Second)
	w.wantNothing()
	st := w.stats()
	if st.TCP.Listen.Syns != 0 || st.Drop.Source != 2 {
		t.Errorf("%d SYNs were taken, %d packets dropped for their source, want 0 and 2", st.TCP.Listen.Syns, st.Drop.Source)
	}
}

// TestConnectToInvalidAddress has an open to what is no single host's address fail (MUST-46).
func TestConnectToInvalidAddress(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{})
	for _, a := range []string{"10.0.0.255", "10.0.0.0", "255.255.255.255", "224.0.0.1", "0.0.0.0", "127.0.0.1"} {
		err := w.Connect(netip.AddrPortFrom(netip.MustParseAddr(a), 80), &watcher{})
		if !errors.Is(err, stack.ErrBroadcast) && !errors.Is(err, stack.ErrNoRoute) {
			t.Errorf("%s: error %v", a, err)
		}
	}
	w.run(time.Second)
	w.wantNothing()
}

// TestICMPMessages has an ICMP error reach its connection (MUST-54), source quench be discarded (MUST-55), and none of the soft errors
// end anything (MUST-56); the hard ones end an open (SHLD-26) but no established connection (RFC 5461, RFC 5927).
func TestICMPMessages(t *testing.T) {
	unreachable := func(code uint8) ipv4.ICMP { return ipv4.ICMP{Type: ipv4.ICMPUnreachable, Code: code} }
	for _, c := range []struct {
		name  string
		m     ipv4.ICMP
		hard  bool
		quiet bool // nothing is reported
		soft  error
	}{
		{"network", unreachable(0), false, false, syscall.ENETUNREACH},
		{"host", unreachable(1), false, false, syscall.EHOSTUNREACH},
		{"protocol", unreachable(2), true, false, syscall.ECONNREFUSED},
		{"port", unreachable(3), true, false, syscall.ECONNREFUSED},
		{"source route", unreachable(5), false, false, syscall.EHOSTUNREACH},
		{"prohibited", unreachable(13), false, false, syscall.EHOSTUNREACH},
		{"time exceeded in transit", ipv4.ICMP{Type: ipv4.ICMPTimeExceeded}, false, false, syscall.EHOSTUNREACH},
		{"time exceeded in reassembly", ipv4.ICMP{Type: ipv4.ICMPTimeExceeded, Code: 1}, false, false, syscall.EHOSTUNREACH},
		{"parameter problem", ipv4.ICMP{Type: ipv4.ICMPParameter}, false, false, syscall.EPROTO},
		{"source quench", ipv4.ICMP{Type: ipv4.ICMPSourceQuench}, false, true, nil},
		{"redirect", ipv4.ICMP{Type: ipv4.ICMPRedirect, Code: 1}, false, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, stack.Config{}, sim.Config{})
			h := &watcher{}
			w.icmp(c.m, w.dial(h))
			if h.closed != c.hard || (c.hard && !errors.Is(h.err, syscall.ECONNREFUSED)) {
				t.Errorf("while it opens: ended %v with %v, want %v", h.closed, h.err, c.hard)
			}
			w = newWire(t, stack.Config{}, sim.Config{})
			h = &watcher{}
			w.open(h)
			h.conn.Write([]byte("hello"))
			w.run(time.Millisecond)
			p := w.next()
			w.icmp(c.m, p)
			if h.closed {
				t.Fatalf("an established connection ended with %v", h.err)
			}
			if reported := len(h.reports) == 1 && h.reports[0] == stack.ReportUnreachable; reported == c.quiet || !errors.Is(h.conn.SoftErr(), c.soft) {
				t.Errorf("reports %v, error %v, want %v", h.reports, h.conn.SoftErr(), c.soft)
			}
			w.send(ack(p, 1001, 'o', 'k'))
			if string(h.got) != "ok" {
				t.Errorf("received %q afterwards", h.got)
			}
		})
	}
}

// TestUnansweredDoubtsTheNextHop has the next hop be verified when a segment was sent four times without an answer (MUST-20), and the
// application be told (SHLD-9), be it data or a SYN (MUST-22).
func TestUnansweredDoubtsTheNextHop(t *testing.T) {
	for _, opening := range []bool{true, false} {
		w := newWire(t, stack.Config{}, sim.Config{})
		h := &watcher{}
		var within time.Duration
		if opening {
			w.dial(h)
			within = 16 * time.Second // the fourth SYN goes out after 7 s, and the next one asks
		} else {
			w.open(h)
			h.conn.Write([]byte("hello"))
			within = 4 * time.Second
		}
		arps := w.arps
		w.run(within)
		if w.arps == arps {
			t.Errorf("opening %v: the next hop was not verified", opening)
		}
		if len(h.reports) == 0 || h.reports[0] != stack.ReportUnanswered {
			t.Errorf("opening %v: reports %v", opening, h.reports)
		}
	}
}

// TestUrgentData has a handler be told of urgent data, how much of it there is, and send some (MUST-30 to 33).
func TestUrgentData(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{})
	h := &watcher{}
	p := w.open(h)
	s := ack(p, 1001, []byte("hurry up")...)
	s.Flags |= tcp.FlagURG
	s.Urgent = 5
	w.send(s)
	if len(h.reports) != 1 || h.reports[0] != stack.ReportUrgent || len(h.urgent) != 1 || h.urgent[0] != 5 || string(h.got) != "hurry up" {
		t.Errorf("reports %v, urgent %v, received %q", h.reports, h.urgent, h.got)
	}
	h.conn.WriteUrgent([]byte("yes"))
	w.run(time.Millisecond)
	p = w.next()
	if p.seg.PayloadLen == 0 {
		p = w.next()
	}
	if !p.seg.Has(tcp.FlagURG) || p.seg.Urgent != 3 || !bytes.HasSuffix(p.raw, []byte("yes")) {
		t.Errorf("sent %+v", p.seg)
	}
}

// TestListenOnPortInUse has a port be listened on while a connection from the same port is being opened, without effect on that
// (MUST-41, MUST-42).
func TestListenOnPortInUse(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{})
	h := &watcher{}
	p := w.dial(h)
	listening := &watcher{}
	if _, err := w.Handle(netip.AddrPortFrom(wireStack.Addr(), p.seg.SrcPort).String(), listening); err != nil {
		t.Fatal(err)
	}
	w.send(syn(p.seg.SrcPort, 5000))
	q := w.next()
	if !q.seg.Has(tcp.FlagSYN|tcp.FlagACK) || q.seg.DstPort != 4000 {
		t.Fatalf("the answer to the listener's peer is %+v", q.seg)
	}
	w.send(ack(q, 5001))
	a := ack(p, 1000)
	a.Flags = tcp.FlagSYN | tcp.FlagACK
	w.send(a)
	if h.conn == nil || listening.conn == nil || h.conn == listening.conn {
		t.Errorf("dialed %p, accepted %p", h.conn, listening.conn)
	}
}
