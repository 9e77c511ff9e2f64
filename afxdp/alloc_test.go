package afxdp

import (
	"testing"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNoAllocation moves packets through every call of the data path and counts allocations.
func TestNoAllocation(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		p := q.Pool()
		packet := append([]byte(nil), r.toStack(1, 1000)...)
		received := 0
		allocs := testing.AllocsPerRun(50, func() {
			for range 8 {
				r.peer.send(packet)
			}
			received += r.forget(q)
			for i := range 8 {
				f := p.Alloc()
				udpFrame(p.Chunk(f), r.lab.Kernel.MAC, r.lab.Stack.MAC, sink, sink, 1, 1000)
				r.batch[i] = frame.Desc{Frame: f, Len: 1000}
			}
			q.Transmit(r.batch[:8])
			for _, d := range r.batch[:8] {
				p.Release(d.Frame)
			}
			if err := q.Flush(); err != nil {
				t.Error(err)
			}
			q.Recycle()
			if err := q.Wait(0); err != nil {
				t.Error(err)
			}
			q.Wake()
			if err := q.Wait(-1); err != nil {
				t.Error(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations per turn", allocs)
		}
		if received < 300 {
			t.Errorf("only %d packets", received)
		}
		r.allBack(q)
	})
}
