package rfc2544

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/internal/search"
)

// Event tells of the progress of a run, before and after each trial.
type Event struct {
	Test  Test
	Size  Size
	Step  string // what the trial is for: a goal, the number of a repetition
	Trial Trial
	// Outcome is nil before the trial.
	Outcome      *Outcome
	Trials       int
	Lower, Upper float64 // bounds of the search so far, frames a second or frames of a burst; 0: none
	Spent        time.Duration
	Remaining    time.Duration // of the whole run, an estimate
}

// errNoFrames is a failure of the setup rather than of the device.
var errNoFrames = errors.New("no frame came through, at any rate: is the way to the receiver right, and does the other end send back?")

// runner is a run under way.
type runner struct {
	Config
	ctx    context.Context
	device Device
	report *Report
	costs  costs
	// test and row are what is being measured, top the highest rate that is tried.
	test Test
	row  *Row
	top  float64
}

// Run does the benchmarks. When the context ends, or a trial fails, it returns what was measured by then and the error.
func Run(ctx context.Context, d Device, c Config) (*Report, error) {
	c.defaults()
	if err := c.Check(); err != nil {
		return nil, err
	}
	r := &runner{Config: c, ctx: ctx, device: d}
	r.report = &Report{Line: d.Line(), Method: c.Method, Trial: c.Trial, Wait: c.Wait, Settle: c.Settle, Width: c.Width,
		Deviations: c.Deviations()}
	r.costs.init(&c)
	for _, size := range c.Sizes {
		r.report.Rows = append(r.report.Rows, Row{Size: size})
		if err := r.size(&r.report.Rows[len(r.report.Rows)-1]); err != nil {
			r.report.Stopped = err.Error()
			return r.report, err
		}
	}
	return r.report, nil
}

// size does all tests of a size.
func (r *runner) size(row *Row) error {
	r.row = row
	row.Line = row.Size.Line(r.report.Line)
	if err := r.device.Check(row.Size); err != nil {
		row.Skipped = err.Error()
		r.costs.skip(row.Size)
		return nil
	}
	if err := r.reach(); err != nil {
		return err
	}
	for _, r.test = range r.Tests {
		var err error
		switch r.test {
		case Throughput:
			err = r.throughput()
		case Latency:
			err = r.latency()
		case Loss:
			err = r.loss()
		case BackToBack:
			err = r.backToBack()
		}
		r.costs.done(row.Size, r.test)
		var impossible impossibleError
		if errors.As(err, &impossible) {
			row.Failed = append(row.Failed, fmt.Sprintf("%s: %v", r.test, impossible))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// impossibleError is why a test cannot be done, while others may.
type impossibleError struct{ error }

// wanted returns the highest rate that is asked for.
func (r *runner) wanted() float64 {
	top := r.row.Line
	if r.MaxBits > 0 {
		top = r.row.Size.Line(r.MaxBits)
	}
	switch {
	case r.MaxRate == 0:
		return top
	case r.MaxBits == 0:
		return r.MaxRate
	}
	return min(top, r.MaxRate)
}

// sender is what events call the trials that find out what the sender reaches.
const sender Test = "sender"

// reach finds out whether the sender reaches the highest rate: the best of three short trials. If it is far from that, no higher rate than
// it does reach is tried: all of them would be the same one. If it is near, it may have been kept from sending just then.
func (r *runner) reach() error {
	const trials, near = 3, 0.8
	r.test, r.top = sender, r.wanted()
	t := Trial{Rate: r.top, Duration: max(r.Trial/10, min(r.Trial, 10*time.Millisecond))}
	best := 0.0
	for i := range trials {
		o, err := r.trial(t, Event{Step: fmt.Sprintf("%d of %d", i+1, trials)})
		if err != nil {
			return err
		}
		if o.Sent == 0 {
			return fmt.Errorf("nothing was sent at %.0f frames/s", t.Rate)
		}
		if best = max(best, o.offered(&t)); best >= t.Rate*near {
			return nil
		}
	}
	r.top, r.row.Sender = best, best
	return nil
}

// rates is the range of them.
func (r *runner) rates() search.Range {
	low := r.MinRate
	if low == 0 {
		low = max(r.top/1000, 1/r.Trial.Seconds()) // one frame at least
	}
	return search.Range{Min: min(low, r.top), Max: r.top}
}

// trial does one, and tells of it. Remaining in the event is what the test takes after this trial.
func (r *runner) trial(t Trial, e Event) (Outcome, error) {
	t.Size, t.Wait, t.Settle = r.row.Size, r.Wait, r.Settle
	e.Test, e.Size, e.Trial, e.Trials = r.test, r.row.Size, t, r.report.Trials
	later := r.costs.later(r.row.Size, r.test)
	length := t.Duration + t.Wait + t.Settle
	rest := e.Remaining
	e.Spent, e.Remaining = r.report.Took, length+rest+later
	r.tell(e)
	if err := r.ctx.Err(); err != nil {
		return Outcome{}, err
	}
	o, err := r.device.Trial(r.ctx, t)
	if err != nil {
		return o, fmt.Errorf("%s with frames of %v bytes: %w", r.test, r.row.Size, err)
	}
	o.Took = max(o.Took, length)
	r.report.Trials++
	r.report.Took += o.Took
	r.costs.spent(r.row.Size, r.test, o.Took)
	e.Outcome, e.Trials, e.Spent, e.Remaining = &o, r.report.Trials, r.report.Took, rest+later
	r.tell(e)
	return o, nil
}

func (r *runner) tell(e Event) {
	if r.Progress != nil {
		r.Progress(e)
	}
}
