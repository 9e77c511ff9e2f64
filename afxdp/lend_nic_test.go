//go:build nic

package afxdp

import (
	"testing"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNICMemoryOfTwoCards has two cards in one memory: each sends, with zero-copy, frames of the other's part.
func TestNICMemoryOfTwoCards(t *testing.T) {
	lab := cardsFor(t, netlab.Config{Name: "afxdp"})
	m, err := NewMemory(2, Options{Frames: 8192})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, lab: lab}
	sides := []*netlab.Side{lab.Stack, lab.Kernel}
	var q []Queue
	for _, side := range sides {
		iface, err := openSide(side, Options{Mode: ModeZeroCopy, Queues: []int{0}, Memory: m})
		if err != nil {
			t.Fatal(err)
		}
		defer iface.Close()
		q = append(q, iface.Queues()[0])
	}
	for _, side := range sides { // a card loses its link when a program is attached at the other end
		if err := side.WaitCarrier(); err != nil {
			t.Fatal(err)
		}
	}
	const packets = 100
	for i, from := range q { // the other one sends this one's frames, and this one receives them
		to := q[1-i]
		if !to.Mode().ZeroCopy {
			t.Fatalf("%v", to.Mode())
		}
		got := 0
		for n := range uint32(packets) {
			f := from.Pool().Alloc()
			if f == frame.None {
				t.Fatal("no frame")
			}
			udpFrame(from.Pool().Chunk(f), sides[i].MAC, sides[1-i].MAC, sides[i].Address.Addr(), sink, n, 600)
			if m.Lend(to, from, []frame.Desc{{Frame: f, Len: 600}}) != 1 {
				t.Fatal("not taken")
			}
			if n%20 == 19 {
				if err := to.Flush(); err != nil {
					t.Fatal(err)
				}
				got += r.receive(from, int(n)+1-got, func(uint32, frame.Desc) bool { return false })
				to.Recycle()
			}
		}
		if got != packets {
			t.Errorf("to %s: %d packets of %d came", sides[i].Interface, got, packets)
		}
	}
	r.home(q...)
}
