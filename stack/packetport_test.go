package stack

import (
	"net/netip"
	"sync/atomic"
	"testing"
)

// askPackets counts what comes back.
type askPackets struct{ answers, unreachable atomic.Int32 }

func (h *askPackets) ReceivedPacket(*PacketSocket, netip.AddrPort, []byte) { h.answers.Add(1) }
func (h *askPackets) Unreachable(*PacketSocket, netip.AddrPort)            { h.unreachable.Add(1) }

type echoPackets struct{}

func (echoPackets) ReceivedPacket(s *PacketSocket, from netip.AddrPort, p []byte) {
	_ = s.WriteTo(p, from)
}

func TestPacketPort(t *testing.T) {
	a, b := newPair(t, Config{})
	if err := b.HandlePacket(":7", echoPackets{}); err != nil {
		t.Fatal(err)
	}
	h := &askPackets{}
	p, err := a.OpenPacket(":0", func(int) PacketHandler { return h })
	if err != nil {
		t.Fatal(err)
	}
	if l := p.LocalAddr(); l.Addr() != prefixA.Addr() || l.Port() == 0 {
		t.Errorf("the port is %v", l)
	}
	send := func(port uint16) {
		t.Helper()
		err := a.Shard(0).Do(func(*Shard) { err = p.Socket(0).WriteTo([]byte("x"), netip.AddrPortFrom(prefixB.Addr(), port)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the peer's hardware address", func() (known bool) {
		err := a.Shard(0).Do(func(s *Shard) { known, _ = s.Reachable(prefixB.Addr()) })
		return known && err == nil
	})
	send(7)
	eventually(t, "an answer", func() bool { return h.answers.Load() == 1 })
	send(9)
	eventually(t, "an ICMP error", func() bool { return h.unreachable.Load() == 1 })
	p.Close()
	if again, err := a.OpenPacket(p.LocalAddr().String(), func(int) PacketHandler { return h }); err != nil {
		t.Errorf("after Close the port is not free: %v", err)
	} else {
		again.Close()
	}
	if _, err := a.OpenPacket(":0", nil); err == nil {
		t.Error("no handler is accepted")
	}
}
