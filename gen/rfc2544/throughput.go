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
	rate  float64 // the lowest at which frames were really sent
	short bool    // the sender fell short
	lossy bool    // the device lost frames
}

// retries is how often a trial is repeated in which the sender fell short: something kept it from sending, once, and what the device did
// then says nothing about the rate.
const retries = 2

// throughput searches the highest rate (sections 24 and 26.1).
func (r *runner) throughput() error {
	seen := map[float64]*offers{}
	tooFast := math.Inf(1) // the lowest rate at which the sender fell short again and again
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
			return search.Outcome{Loss: r.lost(&trial, &o, seen), Took: took}, nil
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

// lost returns the share of the load that was not borne. What the sender could not send counts if it is more than it may fall short.
func (r *runner) lost(t *Trial, o *Outcome, seen map[float64]*offers) float64 {
	s := seen[t.Rate]
	if s == nil {
		s = &offers{rate: t.Rate}
		seen[t.Rate] = s
	}
	offered := o.offered(t)
	s.rate = min(s.rate, offered)
	loss := o.loss()
	s.lossy = s.lossy || loss > 0
	if r.short(t, o) {
		s.short = true
		return 1 - (1-loss)*offered/t.Rate
	}
	return loss
}

// short reports whether the sender fell short of the rate.
func (r *runner) short(t *Trial, o *Outcome) bool { return o.offered(t) < t.Rate*(1-r.Shortfall) }

// rate makes a row's entry of what was found for a goal.
func (r *runner) rate(g *search.Goal, f *search.Found, seen map[float64]*offers) Rate {
	out := Rate{Goal: g.Name, Loss: g.Loss, Lower: f.Lower, Upper: f.Upper, Regular: f.End == search.Narrow, Inverted: len(f.Inverted)}
	if out.Rate = f.Throughput; out.Rate == 0 && f.Short {
		out.Rate = f.Lower
	}
	if s := seen[f.Lower]; s != nil && f.Lower > 0 {
		out.Rate *= s.rate / f.Lower // what was sent, where it was a little less than asked for
	}
	out.Bits = out.Rate * (r.row.Size.Mean() + overhead) * 8
	out.Share = out.Rate / r.row.Line
	var notes []error
	if f.End != search.Narrow {
		notes = append(notes, errors.New(f.End.String()))
	}
	if f.Short {
		notes = append(notes, errors.New("from shorter trials"))
	}
	if s := seen[f.Upper]; s != nil && s.short && !s.lossy {
		notes = append(notes, errors.New("the sender's limit: the device lost nothing of what was sent"))
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
