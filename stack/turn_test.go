package stack

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// turnShard makes a shard in memory that somebody else steps.
func turnShard(t *testing.T, f OnTurn) *Shard {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, 256*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Address: prefixA, Seed: 1, OnTurn: f}, &memoryDevice{pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return s.Shard(0)
}

func TestOnTurnSetsTheDeadline(t *testing.T) {
	var calls []clock.Time
	next := clock.Time(0)
	s := turnShard(t, func(_ *Shard, now clock.Time) clock.Time {
		calls = append(calls, now)
		return next
	})
	for _, step := range []struct {
		now, next clock.Time
		due       bool // the turn was wanted, and counts as work
	}{
		{now: 1000, next: 5000, due: true}, // the first is always
		{now: 2000, next: 6000},
		{now: 6000, next: 9000, due: true},
		{now: 20_000, next: clock.Never, due: true},
		{now: 30_000, next: 31_000},
		{now: 31_000, next: clock.Never, due: true},
	} {
		next = step.next
		before := len(calls)
		if worked := s.Step(step.now); worked != step.due {
			t.Errorf("the turn at %d: worked is %v", step.now, worked)
		}
		if len(calls) != before+1 || calls[before] != step.now {
			t.Errorf("the turn at %d: called at %v", step.now, calls[before:])
		}
		if d := s.Deadline(); d != step.next {
			t.Errorf("the turn at %d: the next is at %d, want %d", step.now, d, step.next)
		}
	}
	s.SetOnTurn(nil)
	if before := len(calls); s.Step(40_000) || len(calls) != before || s.Deadline() != clock.Never {
		t.Error("a function that was taken away is called")
	}
}

// A shard does not sleep so long that it could miss the time of its OnTurn, unless it is not to poll.
func TestOnTurnShortensSleeps(t *testing.T) {
	const now = clock.Time(time.Hour)
	for _, tt := range []struct {
		spin time.Duration
		in   time.Duration // the turn is due in so long; 0: never
		want time.Duration
	}{
		{0, 10 * time.Millisecond, 10*time.Millisecond - defaultSpinTime - timerSlack},
		{time.Millisecond, 10 * time.Millisecond, 9*time.Millisecond - timerSlack},
		{0, defaultSpinTime, 0},
		{0, time.Minute, maxSleep},
		{0, 0, maxSleep},
		{-1, 10 * time.Millisecond, 10 * time.Millisecond},
		{-1, time.Microsecond, time.Microsecond},
	} {
		s := turnShard(t, func(_ *Shard, now clock.Time) clock.Time {
			if tt.in == 0 {
				return clock.Never
			}
			return now.Add(tt.in)
		})
		if tt.spin != 0 {
			s.cfg.SpinTime = tt.spin
		}
		s.Step(now)
		if got := s.wait(now); got != tt.want {
			t.Errorf("polling %v, a turn in %v: it sleeps for %v, want %v", s.cfg.SpinTime, tt.in, got, tt.want)
		}
	}
}

func TestOnTurnTakesItselfAway(t *testing.T) {
	calls := 0
	s := turnShard(t, func(s *Shard, now clock.Time) clock.Time {
		calls++
		s.SetOnTurn(nil)
		return now
	})
	for now := range clock.Time(3) {
		s.Step(now + 1)
	}
	if calls != 1 || s.Deadline() != clock.Never {
		t.Errorf("%d calls, and the next turn is at %d", calls, s.Deadline())
	}
}

func TestOnTurnAllocatesNothing(t *testing.T) {
	s := turnShard(t, func(_ *Shard, now clock.Time) clock.Time { return now + 1 })
	now := clock.Time(1)
	if n := testing.AllocsPerRun(100, func() { now++; s.Step(now) }); n != 0 {
		t.Errorf("%v allocations in a turn, want none", n)
	}
}

// A shard that sleeps wakes for its OnTurn, which Do has set meanwhile, and what that opens is sent at once.
func TestOnTurnEndsASleep(t *testing.T) {
	a, b := newPair(t, Config{SpinTime: -1})
	if _, err := b.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	const count, pause = 20, 2 * time.Millisecond
	var late [count]time.Duration
	var errs []error
	remote := netip.AddrPortFrom(prefixB.Addr(), 7)
	done := make(chan struct{})
	n, due := 0, clock.Time(0)
	opened := make(chan struct{}, count)
	tick := func(s *Shard, now clock.Time) clock.Time {
		if now.Before(due) {
			return due
		}
		late[n] = now.Sub(due)
		errs = append(errs, s.Connect(remote, &opens{opened}))
		if n++; n == count {
			s.SetOnTurn(nil)
			close(done)
		}
		due = due.Add(pause)
		return due
	}
	if err := a.Shard(0).Do(func(s *Shard) { due = s.now.Add(pause); s.SetOnTurn(tick) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("a function that wants to be called is not")
	}
	for range count {
		select {
		case <-opened:
		case <-time.After(5 * time.Second):
			t.Fatal("a connection did not come about")
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	t.Logf("called late by %v", late)
	closeChecked(t, a)
	if err := a.Shard(0).Do(func(*Shard) {}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Do on a closed stack: %v, want net.ErrClosed", err)
	}
}

// opens tells that a connection was established, and closes it.
type opens struct{ done chan struct{} }

func (h *opens) Opened(c *Conn)         { h.done <- struct{}{}; c.Close() }
func (h *opens) Received(*Conn, []byte) {}
func (h *opens) Writable(*Conn)         {}
func (h *opens) PeerClosed(*Conn)       {}
func (h *opens) Closed(*Conn, error)    {}

// ended notes how a connection ended.
type ended struct {
	opens
	err  error
	over bool
}

func (h *ended) Closed(_ *Conn, err error) { h.err, h.over = err, true }

// What Open returns can be aborted before anybody has answered, and its errors allocate nothing.
func TestOpenOnShard(t *testing.T) {
	s := turnShard(t, nil)
	s.Step(clock.Time(time.Hour))
	h := &ended{}
	c, err := s.Open(netip.AddrPortFrom(prefixB.Addr(), 7), h)
	if err != nil || c.RemoteAddr().Port() != 7 {
		t.Fatal(err)
	}
	s.Step(clock.Time(time.Hour + 1))
	c.Abort()
	for now := clock.Time(time.Hour + 2); s.Step(now) && !h.over; now++ {
	}
	if !h.over || !errors.Is(h.err, syscall.ECONNABORTED) {
		t.Errorf("an aborted attempt: over %v, %v", h.over, h.err)
	}
	outside := netip.MustParseAddrPort("192.0.2.1:7")
	if n := testing.AllocsPerRun(100, func() { _, err = s.Open(outside, h) }); n != 0 || !errors.Is(err, ErrNoRoute) {
		t.Errorf("%v allocations for a destination without a route, %v", n, err)
	}
	if _, err := s.Open(netip.AddrPort{}, h); err == nil {
		t.Error("no destination is accepted")
	}
}
