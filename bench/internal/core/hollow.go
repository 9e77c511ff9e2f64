package core

import "github.com/xdpstack/xdpstack/bench/internal/peer"

// Hollow does what a stack's peer must see and nothing else. The cost of a run with it is the cost of the harness.
type Hollow struct {
	work   Work
	rev    *peer.Peer // builds the frames that a stack would send
	frames [256][2048]byte
	next   int
	reply  [peer.FrameSize]byte
	syn    bool
}

// NewHollow makes a target without a stack.
func NewHollow(w Work) *Hollow {
	c := peer.DefaultConfig(w.Port())
	return &Hollow{work: w, rev: peer.New(peer.Config{
		MAC: c.StackMAC, StackMAC: c.MAC, Addr: c.StackAddr, StackAddr: c.Addr,
		Port: c.StackPort, StackPort: c.Port, Window: 1 << 20,
	})}
}

// Deliver implements Target.
func (h *Hollow) Deliver(n int, next func(b []byte) int) {
	for range n {
		f := h.frames[h.next][:]
		h.next = (h.next + 1) % len(h.frames)
		size := next(f)
		h.rev.Take(f[:min(size, 128)], size)
	}
	h.rev.Forget()
}

// Work implements Target.
func (h *Hollow) Work(take func(head []byte, size int)) {
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
func (h *Hollow) Close() {}
