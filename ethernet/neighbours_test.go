package ethernet

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestResolve(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.wantLookup(peerIP, Addr{})
	first := b.resolve(peerIP, Queued)
	second := b.resolve(peerIP, Queued)
	b.wantARP(ourRequest(peerIP, Addr{})) // one for both
	b.wantLookup(peerIP, Addr{})
	b.wantReady(Addr{})

	b.Input(answer(peerIP, peerMAC), b.now)
	b.wantState(peerIP, "reachable")
	b.wantReady(peerMAC, first, second)
	b.wantLookup(peerIP, peerMAC)
	b.resolve(peerIP, Known)
	b.wantARP()
	if b.Stats.Resolved != 1 || b.Stats.Requests != 1 {
		t.Errorf("counters %+v", b.Stats)
	}
}

func TestResolveWithoutFrame(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	if v := b.Resolve(peerIP, frame.Desc{Frame: frame.None}, b.now); v != Queued {
		t.Fatalf("verdict %v", v)
	}
	b.wantARP(ourRequest(peerIP, Addr{}))
	b.Input(answer(peerIP, peerMAC), b.now)
	b.wantReady(peerMAC)
	b.wantLookup(peerIP, peerMAC)
}

func TestRetriesThenUnreachable(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.resolve(peerIP, Queued)
	b.resolve(peerIP, Queued)
	for range 3 {
		b.wantARP(ourRequest(peerIP, Addr{}))
		b.advance(time.Second)
	}
	b.wantARP()
	b.wantState(peerIP, "failed")
	if b.Stats.PendingDropped != 2 || b.Stats.Failed != 1 || b.pool.Account().Held != 0 {
		t.Errorf("counters %+v, frames %+v", b.Stats, b.pool.Account())
	}
	var ip [4]byte
	if !b.NextUnreachable(&ip) || ip != peerIP || b.NextUnreachable(&ip) {
		t.Errorf("unreachable neighbour %v, want just %v", ip, peerIP)
	}
	// Nobody asks again at once, but after a while.
	b.wantLookup(peerIP, Addr{})
	b.resolve(peerIP, Unreachable)
	b.wantARP()
	b.advance(time.Second)
	b.wantState(peerIP, "")
	b.resolve(peerIP, Queued)
	b.wantARP(ourRequest(peerIP, Addr{}))
}

func TestUnreachableHostComesBack(t *testing.T) {
	b := newBench(t, NeighboursConfig{HoldDown: time.Minute})
	b.resolve(peerIP, Queued)
	b.advance(3 * time.Second)
	b.wantState(peerIP, "failed")
	b.Input(announcement(peerIP, peerMAC), b.now)
	b.wantState(peerIP, "stale")
	b.wantLookup(peerIP, peerMAC)
}

func TestOldestPendingFrameMakesRoom(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxPending: 3})
	var sent []frame.Desc
	for range 5 {
		sent = append(sent, b.resolve(peerIP, Queued))
	}
	if b.Stats.PendingDropped != 2 {
		t.Errorf("%d frames dropped, want 2", b.Stats.PendingDropped)
	}
	b.Input(answer(peerIP, peerMAC), b.now)
	b.wantReady(peerMAC, sent[2:]...)
}

func TestPendingFrameSentAgain(t *testing.T) {
	// A connection keeps its segment in its own list and sends it again before the address is known.
	b := newBench(t, NeighboursConfig{})
	d := b.resolve(peerIP, Queued)
	b.pool.Retain(d.Frame)
	d.Off -= 4
	d.Len += 4
	if v := b.Resolve(peerIP, d, b.now); v != Queued {
		t.Fatalf("verdict %v", v)
	}
	b.Input(answer(peerIP, peerMAC), b.now)
	b.wantReady(peerMAC, d)
}

func TestPendingFrameInTransmissionIsSkipped(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	d := b.resolve(peerIP, Queued)
	other := b.resolve(peerIP, Queued)
	b.pool.Transmitting(d.Frame)
	b.Input(answer(peerIP, peerMAC), b.now)
	b.wantReady(peerMAC, other)
	b.pool.Completed(d.Frame)
}

func TestVerification(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	b.wantLookup(peerIP, peerMAC)
	b.wantGeneration(true, func() { b.advance(30 * time.Second) })
	b.wantState(peerIP, "stale")
	b.wantARP()

	// The next use has it verified, and goes on meanwhile.
	b.wantLookup(peerIP, peerMAC)
	b.wantState(peerIP, "probe")
	b.wantARP(ourRequest(peerIP, peerMAC))
	b.wantLookup(peerIP, peerMAC)
	b.wantARP()
	b.wantGeneration(false, func() { b.Input(answer(peerIP, peerMAC), b.now) })
	b.wantState(peerIP, "reachable")

	// This time the host is gone.
	b.advance(30 * time.Second)
	b.wantLookup(peerIP, peerMAC)
	for range 3 {
		b.wantARP(ourRequest(peerIP, peerMAC))
		b.wantLookup(peerIP, peerMAC)
		b.wantGeneration(b.Stats.Requests == 5, func() { b.advance(time.Second) })
	}
	b.wantState(peerIP, "")
	b.wantLookup(peerIP, Addr{})
}

func TestUnusedEntriesCostNothing(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	b.wantGeneration(false, func() {
		b.advance(30 * time.Second)
		b.wantState(peerIP, "stale")
		b.advance(5 * time.Minute)
	})
	b.wantState(peerIP, "")
	b.wantARP()
	if b.Deadline() != clock.Never {
		t.Errorf("an empty table has deadline %v", b.Deadline())
	}
}

func TestConfirm(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	for range 10 {
		b.wantLookup(peerIP, peerMAC)
		b.advance(20 * time.Second)
		b.Confirm(peerIP, peerMAC, b.now)
	}
	b.wantState(peerIP, "reachable")
	b.wantARP()
	b.Confirm(peerIP, otherMAC, b.now.Add(20*time.Second)) // not what we know
	b.advance(30 * time.Second)
	b.wantState(peerIP, "stale")
	b.Confirm(peerIP, otherMAC, b.now)
	b.wantState(peerIP, "stale")
	b.Confirm(peerIP, peerMAC, b.now)
	b.wantState(peerIP, "reachable")
	b.Confirm([4]byte{192, 0, 2, 99}, peerMAC, b.now)
	b.wantState([4]byte{192, 0, 2, 99}, "")
}

// TestDoubt has a neighbour be verified early on the advice of a connection, and be given up if it does not answer.
func TestDoubt(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	b.wantLookup(peerIP, peerMAC)
	b.wantGeneration(true, func() { b.Doubt(peerIP, b.now) })
	b.wantState(peerIP, "stale")
	b.wantLookup(peerIP, peerMAC)
	b.wantState(peerIP, "probe")
	b.Doubt(peerIP, b.now) // It is being verified already.
	b.wantState(peerIP, "probe")
	b.drainARP()
	b.advance(10 * time.Second)
	b.wantState(peerIP, "")
	b.Doubt(peerIP, b.now)
	b.Set(peerIP, peerMAC, b.now)
	b.Doubt(peerIP, b.now)
	b.wantState(peerIP, "permanent")
}

func TestPermanentEntries(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxKnown: 2})
	waiting := b.resolve(peerIP, Queued)
	b.drainARP()
	if !b.Set(peerIP, peerMAC, b.now) {
		t.Fatal("Set refused")
	}
	b.wantReady(peerMAC, waiting)
	b.wantLookup(peerIP, peerMAC)
	b.Input(announcement(peerIP, otherMAC), b.now.Add(time.Hour))
	b.advance(time.Hour)
	b.wantLookup(peerIP, peerMAC)
	b.wantARP()
	b.wantGeneration(true, func() { b.Set(peerIP, otherMAC, b.now) })
	b.wantLookup(peerIP, otherMAC)

	ip2, mac2 := host(2)
	ip3, mac3 := host(3)
	if !b.Set(ip2, mac2, b.now) || b.Set(ip3, mac3, b.now) {
		t.Error("two permanent entries fit, a third does not")
	}
	b.wantGeneration(true, func() { b.Delete(peerIP) })
	b.Delete(peerIP)
	b.wantLookup(peerIP, Addr{})
	if !b.Set(ip3, mac3, b.now) {
		t.Error("no room after Delete")
	}
	b.resolve(peerIP, Queued)
	b.Delete(peerIP)
	if b.Stats.PendingDropped != 1 {
		t.Errorf("%d frames dropped with the deleted entry, want 1", b.Stats.PendingDropped)
	}
}

func TestConfigRefused(t *testing.T) {
	good := NeighboursConfig{MAC: ourMAC, IP: ourIP}
	tests := []struct {
		name string
		edit func(*NeighboursConfig)
		err  error
	}{
		{"good", func(*NeighboursConfig) {}, nil},
		{"no MAC", func(c *NeighboursConfig) { c.MAC = Addr{} }, ErrOwnMAC},
		{"group MAC", func(c *NeighboursConfig) { c.MAC = Broadcast }, ErrOwnMAC},
		{"no IP", func(c *NeighboursConfig) { c.IP = [4]byte{} }, ErrOwnIP},
		{"group IP", func(c *NeighboursConfig) { c.IP[0] = 224 }, ErrOwnIP},
		{"negative size", func(c *NeighboursConfig) { c.MaxKnown = -1 }, ErrLimits},
		{"huge size", func(c *NeighboursConfig) { c.MaxUnresolved = 1 << 21 }, ErrLimits},
		{"negative time", func(c *NeighboursConfig) { c.RetryTime = -1 }, ErrLimits},
	}
	for _, tt := range tests {
		cfg := good
		tt.edit(&cfg)
		if _, err := NewNeighbours(nil, cfg); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	q, a := question(peerIP, peerMAC), answer(peerIP, peerMAC)
	i := 0
	if n := testing.AllocsPerRun(200, func() {
		b.Lookup(peerIP, b.now)
		b.Input(q, b.now)
		b.Input(a, b.now)
		ip, mac := host(i % 300)
		i++
		d := b.frame()
		if b.Resolve(ip, d, b.now) != Queued {
			b.pool.Release(d.Frame)
		}
		b.Input(answer(ip, mac), b.now)
		var out ARP
		for b.NextOutput(&out) {
		}
		var to Addr
		for b.NextReady(&d, &to) {
			b.pool.Release(d.Frame)
		}
		b.now = b.now.Add(100 * time.Millisecond)
		b.Expire(b.now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	n := newBench(b, NeighboursConfig{})
	for i := range 1000 {
		ip, mac := host(i)
		n.reachable(ip, mac)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ip, _ := host(i % 1000)
		if _, ok := n.Lookup(ip, n.now); !ok {
			b.Fatal("not found")
		}
		i += 7
	}
}
