package core

import "github.com/xdpstack/xdpstack/bench/internal/peer"

// hollow does what the peer of one connection must see and nothing else.
type hollow struct {
	work   Work
	rev    *peer.Peer // builds the frames that a stack would send
	frames [256][2048]byte
	next   int
	reply  [peer.FrameSize]byte
	syn    bool
}

// NewHollow makes a target without a stack: the cost of a run with it is the cost of the harness.
func NewHollow(w Work) Target {
	if w == Connect {
		return new(hollowServer)
	}
	c := peer.DefaultConfig(w.Port())
	return &hollow{work: w, rev: peer.New(peer.Config{
		MAC: c.StackMAC, StackMAC: c.MAC, Addr: c.StackAddr, StackAddr: c.Addr,
		Port: c.StackPort, StackPort: c.Port, Window: 1 << 20,
	})}
}

// Deliver implements Target.
func (h *hollow) Deliver(n int, next func(b []byte) int) {
	for range n {
		f := h.frames[h.next][:]
		h.next = (h.next + 1) % len(h.frames)
		size := next(f)
		h.rev.Take(f[:min(size, 128)], size)
	}
	h.rev.Forget()
}

// Work implements Target.
func (h *hollow) Work(take func(head []byte, size int)) {
	switch {
	case !h.syn:
		h.syn = true
		take(h.reply[:], h.rev.SYNACK(h.reply[:]))
	case h.work == Receive:
		if h.rev.Unacked() > 0 {
			take(h.reply[:], h.rev.Ack(h.reply[:]))
		}
	default:
		for n := min(h.rev.Room(), 64); n > 0; n-- {
			take(h.reply[:peer.HeaderSize], h.rev.Head(h.reply[:]))
		}
	}
}

// Close implements Target.
func (h *hollow) Close() {}
