package stack_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/tcp"
)

// seedBlock is how many seeds a subtest of forManySeeds has.
const seedBlock = 100

// forManySeeds is forSeeds for tests that take a millisecond: a subtest is a hundred seeds, and ends with the first that fails.
func forManySeeds(t *testing.T, n uint64, test func(t *testing.T, seed uint64)) {
	const block = seedBlock
	switch {
	case *onlySeed != 0:
		test(t, *onlySeed)
		return
	case *soakTime != 0:
		soak(t, test)
		return
	case *seedCount != 0:
		n = *seedCount
	case testing.Short() || underRace:
		n = min(n, block)
	}
	for first := uint64(1); first <= n; first += block {
		last := min(first+block-1, n)
		t.Run(fmt.Sprintf("seeds=%d-%d", first, last), func(t *testing.T) {
			for seed := first; seed <= last && !t.Failed(); seed++ {
				replayable(t, seed, test)
			}
		})
	}
}

// replayable runs a test with one seed, and says how to run it again if it failed.
func replayable(t *testing.T, seed uint64, test func(t *testing.T, seed uint64)) {
	defer func() {
		if t.Failed() {
			name, _, _ := strings.Cut(t.Name(), "/seed")
			t.Logf("to replay: go test ./stack -run '^%s$' -sim.seed=%d -v", strings.ReplaceAll(name, "/", "$/^"), seed)
		}
	}()
	test(t, seed)
}

// congestionControls returns the names of all algorithms.
func congestionControls() []string {
	var names []string
	for a := tcp.CongestionAlgorithm(0); !strings.Contains(a.String(), "("); a++ {
		names = append(names, a.String())
	}
	return names
}

// drawConfig draws how connections are configured.
func drawConfig(r *rand.Rand) tcp.Config {
	names := congestionControls()
	cfg := tcp.Config{
		NoTimestamps: r.IntN(4) == 0, NoSACK: r.IntN(4) == 0, NoWindowScale: r.IntN(4) == 0, NoDelay: r.IntN(2) == 0,
		Congestion: names[r.IntN(len(names))],
	}
	if r.IntN(2) == 0 {
		cfg.RecvBuffer = 1 << (11 + r.IntN(10))
	}
	if r.IntN(2) == 0 {
		cfg.SendBuffer = 1 << (11 + r.IntN(10))
	}
	switch r.IntN(8) {
	case 0:
		cfg.DelayedACK = -1
	case 1:
		cfg.Cork = true
	case 2:
		cfg.MinRTO = time.Second
	case 3:
		cfg.KeepAlive = tcp.KeepAlive{Idle: time.Second, Interval: time.Second}
	}
	return cfg
}

// drawDevice draws what a device is like: usually a good one.
func drawDevice(r *rand.Rand) sim.Config {
	if r.IntN(4) == 0 {
		return devices(r)
	}
	return sim.Config{Frames: 512}
}

// drawSettings draws a world.
func drawSettings(r *rand.Rand) settings {
	s := settings{link: impairments(r), clientDev: drawDevice(r), serverDev: drawDevice(r)}
	s.config.TCP = drawConfig(r)
	s.config.BatchSize = 1 << r.IntN(7)
	s.config.RxBudget = uint32(r.IntN(2)) << (14 + r.IntN(8))
	return s
}

// drawnExchange is an exchange of up to 60 KB in both directions in a world that is drawn from the seed.
func drawnExchange(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	s := drawSettings(r)
	w := newWorld(t, seed, s)
	defer w.close()
	sizes := [2]int{}
	for i := range sizes {
		if r.IntN(4) != 0 {
			sizes[i] = r.IntN(60_000)
		}
	}
	exchange(w, seed, sizes[0], sizes[1], 4*time.Hour)
	if t.Failed() {
		t.Logf("%+v", s)
	}
}

// TestThousandsOfSeeds is the simulator's widest net: every kind of path, device and configuration, each for a moment.
func TestThousandsOfSeeds(t *testing.T) { forManySeeds(t, 3000, drawnExchange) }
