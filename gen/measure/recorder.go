package measure

import (
	"sync"

	"github.com/xdpstack/xdpstack/internal/metrics"
)

// Recorder is a Meter that one goroutine, or several, use while another looks at what was measured so far. Who measures takes it for a
// batch of packets; who looks holds it only for as long as it takes to exchange histograms, and adds them up afterwards.
type Recorder struct {
	mu    sync.Mutex
	meter *Meter

	look  sync.Mutex   // held by Report, guards what follows
	total []histograms // of each stream, but for what the meter has now
	spare []histograms // likewise, empty
	last  Counts       // those of the report before
}

// NewRecorder makes a Recorder.
func NewRecorder(cfg Config) (*Recorder, error) {
	m, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Recorder{meter: m}, nil
}

// Take returns the meter, which is the caller's until Release.
func (r *Recorder) Take() *Meter {
	r.mu.Lock()
	return r.meter
}

// Release gives the meter back.
func (r *Recorder) Release() { r.mu.Unlock() }

// Report tells what was measured so far, and in its Since fields what was since the last one.
func (r *Recorder) Report() Report {
	r.look.Lock()
	defer r.look.Unlock()
	streams, counts := r.exchange()
	since := newHistograms()
	for i := range streams {
		s := &streams[i]
		since.merge(&r.spare[i])
		r.total[i].merge(&r.spare[i])
		r.spare[i].reset()
		s.setHistograms(&r.total[i])
	}
	report := Report{Counts: counts, Streams: streams, Since: metrics.Sub(counts, r.last), latencySince: since.latency}
	report.sum(r.total)
	r.last = counts
	return report
}

// Counts returns the counters so far. It is cheaper than Report.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.meter.counts
	for _, s := range r.meter.streams {
		counts = metrics.Add(counts, s.counts)
	}
	return counts
}

// exchange takes the histograms of all streams, which are in spare then, and returns the counters.
func (r *Recorder) exchange() ([]StreamReport, Counts) {
	known := 0
	for {
		r.mu.Lock()
		if now := len(r.meter.streams); now > known { // memory for them is made while nobody waits
			r.mu.Unlock()
			for known = now; len(r.spare) < known; {
				r.spare, r.total = append(r.spare, newHistograms()), append(r.total, newHistograms())
			}
			continue
		}
		break
	}
	defer r.mu.Unlock()
	m := r.meter
	counts := m.counts
	streams := make([]StreamReport, len(m.streams))
	for i, s := range m.streams {
		s.hists, r.spare[i] = r.spare[i], s.hists
		streams[i] = s.report()
		counts = metrics.Add(counts, s.counts)
	}
	return streams, counts
}
