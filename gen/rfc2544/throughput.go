package rfc2544

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/xdpstack/xdpstack/internal/search"
)

// offers is what is remembered of the trials at a load, beyond what the search knows.
type offers struct {
	rate  float64 // the highest at which frames were really sent in a trial that was borne; 0: there is none
	short bool    // the sender fell short then
}

// retries is how often a trial is repeated in which the sender fell short: something may have kept it from sending, once. If it always
// falls short the rate is beyond it, and what it did send is what the device bears or not.
const retries = 2

// throughput searches the highest rate (sections 24 and 26.1).
func (r *runner) throughput() error {
	seen := map[float64]*offers{}
	tooFast := math.Inf(1) // the lowest rate at which the sender fell short again and again, though it is within its reach
	allowed := r.PDR
	var received uint64
	var told search.Event // what the search said of the trial that it asks for
	measure := func(t search.Trial) (search.Outcome, error) {
		trial := Trial{Rate: t.Load, Duration: t.Duration}
		rest := max(told.Remaining-t.Duration-r.Wait-r.Settle, 0)
		var took time.Duration
		for again := retries; ; again-- {
			o, err := r.trial(trial, Event{Step: told.Goal, Lower: told.Lower, Upper: told.Upper, Remaining: rest})
			if err != nil {
				return search.Outcome{}, err
			}
			received += o.Received
			took += o.Took
			if r.short(&trial, &o) {
				if again > 0 && t.Load < tooFast {
					continue
				}
				tooFast = min(tooFast, t.Load)
			}
			return search.Outcome{Loss: r.lost(&trial, &o, allowed, seen), Took: took}, nil
		}
	}
	progress := func(e search.Event) {
		if e.Outcome == nil {
			told = e
			or(&told.Goal, "search")
		}
	}
	goals, found, err := r.search(measure, progress)
	for i := range found {
		if f := &found[i]; f.End != search.Stopped || f.Lower > 0 || f.Upper > 0 {
			r.row.Throughput = append(r.row.Throughput, r.rate(&goals[i], f, seen))
		}
	}
	if err == nil && received == 0 {
		r.row.Throughput = nil
		return impossibleError{errNoFrames}
	}
	return err
}

// search does the one that is configured.
func (r *runner) search(measure search.Measure, progress func(search.Event)) ([]search.Goal, []search.Found, error) {
	goals := r.goals()
	if r.Method == MLR {
		m := search.MLR{Range: r.rates(), Goals: goals, Limits: r.Limits, Progress: progress}
		found, _, err := m.Search(measure)
		return goals, found, err
	}
	b := search.Binary{Range: r.rates(), Width: r.Width, Duration: r.Trial, Limits: r.Limits, Progress: progress}
	found, _, err := b.Search(measure)
	return goals, []search.Found{found}, err
}

// goals returns what is searched.
func (r *runner) goals() (goals []search.Goal) {
	if r.NDR {
		goals = append(goals, search.NDR(r.Trial))
	}
	if r.PDR > 0 {
		goals = append(goals, search.PDR(r.PDR, r.Trial))
	}
	if len(goals) == 0 {
		goals = append(goals, search.RFC2544(r.Trial))
	}
	for i := range goals {
		goals[i].Width = max(r.Width, goals[i].Loss)
		goals[i].Initial = max(goals[i].Initial, min(r.Trial, 10*time.Millisecond)) // less says nothing about a rate
	}
	return goals
}

// lost returns the share of the frames that were sent and did not come, and remembers what was sent.
func (r *runner) lost(t *Trial, o *Outcome, allowed float64, seen map[float64]*offers) float64 {
	s := seen[t.Rate]
	if s == nil {
		s = &offers{}
		seen[t.Rate] = s
	}
	loss := o.loss()
	if offered := min(o.offered(t), t.Rate); loss <= allowed && offered > s.rate {
		s.rate, s.short = offered, r.short(t, o)
	}
	return loss
}

// hiccup is how long a sender in software may be kept from sending in any trial, however short. What is reported is what was sent.
const hiccup = 5 * time.Millisecond

// short reports whether the sender fell short of the rate.
func (r *runner) short(t *Trial, o *Outcome) bool {
	missing := 1 - o.offered(t)/t.Rate
	return missing > max(r.Shortfall, min(0.1, hiccup.Seconds()/t.Duration.Seconds()))
}

// rate makes a row's entry of what was found for a goal.
func (r *runner) rate(g *search.Goal, f *search.Found, seen map[float64]*offers) Rate {
	out := Rate{Goal: g.Name, Loss: g.Loss, Lower: f.Lower, Upper: f.Upper, Regular: f.End == search.Narrow, Inverted: len(f.Inverted)}
	if out.Rate = f.Throughput; out.Rate == 0 && f.Short {
		out.Rate = f.Lower
	}
	var notes []error
	s := seen[f.Lower]
	switch {
	case s != nil && s.short, f.End == search.AboveMax && r.row.Sender > 0:
		out.Regular = false
		notes = append(notes, errors.New("the sender's limit: no more was sent"))
	case f.End != search.Narrow:
		notes = append(notes, errors.New(f.End.String()))
	}
	if s != nil && s.rate > 0 { // what was sent, where it was less than asked for
		out.Rate *= s.rate / f.Lower
		out.Lower = s.rate
		if out.Regular && f.Upper-s.rate > f.Upper*(g.Width+r.Shortfall) {
			out.Regular = false
			notes = append(notes, fmt.Errorf("sent %.1f %% slower than asked for", 100*(1-s.rate/f.Lower)))
		}
	}
	out.Bits = out.Rate * (r.row.Size.Mean() + overhead) * 8
	out.Share = out.Rate / r.row.Line
	if f.Short {
		notes = append(notes, errors.New("from shorter trials"))
	}
	if len(f.Inverted) > 0 {
		notes = append(notes, fmt.Errorf("%d higher rates were borne", len(f.Inverted)))
	}
	out.Note = join(notes)
	return out
}

func join(notes []error) (text string) {
	for i, n := range notes {
		if i > 0 {
			text += "; "
		}
		text += n.Error()
	}
	return text
}

// borne returns the rate that latency is measured at, and bursts are compared with: the strictest goal's.
func (r *runner) borne() (float64, error) {
	if len(r.row.Throughput) == 0 || r.row.Throughput[0].Lower == 0 {
		return 0, impossibleError{errors.New("there is no throughput to measure it at")}
	}
	return r.row.Throughput[0].Lower, nil
}
