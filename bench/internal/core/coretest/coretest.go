// Package coretest checks that a target of the in-memory benchmarks does the work that it is timed for.
package coretest

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// Target is a target whose sent frames can be looked at whole.
type Target interface {
	core.Target
	Inspect(f func(frame []byte))
}

// Run checks all kinds of work: that the frames sent have right checksums, and that a received segment with a wrong one is not
// acknowledged.
func Run(t *testing.T, open func(core.Work) (Target, error)) {
	for _, w := range core.Works {
		t.Run(string(w), func(t *testing.T) {
			target, err := open(w)
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			wrong, total := 0, 0
			target.Inspect(func(frame []byte) {
				total++
				if peer.Verify(frame) != nil {
					wrong++
				}
			})
			r, err := core.Run(target, w, 20*time.Millisecond, 100*time.Millisecond, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if wrong > 0 || total == 0 {
				t.Errorf("%d of %d sent frames have a wrong checksum", wrong, total)
			}
			t.Logf("%.0f ns, %.3f allocations, %.2f frames a segment or connection, inspection included", r.Nanos, r.Allocs, r.Frames)
		})
	}
	t.Run("damaged segment", func(t *testing.T) { damaged(t, open) })
}

func damaged(t *testing.T, open func(core.Work) (Target, error)) {
	target, err := open(core.Receive)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	p := peer.New(peer.DefaultConfig(core.Receive.Port()))
	turn := func(cond func() bool) bool {
		for end := time.Now().Add(time.Second); time.Now().Before(end) && !cond(); {
			target.Work(p.Take)
			if p.Asked() {
				target.Deliver(1, p.ARPReply)
			}
		}
		return cond()
	}
	target.Deliver(1, p.SYN)
	if !turn(func() bool { return p.Established }) {
		t.Fatal("no connection")
	}
	target.Deliver(1, p.Ack)
	first := p.Acked
	target.Deliver(2, func(b []byte) int {
		n := p.Data(b)
		b[n-1] ^= 0xff
		return n
	})
	for range 100 {
		target.Work(p.Take)
	}
	if p.Acked != first {
		t.Error("a segment with a wrong checksum was acknowledged: checksums are not verified")
	}
	p.Seq = first
	target.Deliver(2, p.Data)
	if !turn(func() bool { return p.InFlight() == 0 }) {
		t.Error("the same segments with a right checksum were not acknowledged")
	}
}
