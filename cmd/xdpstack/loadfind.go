package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/report"
	"github.com/xdpstack/xdpstack/internal/search"
	"github.com/xdpstack/xdpstack/load"
	"github.com/xdpstack/xdpstack/stack"
)

// loadFind are the flags of load that have it search a rate.
type loadFind struct {
	conditions, rates string
	votes             int
	width             share
	limit             time.Duration

	conditionList []report.Expectation
	first, top    float64 // rates
}

func (f *loadFind) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.conditions, "find", "", "search the highest rate at which this holds: p99<5ms,errors<0.1%")
	cmd.Flags().StringVar(&f.rates, "find-rates", "100..1M", "with --find: the first rate, and the highest that is tried")
	cmd.Flags().IntVar(&f.votes, "find-votes", 3, "with --find: trials of a rate, of which most decide")
	cmd.Flags().Var(&f.width, "find-width", "with --find: how close to the limit it gets (default 5%)")
	cmd.Flags().DurationVar(&f.limit, "find-limit", 0, "with --find: bound on the time of the search (default none)")
}

// parse reads the values of the flags.
func (f *loadFind) parse() (err error) {
	if f.conditionList, err = report.ParseExpectations(f.conditions, loadVocabulary()); err != nil {
		return usagef("--find: %w", err)
	}
	first, top, ok := strings.Cut(f.rates, "..")
	if !ok {
		return usagef("--find-rates %s: want two rates, such as 100..50k", f.rates)
	}
	if f.first, err = parseRate(first); err == nil {
		f.top, err = parseRate(top)
	}
	if err != nil {
		return usagef("--find-rates %s: %w", f.rates, err)
	}
	if !(f.first > 0 && f.top >= f.first) {
		return usagef("--find-rates %s: want a first rate above 0, and a higher one", f.rates)
	}
	if f.votes < 1 {
		return usagef("--find-votes %d: want 1 or more", f.votes)
	}
	return nil
}

// refuse finds flags that do not go with a search.
func (l *loadCommand) refuse(cfg *load.Config) error {
	if err := l.find.parse(); err != nil {
		return err
	}
	p, r := &l.plan, &l.results
	switch {
	case p.rate != "" || p.ramp != "" || p.step != "" || p.requests != 0:
		return usagef("--find tries rates of its own: leave out --rate, --ramp, --step and --requests; --duration is that of a trial")
	case cfg.Mode != load.Requests && cfg.Mode != load.Connections:
		return usagef("--find and --kind %v: want requests or connections, which come at a rate", cfg.Mode)
	case p.failFast:
		return usagef("--find and --fail-fast: failures are what some rates bring")
	case len(r.expect) > 0 || r.hdr != "" || r.html != "" || r.prometheus != "" || r.worker != "" || r.startAt != "":
		return usagef("--find has results of its own: of the flags for results it takes --json only")
	}
	return nil
}

// findTrial is what came of one trial.
type findTrial struct {
	Rate     float64       `json:"rate"`
	Duration time.Duration `json:"duration_ns"`
	Holds    bool          `json:"holds"`
	Why      string        `json:"why,omitempty"` // what did not hold
	Done     float64       `json:"done_per_second"`
	Failed   uint64        `json:"failed"`
	P50      int64         `json:"p50_ns"`
	P99      int64         `json:"p99_ns"`
}

// found is the result of a search.
type found struct {
	Conditions string        `json:"conditions"`
	Lower      float64       `json:"lower_bound"` // the highest rate at which they held; 0: none
	Upper      float64       `json:"upper_bound"` // the lowest above it at which they did not; 0: none
	End        string        `json:"end"`
	Regular    bool          `json:"regular"` // the bounds are as close as asked for
	Inverted   []float64     `json:"inverted,omitempty"`
	Took       time.Duration `json:"took_ns"`
	Trials     []findTrial   `json:"trials"`
}

// keeps is the share of a rate that must be done for it to count: what is not done in time piles up.
const keeps = 0.95

// search does trials, each with run, until it knows. It tells of each.
func (f *loadFind) search(trial time.Duration, tell func(findTrial, time.Duration),
	run func(rate float64, d time.Duration) (*report.Result, error)) (*found, error) {
	out := &found{Conditions: f.conditions}
	var left time.Duration
	h := search.Highest{Range: search.Range{Min: min(1, f.first), Max: f.top}, Start: f.first, Width: float64(f.width),
		Duration: trial, Votes: f.votes, Limits: search.Limits{Time: f.limit}, Progress: func(e search.Event) { left = e.Remaining }}
	result, _, err := h.Search(func(t search.Trial) (bool, time.Duration, error) {
		began := time.Now()
		r, err := run(t.Load, t.Duration)
		if err != nil {
			return false, 0, err
		}
		took := time.Since(began)
		out.Took += took
		one := judgeTrial(t, r, f.conditionList)
		out.Trials = append(out.Trials, one)
		tell(one, max(left-took, 0))
		return one.Holds, took, nil
	})
	out.Lower, out.Upper, out.Inverted, out.End = result.Lower, result.Upper, result.Inverted, result.End.String()
	out.Regular = result.End == search.Narrow
	if err != nil && len(out.Trials) == 0 {
		return nil, err
	}
	return out, err
}

// judgeTrial says whether a trial's result meets all conditions, and the one that goes without saying.
func judgeTrial(t search.Trial, r *report.Result, conditions []report.Expectation) findTrial {
	one := findTrial{Rate: t.Load, Duration: t.Duration, Done: r.Rate(r.RateOf), Failed: r.Failed()}
	if h := r.Histograms[r.Main]; h != nil && h.TotalCount() > 0 {
		one.P50, one.P99 = h.ValueAtPercentile(50), h.ValueAtPercentile(99)
	}
	holds := report.CheckAll(conditions, r)
	var why []string
	for _, o := range r.Outcomes {
		if !o.Met {
			why = append(why, o.Expectation+": "+o.Measured)
		}
	}
	if one.Done+float64(r.Failed())/t.Duration.Seconds() < keeps*t.Load-1/t.Duration.Seconds() {
		holds = false
		why = append(why, fmt.Sprintf("only %s/s ended", report.FormatCount(one.Done)))
	}
	one.Holds, one.Why = holds, strings.Join(why, "; ")
	return one
}

// seek does the search, and says what it found.
func (l *loadCommand) seek(ctx context.Context, st *stack.Stack, cfg load.Config) error {
	trial := cfg.Duration - cfg.WarmUp
	cfg.Duration = 0
	f, err := l.find.search(trial, l.tellTrial, func(rate float64, d time.Duration) (*report.Result, error) {
		c := cfg
		c.Phases = []load.Phase{{From: rate, To: rate, For: d + cfg.WarmUp}}
		run, err := load.Start(st, c)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := errors.Join(run.Wait(ctx), ctx.Err()); err != nil {
			return nil, err
		}
		head := report.Result{Tool: "load", Main: "total", RateOf: "done"}
		return report.NewRecorder(head, began).End(time.Now(), loadTotals(run.Snapshot())), nil
	})
	if f == nil {
		return err
	}
	l.showFound(f)
	if l.results.json != "" {
		err = errors.Join(err, l.writeFound(f))
	}
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(l.err, "interrupted; above is what was known by then")
		return errReported
	case err == nil && f.Lower == 0:
		return fmt.Errorf("there is no rate at which %s", f.Conditions)
	}
	return err
}

// text is where people read: not where JSON goes.
func (l *loadCommand) text() io.Writer {
	if l.results.json == "-" {
		return l.err
	}
	return l.out
}

func (l *loadCommand) tellTrial(t findTrial, left time.Duration) {
	verdict := "holds"
	if !t.Holds {
		verdict = "no: " + t.Why
	}
	p50, p99 := report.FormatDuration(time.Duration(t.P50)), report.FormatDuration(time.Duration(t.P99))
	fmt.Fprintf(l.text(), "%10s/s  p50 %-8s p99 %-8s failed %-6d %s; about %v left\n", report.FormatCount(t.Rate), p50, p99, t.Failed,
		verdict, left.Round(time.Second))
}

func (l *loadCommand) showFound(f *found) {
	w := l.text()
	switch {
	case f.Lower > 0 && f.Upper > 0:
		fmt.Fprintf(w, "\n%s holds at %s/s, and not at %s/s (%s; %d trials in %v)\n", f.Conditions, report.FormatCount(f.Lower),
			report.FormatCount(f.Upper), f.End, len(f.Trials), f.Took.Round(time.Second))
	case f.Lower > 0:
		fmt.Fprintf(w, "\n%s holds at %s/s, which is as far as was tried (%s)\n", f.Conditions, report.FormatCount(f.Lower), f.End)
	default:
		fmt.Fprintf(w, "\n%s holds at no rate that was tried (%s)\n", f.Conditions, f.End)
	}
	for _, r := range f.Inverted {
		fmt.Fprintf(w, "but not at %s/s, which is on the other side: it depends on more than the rate\n", report.FormatCount(r))
	}
}

func (l *loadCommand) writeFound(f *found) error {
	if l.results.json == "-" {
		return writeJSON(l.out, f)
	}
	file, err := os.Create(l.results.json)
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(file, f), file.Close())
}
