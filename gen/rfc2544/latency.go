package rfc2544

import (
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latency measures it at the throughput (section 26.2). Every frame carries its time, not only one in the middle of a trial.
func (r *runner) latency() error {
	rate, err := r.borne()
	if err != nil {
		return err
	}
	d := &Delay{Rate: rate}
	var all *hdrhistogram.Histogram
	var means float64
	for i := range r.LatencyTrials {
		e := Event{Step: fmt.Sprintf("%d of %d", i+1, r.LatencyTrials)}
		rest := r.LatencyTrial + r.Wait + r.Settle
		for range r.LatencyTrials - 1 - i {
			e.Remaining += rest
		}
		o, err := r.trial(Trial{Rate: rate, Duration: r.LatencyTrial}, e)
		if err != nil {
			return err
		}
		d.Lost += o.Sent - min(o.Received, o.Sent)
		if o.Latency == nil || o.Latency.TotalCount() == 0 {
			continue
		}
		d.Trials++
		means += o.Latency.Mean()
		if all == nil {
			all = hdrhistogram.Import(o.Latency.Export())
		} else {
			all.Merge(o.Latency)
		}
		d.fill(all, means)
		r.row.Latency = d // what is known by now, if the next trial is the last one
	}
	if all == nil {
		return impossibleError{errors.New("no frame came back with its time")}
	}
	return nil
}

func (d *Delay) fill(h *hdrhistogram.Histogram, means float64) {
	d.Frames = h.TotalCount()
	d.Mean = means / float64(d.Trials)
	d.Min, d.Max = h.Min(), h.Max()
	d.P50, d.P99, d.P999 = h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9)
}
