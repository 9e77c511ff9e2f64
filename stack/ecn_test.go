package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// TestECNBitsOfTheIPHeader has the ECN bits of what is sent be TCP's, beside the application's DSCP, and those of what is received reach
// TCP.
func TestECNBitsOfTheIPHeader(t *testing.T) {
	w := newWire(t, stack.Config{TOS: 0x28 | 3, TCP: tcp.Config{ECN: tcp.ECNOn}}, sim.Config{})
	h := &watcher{}
	syn := w.dial(h)
	if syn.ip.TOS != 0x28 || !syn.seg.Has(tcp.FlagECE|tcp.FlagCWR) {
		t.Fatalf("SYN with TOS %#x: %v", syn.ip.TOS, syn.seg.Flags)
	}
	a := ack(syn, 1000)
	a.Flags, a.MSS = tcp.FlagSYN|tcp.FlagACK|tcp.FlagECE, 1460
	w.send(a)
	if p := w.next(); p.ip.TOS != 0x28 {
		t.Errorf("ACK with TOS %#x", p.ip.TOS)
	}
	var p packet
	for _, dscp := range []uint8{0x28, 0xb8, 0} {
		if dscp != 0x28 {
			h.conn.SetTOS(dscp | 3)
		}
		h.conn.Write([]byte("x"))
		w.run(time.Millisecond)
		if p = w.next(); p.ip.TOS != dscp|tcp.ECT0 {
			t.Errorf("data with TOS %#x, want %#x", p.ip.TOS, dscp|tcp.ECT0)
		}
		w.send(ack(p, 1001))
	}
	for _, c := range []struct {
		ecn  uint8
		echo tcp.Flags
	}{{tcp.ECT0, 0}, {tcp.CE, tcp.FlagECE}} {
		d := ack(p, 1001, make([]byte, 1000)...)
		if c.echo != 0 {
			d.Seq += 1000
		}
		d.ECN = c.ecn
		w.send(d)
		w.run(50 * time.Millisecond)
		if q := w.next(); q.ip.TOS != 0 || q.seg.Flags != tcp.FlagACK|c.echo {
			t.Errorf("the ACK of data with %d in its ECN field has TOS %#x and flags %v", c.ecn, q.ip.TOS, q.seg.Flags)
		}
	}
}
