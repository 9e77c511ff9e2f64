package load

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// handed is what a worker hands over for a snapshot.
type handed struct {
	rec      *recorder
	epoch    int
	state    State
	gauges   Gauges
	now      clock.Time
	from     clock.Time
	elapsed  time.Duration
	tcp, was tcp.Stats
	cpu      CPU
	start    clock.Time
}

// handOver gives away what was recorded, and records in fresh from now on.
func (w *worker) handOver(fresh *recorder) (h handed) {
	w.gauges.Waiting = w.waiting.n
	h = handed{rec: w.rec, epoch: w.epoch, state: w.state, gauges: w.gauges, now: w.shard.Now(), from: w.from, tcp: w.shard.TCPStats(),
		was: w.tcpBase, cpu: w.cpuBase, start: w.start}
	if w.idle {
		h.state = Finished
	}
	if w.state > Opening {
		end := h.now
		if w.state >= Draining {
			end = w.end
		}
		h.elapsed = max(min(end, w.end).Sub(w.from), 1)
	}
	w.rec = fresh
	return h
}

// Snapshot returns what has happened so far. It does not disturb the shards, who swap what they record into.
func (r *Run) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Snapshot{At: time.Now(), State: Finished, Err: r.Err()}
	var total *recorder
	var now, from, start clock.Time
	var base CPU
	for i, w := range r.workers {
		var h handed
		if w.shard.Do(func(*stack.Shard) { h = w.handOver(r.spare) }) != nil {
			h = w.handOver(r.spare) // its goroutine has ended
		}
		p := &r.parts[i]
		if h.epoch != p.epoch {
			p.epoch = h.epoch
			if p.rec.forget(); !w.prepares() {
				p.rec.reset()
			}
		}
		p.rec.add(h.rec)
		h.rec.reset()
		r.spare = h.rec
		if total == nil {
			total = p.rec.clone()
		} else {
			total.add(p.rec)
		}
		s.State = min(s.State, h.state)
		s.Elapsed = max(s.Elapsed, h.elapsed)
		s.Gauges.add(&h.gauges)
		s.TCP = metrics.Add(s.TCP, metrics.Sub(h.tcp, h.was))
		if now, start = max(now, h.now), max(start, h.start); i == 0 || h.from > from {
			from, base = h.from, h.cpu
		}
	}
	s.Counts, s.Histograms = total.Counts, total.Histograms
	if from != r.from { // said once, so that it is the same each time
		r.from, r.since = from, dayOf(from)
	}
	s.Since = r.since
	s.CPU = cpuTime()
	s.CPU.User -= base.User
	s.CPU.System -= base.System
	if s.State == WarmUp || s.State == Running {
		s.Rate = rateAt(r.phases, now.Sub(start))
	}
	return s
}

func (g *Gauges) add(o *Gauges) {
	g.Open += o.Open
	g.Opening += o.Opening
	g.InFlight += o.InFlight
	g.Waiting += o.Waiting
}
