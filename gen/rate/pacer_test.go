package rate

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const begin = clock.Time(time.Hour)

// trip is what a worker does with a pacer: it looks at times that advance tells, and sends what is due, at most batch at a time.
type trip struct {
	*Pacer
	batch   int
	length  func() int                            // of the next packet; default 60
	advance func(now, next clock.Time) clock.Time // when it looks again; default when the next packet is due

	sent  int
	bytes int
	times []clock.Time // at which each packet was to leave
	end   clock.Time
}

func (r *trip) run(t *testing.T) {
	t.Helper()
	r.batch = max(r.batch, 64)
	r.Start(begin)
	now := begin
	for turns := 0; !r.Over(now); turns++ {
		if turns == 10e6 {
			t.Fatal("it does not end")
		}
		for n := min(r.Due(now), r.batch); n > 0; n = min(r.Due(now), r.batch) {
			bytes := 60 * n
			if r.length != nil {
				n, bytes = 1, r.length()
			}
			first, last := r.Sent(n, bytes)
			if first > now || last > now || last < first {
				t.Fatalf("at %v packets leave that are due from %v to %v", now.Sub(begin), first.Sub(begin), last.Sub(begin))
			}
			r.sent += n
			r.bytes += bytes
			r.times = append(r.times, first)
			if n > 1 {
				r.times = append(r.times, last)
			}
		}
		next := r.Next()
		if r.advance != nil {
			next = r.advance(now, next)
		}
		now = max(next, now+1)
	}
	r.end = now
}

func pacer(t *testing.T, cfg Config) *Pacer {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMean sends at many rates for a time, and looks at odd moments: all that was to leave has left, when it was to at the latest.
func TestMean(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, pps := range []float64{0.7, 1, 3, 10, 999, 1000, 33333.3, 100e3, 1e6} {
		length := 1237 * time.Millisecond
		if pps < 10 {
			length = 20 * time.Second
		}
		r := trip{Pacer: pacer(t, Config{Phases: []Phase{Constant(PPS(pps), length)}})}
		r.advance = func(now, next clock.Time) clock.Time {
			return max(next, now) + clock.Time(random.IntN(int(20*time.Microsecond)))
		}
		r.run(t)
		if want := int(math.Ceil(pps*length.Seconds() - 1e-6)); r.sent != want || r.Lost() != 0 {
			t.Errorf("%v pps: %d packets in %v, want %d; %d are lost", pps, r.sent, length, want, r.Lost())
		}
		if late := r.end.Sub(begin) - length; late < 0 || late > 40*time.Microsecond {
			t.Errorf("%v pps: it ends %v after its time", pps, late)
		}
	}
}

// TestTimes looks as often as it can: each packet is due at its time, and not a nanosecond before.
func TestTimes(t *testing.T) {
	r := trip{Pacer: pacer(t, Config{Phases: []Phase{Constant(PPS(3), time.Second)}})}
	r.run(t)
	want := []clock.Time{begin, begin + 333333333, begin + 666666667}
	if !slices.Equal(r.times, want) {
		t.Errorf("packets at %v", r.times)
	}
	p := pacer(t, Config{Phases: []Phase{Constant(PPS(1000), 0)}})
	p.Start(begin)
	if p.Due(begin-1) != 0 || p.Due(begin) != 1 {
		t.Error("the first packet is not due at the start")
	}
	p.Sent(1, 60)
	if at := begin.Add(time.Millisecond); p.Next() != at || p.Due(at-10) != 0 || p.Due(at) != 1 {
		t.Errorf("the second packet is due at %v", p.Next().Sub(begin))
	}
}

// TestKept has the worker kept from looking for a time: what is within the bound is made up for, the rest is lost and counted.
func TestKept(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		away time.Duration // after half a second
		lost uint64
	}{
		{Config{}, 0, 0},
		{Config{}, 90 * time.Millisecond, 0},
		{Config{}, 300 * time.Millisecond, 20000},
		{Config{CatchUp: time.Millisecond}, 300 * time.Millisecond, 29900},
		{Config{}, time.Hour, 50000}, // the schedule is over long since
		{Config{Burst: 100}, 300 * time.Millisecond, 20000},
		{Config{Burst: 100}, 90 * time.Millisecond, 0},
	} {
		c.cfg.Phases = []Phase{Constant(PPS(100e3), time.Second)}
		r := trip{Pacer: pacer(t, c.cfg)}
		left := false
		r.advance = func(now, next clock.Time) clock.Time {
			if now >= begin.Add(500*time.Millisecond) && !left {
				left = true
				return now.Add(c.away)
			}
			return next
		}
		r.run(t)
		if tolerance := uint64(c.cfg.Burst + 1); r.Lost() > c.lost+tolerance || r.Lost()+tolerance < c.lost {
			t.Errorf("away for %v with %+v: %d are lost, want %d", c.away, c.cfg, r.Lost(), c.lost)
		}
		if r.sent+int(r.Lost()) != 100e3 {
			t.Errorf("away for %v with %+v: %d left and %d are lost, want %v", c.away, c.cfg, r.sent, r.Lost(), 100e3)
		}
	}
}

// TestStuck has a device that takes nothing from half a second on: the schedule still comes to its end.
func TestStuck(t *testing.T) {
	for _, burst := range []int{1, 1000} {
		p := pacer(t, Config{Phases: []Phase{Constant(PPS(1e4), time.Second)}, Burst: burst})
		p.Start(begin)
		sent, now := 0, begin
		for ; !p.Over(now) && now < begin.Add(time.Minute); now += clock.Time(time.Millisecond) {
			if n := p.Due(now); n > 0 && now < begin.Add(500*time.Millisecond) {
				p.Sent(1, 60)
				sent++
			}
		}
		if sent+int(p.Lost()) != 1e4 || now > begin.Add(1200*time.Millisecond) {
			t.Errorf("bursts of %d: %d left, %d are lost, at the end after %v", burst, sent, p.Lost(), now.Sub(begin))
		}
	}
}

func TestPhases(t *testing.T) {
	for _, c := range []struct {
		what   string
		phases []Phase
		want   int
		length time.Duration
	}{
		{"ramp up", []Phase{{PPS(0), PPS(100e3), time.Second}}, 50e3, time.Second},
		{"ramp down", []Phase{{PPS(100e3), PPS(0), time.Second}}, 50e3, time.Second},
		{"ramp between", []Phase{{PPS(1000), PPS(3000), 2 * time.Second}}, 4000, 2 * time.Second},
		{"steps", []Phase{Constant(PPS(1000), time.Second), Constant(PPS(2000), time.Second)}, 3000, 2 * time.Second},
		{"a pause", []Phase{Constant(PPS(1000), time.Second), Constant(PPS(0), time.Second), Constant(PPS(10), time.Second)}, 1010,
			3 * time.Second},
		{"other units", []Phase{Constant(PPS(1000), time.Second), Constant(Rate{64 * 8 * 500, L2}, time.Second)}, 1500, 2 * time.Second},
		{"a share of the line", []Phase{Constant(Rate{50, Line}, 10*time.Millisecond)}, 7441, 10 * time.Millisecond},
	} {
		r := trip{Pacer: pacer(t, Config{Phases: c.phases, Mean: 60, Line: 1e9})}
		r.run(t)
		if r.sent != c.want && (c.what != "a share of the line" || r.sent != 7440) || r.end.Sub(begin) != c.length {
			t.Errorf("%s: %d packets in %v, want %d in %v", c.what, r.sent, r.end.Sub(begin), c.want, c.length)
		}
		if !slices.IsSorted(r.times) {
			t.Errorf("%s: the times do not ascend", c.what)
		}
	}
}

// TestMax has a phase without a rate between two with one.
func TestMax(t *testing.T) {
	p := pacer(t, Config{Phases: []Phase{Constant(PPS(10), time.Second), Constant(Max, time.Second), Constant(PPS(10), time.Second)}})
	p.Start(begin)
	counts := [3]int{}
	now := begin
	for ; !p.Over(now); now += clock.Time(time.Millisecond) {
		n := min(p.Due(now), 64)
		p.Sent(n, 60*n)
		counts[min(now.Sub(begin)/time.Second, 2)] += n
	}
	if counts != [3]int{10, 64000, 10} || now.Sub(begin) != 3*time.Second {
		t.Errorf("%v packets, and the end after %v", counts, now.Sub(begin))
	}
}

// TestBits draws the lengths of packets at random: the bits are right whatever the mean that was told.
func TestBits(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, unit := range []Unit{L1, L2} {
		packet, perByte := unit.Costs()
		r := trip{Pacer: pacer(t, Config{Phases: []Phase{Constant(Rate{100e6, unit}, time.Second)}, Mean: 500})}
		r.length = func() int { return 60 + random.IntN(1455) }
		r.run(t)
		bits := packet*float64(r.sent) + perByte*float64(r.bytes)
		if bits < 100e6 || bits > 100e6+1538*8 {
			t.Errorf("%v: %.0f bits in a second of 100 Mbit/s", unit, bits)
		}
	}
}

func TestCountAndWarmUp(t *testing.T) {
	for _, workers := range []int{1, 3} {
		sent, counted := 0, 0
		for w := range workers {
			p := pacer(t, Config{
				Phases: []Phase{Constant(PPS(1000), 0)}, Count: 100, WarmUp: 500 * time.Millisecond, Worker: w, Workers: workers,
			})
			p.Start(begin)
			now := begin
			for ; !p.Over(now); now = max(p.Next(), now+1) {
				for p.Due(now) > 0 {
					sent++
					if !p.Warm() {
						counted++
					}
					p.Sent(1, 60)
				}
			}
			if d := now.Sub(begin) - 600*time.Millisecond; d < -3*time.Millisecond || d > 3*time.Millisecond {
				t.Errorf("worker %d of %d ends after %v", w, workers, now.Sub(begin))
			}
		}
		if sent != 600 || counted != 100 {
			t.Errorf("%d workers send %d packets, of which %d count; want 600 and 100", workers, sent, counted)
		}
	}
}

// TestTurns has several workers send when one alone would.
func TestTurns(t *testing.T) {
	phases := []Phase{{PPS(1000), PPS(5000), time.Second}, Constant(PPS(777), time.Second)}
	alone := trip{Pacer: pacer(t, Config{Phases: phases}), batch: 1}
	alone.run(t)
	var all []clock.Time
	for w := range 3 {
		r := trip{Pacer: pacer(t, Config{Phases: phases, Worker: w, Workers: 3}), batch: 1}
		r.run(t)
		all = append(all, r.times...)
	}
	slices.Sort(all)
	if len(all) != len(alone.times) {
		t.Fatalf("%d packets of three workers, %d of one", len(all), len(alone.times))
	}
	for i, at := range all {
		if d := at.Sub(alone.times[i]); d < -time.Microsecond || d > time.Microsecond {
			t.Fatalf("packet %d leaves %v after that of one worker", i, d)
		}
	}
}

func TestBursts(t *testing.T) {
	r := trip{Pacer: pacer(t, Config{Phases: []Phase{Constant(PPS(1000), time.Second)}, Burst: 50})}
	r.run(t)
	if r.sent != 1000 || len(r.times) != 40 { // the first and the last of each
		t.Fatalf("%d packets in %d bursts", r.sent, len(r.times)/2)
	}
	for i, at := range r.times {
		if want := begin.Add(time.Duration(i/2) * 50 * time.Millisecond); at != want {
			t.Errorf("burst %d at %v, want %v", i/2, at.Sub(begin), want.Sub(begin))
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for what, cfg := range map[string]Config{
		"no end before the last": {Phases: []Phase{Constant(PPS(1), 0), Constant(PPS(1), time.Second)}},
		"no mean":                {Phases: []Phase{Constant(Rate{1e6, L1}, time.Second)}},
		"no line":                {Phases: []Phase{Constant(Rate{10, Line}, time.Second)}, Mean: 60},
		"units":                  {Phases: []Phase{{PPS(1), Rate{1, L2}, time.Second}}, Mean: 60},
		"burst":                  {Burst: -1},
		"worker":                 {Worker: 2, Workers: 2},
	} {
		if _, err := New(cfg); !errors.Is(err, ErrRate) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	p := pacer(t, Config{Phases: []Phase{{PPS(1000), PPS(1e6), time.Hour}}})
	p.Start(begin)
	now := begin
	if n := testing.AllocsPerRun(1000, func() {
		now += clock.Time(10 * time.Microsecond)
		if n := p.Due(now); n > 0 {
			p.Sent(n, 60*n)
		}
		p.Next()
	}); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func BenchmarkTurn(b *testing.B) {
	p, err := New(Config{Phases: []Phase{Constant(PPS(1e6), 0)}})
	if err != nil {
		b.Fatal(err)
	}
	p.Start(begin)
	now := begin
	for b.Loop() {
		now += 1000
		n := p.Due(now)
		p.Sent(n, 60*n)
		p.Next()
	}
}
