package peer

import (
	"testing"
)

// pair returns two peers that talk to each other, the connection open: one plays the stack.
func pair(t *testing.T) (p, stack *Peer) {
	t.Helper()
	cfg := DefaultConfig(9)
	p = New(cfg)
	stack = New(Config{
		MAC: cfg.StackMAC, StackMAC: cfg.MAC, Addr: cfg.StackAddr, StackAddr: cfg.Addr,
		Port: cfg.StackPort, StackPort: cfg.Port, Window: 1 << 20,
	})
	b := make([]byte, FrameSize)
	n := p.SYN(b)
	if err := Verify(b[:n]); err != nil {
		t.Fatal("SYN:", err)
	}
	stack.Take(b[:n], n)
	n = stack.SYNACK(b)
	if err := Verify(b[:n]); err != nil {
		t.Fatal("SYN-ACK:", err)
	}
	p.Take(b[:n], n)
	if !p.Established {
		t.Fatal("not established after the SYN-ACK")
	}
	p.Ack(b)
	stack.Take(b[:HeaderSize], HeaderSize)
	if p.Err != nil || stack.Err != nil {
		t.Fatal(p.Err, stack.Err)
	}
	return p, stack
}

func TestDataAndAcks(t *testing.T) {
	p, stack := pair(t)
	b := make([]byte, FrameSize)
	for i := range 7 {
		n := p.Data(b)
		if err := Verify(b[:n]); err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		stack.Take(b[:HeaderSize], n)
	}
	if stack.Received != 7*Payload || stack.Due() != 3 || stack.Unacked() != 7*Payload {
		t.Fatalf("received %d bytes, %d acknowledgements due, %d bytes unacknowledged", stack.Received, stack.Due(), stack.Unacked())
	}
	for stack.Due() > 0 {
		n := stack.Ack(b)
		if err := Verify(b[:n]); err != nil {
			t.Fatal("acknowledgement:", err)
		}
		p.Take(b[:n], n)
	}
	if p.InFlight() != Payload {
		t.Errorf("%d bytes in flight after 6 of 7 segments were acknowledged", p.InFlight())
	}
	n := stack.Ack(b)
	p.Take(b[:n], n)
	if p.InFlight() != 0 || p.Window != 1<<20 || p.Room() != (1<<20)/Payload {
		t.Errorf("in flight %d, window %d, room %d", p.InFlight(), p.Window, p.Room())
	}
}

func TestTakeNoticesFaults(t *testing.T) {
	p, stack := pair(t)
	b := make([]byte, FrameSize)
	p.Data(b)
	p.Data(b) // the first is lost
	if stack.Take(b, len(b)); stack.Err == nil {
		t.Error("a gap was not noticed")
	}
	p, stack = pair(t)
	p.Data(b)
	b[tcpAt+13] = flagRST
	if stack.Take(b, len(b)); stack.Err == nil {
		t.Error("a reset was not noticed")
	}
	p.Data(b)
	b[FrameSize-1] ^= 1
	if Verify(b) == nil {
		t.Error("a damaged payload passed")
	}
}

func TestARP(t *testing.T) {
	cfg := DefaultConfig(9)
	p := New(cfg)
	req := make([]byte, 42)
	for i := range 6 {
		req[i] = 0xff
	}
	copy(req[6:], cfg.StackMAC[:])
	copy(req[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	copy(req[22:], cfg.StackMAC[:])
	copy(req[28:], cfg.StackAddr[:])
	copy(req[38:], cfg.Addr[:])
	p.Take(req, len(req))
	if !p.Asked() {
		t.Fatal("request for the peer's address not noticed")
	}
	b := make([]byte, 64)
	n := p.ARPReply(b)
	if n != 42 || p.Asked() || b[21] != 2 || [6]byte(b[22:]) != cfg.MAC || [4]byte(b[38:]) != cfg.StackAddr {
		t.Errorf("reply % x", b[:n])
	}
}

func TestNoAllocations(t *testing.T) {
	p, stack := pair(t)
	b := make([]byte, FrameSize)
	if n := testing.AllocsPerRun(1000, func() {
		for range 2 {
			stack.Take(b[:HeaderSize], p.Data(b))
		}
		n := stack.Ack(b)
		p.Take(b[:n], n)
	}); n != 0 {
		t.Errorf("%v allocations for two segments and an acknowledgement: they would be charged to the stack", n)
	}
	if p.Err != nil || stack.Err != nil {
		t.Error(p.Err, stack.Err)
	}
}
