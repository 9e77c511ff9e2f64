//go:build nic

package afxdp

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// nicPatience is what a test in a virtual machine waits for a card.
const nicPatience = 40 * time.Second

// completed lets the queue work until all frames that it was given to send are completed.
func (r *rig) completed(q Queue) {
	r.t.Helper()
	for end := time.Now().Add(nicPatience); ; {
		if err := q.Flush(); err != nil && !errors.Is(err, unix.ENETDOWN) {
			r.t.Fatal(err)
		}
		q.Recycle()
		s := q.Stats()
		if s.Completions == s.TxPackets+s.TxFragments && q.Pool().Account().TX == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("of %d packets only %d completed: %+v", s.TxPackets, s.Completions, q.Pool().Account())
		}
		if err := q.Wait(10 * time.Millisecond); err != nil && !errors.Is(err, unix.ENETDOWN) {
			r.t.Fatal(err)
		}
	}
}

// TestCardDownWithFrames takes a card down and changes its rings, while it has frames to send and received ones that nobody took, and goes on
// giving it some: it completes those that it had, sent or not, and no frame is missing when the link is back.
func TestCardDownWithFrames(t *testing.T) {
	r := newRig(t, netlab.Config{}, Options{})
	q, side := r.queue(), r.lab.Stack
	rx, tx, err := side.Rings()
	if err != nil {
		t.Fatal(err)
	}
	fill := q.Pool().Account().Fill
	var n uint32
	send := func(packets int) {
		for range packets {
			if r.transmit(q, n, 1000) {
				n++
			}
		}
		if err := q.Flush(); err != nil && !errors.Is(err, unix.ENETDOWN) {
			t.Fatal(err)
		}
	}
	for _, e := range []struct {
		what          string
		begin, finish func() error
	}{
		{"down and up", side.SetDown, side.SetUp},
		{"other rings", func() error { return side.SetRings(rx/2, tx/2) }, func() error { return side.SetRings(rx, tx) }},
	} {
		before := *q.Stats()
		for i := range uint32(50) {
			r.peer.send(r.toStack(i, 1000))
		}
		send(500)
		if err := e.begin(); err != nil {
			t.Fatalf("%s: %v", e.what, err)
		}
		send(100)
		q.Recycle()
		if err := e.finish(); err != nil {
			t.Fatalf("%s: %v", e.what, err)
		}
		send(100) // the link may not be back yet
		if err := r.lab.WaitCarrier(); err != nil {
			t.Fatal(err)
		}
		send(100)
		r.completed(q)
		arrived := len(r.peer.receive(800))
		got := r.receive(q, 50, func(uint32, frame.Desc) bool { return false })
		r.allBack(q)
		if a := q.Pool().Account(); a.Fill != fill {
			t.Errorf("%s: %d frames to receive into, want %d", e.what, a.Fill, fill)
		}
		s := q.Stats()
		if sent := s.TxPackets - before.TxPackets; sent != 800 || arrived < 100 || arrived > 800 || got > 50 || s.KickErrors != 0 {
			t.Errorf("%s: %d of %d packets arrived, %d received, %+v", e.what, arrived, sent, got, *s)
		}
		t.Logf("%s: %d of 800 packets sent arrived, %d of 50 received, %d kicks while down", e.what, arrived, got, s.KickDown-before.KickDown)
	}
}

// TestCardCloseWithFrames closes the queue while the card has frames to send and to receive into: all of them are the pool's again.
func TestCardCloseWithFrames(t *testing.T) {
	t.Run("up", func(t *testing.T) { closeWithFrames(t, false) })
	t.Run("down", func(t *testing.T) { closeWithFrames(t, true) })
}

func closeWithFrames(t *testing.T, down bool) {
	r := newRig(t, netlab.Config{}, Options{})
	if err := r.lab.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	q := r.queue()
	if down {
		if err := r.lab.Stack.SetDown(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint32(1000) {
		r.transmit(q, n, 1000)
	}
	if err := q.Flush(); (err != nil) != down {
		t.Errorf("down: %v, Flush: %v", down, err)
	}
	if a := q.Pool().Account(); a.TX == 0 || a.Fill == 0 {
		t.Errorf("the card has no frames: %+v", a)
	}
	r.close()
	if err := q.Pool().Check(); err != nil || q.Pool().Free() != q.Pool().Size() {
		t.Errorf("%v, %+v", err, q.Pool().Account())
	}
	if down {
		if err := r.lab.Stack.SetUp(); err != nil {
			t.Fatal(err)
		}
	}
	r.open(Options{}) // at once, on the same card
	if err := r.lab.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	q = r.queue()
	r.transmit(q, 1, 100)
	r.completed(q)
	r.allBack(q)
}
