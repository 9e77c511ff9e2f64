package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/tcp"
)

// departures notes the frames that carry data from the client to the server: when each leaves, and how long it is.
type departures struct {
	at    []clock.Time
	bytes []int
}

func (d *departures) watch(w *world) {
	w.link.Filter = func(now clock.Time, from *sim.Device, b []byte) bool {
		if from == w.client.dev && len(b) > 500 {
			d.at, d.bytes = append(d.at, now), append(d.bytes, len(b))
		}
		return true
	}
}

// burst returns the most bytes that left within so long.
func (d *departures) burst(window time.Duration) (most int) {
	sum, first := 0, 0
	for i, at := range d.at {
		for sum += d.bytes[i]; at.Sub(d.at[first]) > window; first++ {
			sum -= d.bytes[first]
		}
		most = max(most, sum)
	}
	return most
}

// paced is a connection that sends without end over 20 ms, and what leaves of it.
func paced(t *testing.T, cfg tcp.Config, d time.Duration) (*departures, *flows) {
	t.Helper()
	p := path{rate: 100e6, rtt: 20 * time.Millisecond, queue: 1000}
	w, f := p.world(t, cfg)
	var gone departures
	gone.watch(w)
	w.start()
	w.runFor(d)
	return &gone, f
}

// TestPacingSmoothsBursts has what enters the path at once be no more than the pacing's quantum, where a window that opens fast
// would otherwise send many times that.
func TestPacingSmoothsBursts(t *testing.T) {
	const d, window = 300 * time.Millisecond, 100 * time.Microsecond
	const rate = 20e6 / 8 // of payload
	gone, _ := paced(t, tcp.Config{Congestion: "newreno", MaxPacingRate: rate}, d)
	quantum := int(rate*(0.0015+window.Seconds())) + 1514
	quantum += quantum * (1514 - 1448) / 1448
	all, _ := paced(t, tcp.Config{Congestion: "newreno"}, d)
	t.Logf("at most %d bytes within %v with pacing, the quantum is %d; %d without", gone.burst(window), window, quantum, all.burst(window))
	if gone.burst(window) > quantum {
		t.Error("more than the quantum leaves at once")
	}
	if all.burst(window) < 2*quantum {
		t.Error("without pacing the bursts are small too: this test shows nothing")
	}
}

// TestMaxPacingRateIsKept has the bound of the application be met within five percent, in both directions.
func TestMaxPacingRateIsKept(t *testing.T) {
	for _, rate := range []uint64{50_000, 400_000, 3_000_000} {
		const d = 4 * time.Second
		_, f := paced(t, tcp.Config{MaxPacingRate: rate}, d)
		got := float64(f.received[0]) / d.Seconds() / float64(rate)
		t.Logf("%d bytes/s: %.3f of it", rate, got)
		if got < 0.95 || got > 1.05 {
			t.Errorf("%d bytes/s: %.3f of it", rate, got)
		}
	}
}

// TestBurstLossIsRepairedInOneRecovery has a connection that loses half of a window at once repair it in one recovery without a
// timeout. RFC 6937 sends again as fast as the rest arrives, and then in slow start up to the threshold: everything is sent again within
// two round trips of the first duplicate ACK, and acknowledged one later.
func TestBurstLossIsRepairedInOneRecovery(t *testing.T) {
	for _, congestion := range []string{"newreno", "cubic", "bbr"} {
		p := path{rate: 100e6, rtt: 40 * time.Millisecond, queue: 1000}
		w, _ := p.world(t, tcp.Config{Congestion: congestion})
		s := w.startWith(congestion)
		w.runFor(400 * time.Millisecond)
		left := int(s.conn.Info().InFlight) / 1448 / 2
		lost := left
		w.link.Filter = func(_ clock.Time, from *sim.Device, b []byte) bool {
			if from != w.client.dev || len(b) < 500 || left == 0 {
				return true
			}
			left--
			return false
		}
		w.until(time.Second, "the loss was found", func() bool { return s.conn.Info().Recovery == "recovery" })
		found := w.net.Now()
		w.until(2*time.Second, "it was repaired", func() bool { return s.conn.Info().Recovery == "open" })
		trips := float64(w.net.Now().Sub(found)) / float64(s.conn.Info().RTT)
		t.Logf("%s: %d segments lost, repaired in %.1f round trips", congestion, lost, trips)
		if lost < 50 || trips > 4 {
			t.Errorf("%s: %d segments lost, repaired in %.1f round trips", congestion, lost, trips)
		}
		if r, err := w.client.Report(); err != nil || r[0].Stats.TCP.Timeouts != 0 {
			t.Errorf("%s: a timeout was needed", congestion)
		}
	}
}
