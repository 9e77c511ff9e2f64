package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// closedBoth reports whether both ends are through: one in TIME-WAIT or closed, the other closed.
func (n *network) closedBoth() bool {
	through := func(s State) bool { return s == StateClosed || s == StateTimeWait }
	return through(n.a.conn.State()) && through(n.b.conn.State())
}

func TestTransfer(t *testing.T) {
	faults := []struct {
		name      string
		loss, dup float64
		jitter    time.Duration
	}{
		{"clean", 0, 0, 0},
		{"loss", 0.02, 0, 0},
		{"heavy loss", 0.15, 0, 0},
		{"duplicates", 0, 0.1, 0},
		{"reordering", 0, 0, 3 * time.Millisecond},
		{"everything", 0.03, 0.03, 3 * time.Millisecond},
	}
	configs := []struct {
		name string
		a, b Config
	}{
		{"all options", Config{}, Config{}},
		{"no SACK", Config{NoSACK: true}, Config{}},
		{"no timestamps", Config{}, Config{NoTimestamps: true}},
		{"bare", Config{}, Config{NoTimestamps: true, NoSACK: true, NoWindowScale: true}},
		{"small buffers", Config{RecvBuffer: 8000, SendBuffer: 6000}, Config{RecvBuffer: 5000, SendBuffer: 7000}},
	}
	for _, f := range faults {
		for _, c := range configs {
			for _, both := range []bool{false, true} {
				for _, mss := range []uint16{deviceMSS, 8960} { // the latter in frames of 2048 bytes
					t.Run(fmt.Sprintf("%s/%s/both=%v/mss=%d", f.name, c.name, both, mss), func(t *testing.T) {
						n := newLargeNetwork(t, mss, c.a, c.b)
						n.loss, n.dup, n.jitter = f.loss, f.dup, f.jitter
						n.trace = traceTests
						transfer(t, n, 300_000, both)
					})
				}
			}
		}
	}
}

// transfer sends size bytes from a to b, and back if both, and closes.
func transfer(t *testing.T, n *network, size int, both bool) {
	t.Helper()
	n.connect()
	n.a.send, n.a.closes, n.b.closes = size, true, true
	if both {
		n.b.send = size
	}
	n.run(2*time.Hour, n.closedBoth)
	if n.b.received != size || (both && n.a.received != size) {
		t.Fatalf("b received %d, a received %d, of %d", n.b.received, n.a.received, size)
	}
	for _, e := range []*endpoint{n.a, n.b} {
		if e.conn.Err() != nil {
			t.Errorf("%s: %v", e.name, e.conn.Err())
		}
		if e.events&EventPeerClosed == 0 {
			t.Errorf("%s: the peer's close was not told: %v", e.name, e.events)
		}
	}
	n.finish()
}

// TestTransferSeeds runs many short transfers, each under faults of its own.
func TestTransferSeeds(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 0))
		cfg := func() Config {
			return Config{
				RecvBuffer: 2000 + rnd.Uint32N(200_000), SendBuffer: 2000 + rnd.Uint32N(200_000),
				NoSACK: rnd.IntN(3) == 0, NoTimestamps: rnd.IntN(3) == 0, NoDelay: rnd.IntN(2) == 0, NoWindowScale: rnd.IntN(4) == 0,
			}
		}
		n := newNetwork(t, cfg(), cfg())
		n.rnd = rnd
		n.loss, n.dup = rnd.Float64()*0.1, rnd.Float64()*0.1
		n.jitter = time.Duration(rnd.IntN(8)) * time.Millisecond
		n.delay = time.Duration(1+rnd.IntN(50)) * time.Millisecond
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			n.t = t
			transfer(t, n, 1+rnd.IntN(120_000), rnd.IntN(2) == 0)
		})
	}
}
