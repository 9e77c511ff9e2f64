package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/show"
)

// children are what this program is when it starts itself again.
var children = map[string]func(ctx context.Context, emit child.Emit, args []string) (any, error){
	"core":  measureCore,
	"serve": serve,
	"load":  drive,
	"raw":   raw,
	"hop":   forward,
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "compare" {
		os.Exit(runCompare(os.Stdout, os.Stderr, os.Args[2:]))
	}
	if len(os.Args) > 1 {
		if f, ok := children[os.Args[1]]; ok {
			os.Exit(child.Inside(func(ctx context.Context, emit child.Emit) (any, error) { return f(ctx, emit, os.Args[2:]) }))
		}
	}
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	quick    bool
	only     []string
	json     string
	chart    string
	html     string
	show     string
	times    times
	prefer   bool
	markdown bool
	profile  string // directory

	plan       bool // only show it
	profileAll bool // not only what does not meet its target
}

// times say how long and how often.
type times struct {
	coreRepeats, repeats, pathRepeats int
	coreWarmup, coreWindow            time.Duration
	warmup, window, rawWindow         time.Duration
	pathWarmup, pathWindow            time.Duration
}

var (
	thorough = times{
		coreRepeats: 5, repeats: 5, pathRepeats: 4, coreWarmup: 200 * time.Millisecond, coreWindow: time.Second,
		warmup: 500 * time.Millisecond, window: 1500 * time.Millisecond, rawWindow: 1500 * time.Millisecond,
		pathWarmup: 1500 * time.Millisecond, pathWindow: 2800 * time.Millisecond,
	}
	brief = times{
		coreRepeats: 2, repeats: 1, pathRepeats: 1, coreWarmup: 100 * time.Millisecond, coreWindow: 200 * time.Millisecond,
		warmup: 200 * time.Millisecond, window: 500 * time.Millisecond, rawWindow: 500 * time.Millisecond,
		pathWarmup: 500 * time.Millisecond, pathWindow: time.Second,
	}
)

func parse(args []string) (options, error) {
	o := options{times: thorough}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&o.quick, "quick", false, "few repeats and short windows: to see that it works, not to quote")
	all := groups()
	only := fs.String("only", "", "run only what begins with one of these names, separated by commas: "+strings.Join(names(all), ", "))
	fs.StringVar(&o.json, "json", "results/bench.json", "where to write the report; empty for nowhere")
	fs.StringVar(&o.chart, "chart", "results/bench.svg", "where to write the chart; empty for nowhere")
	fs.StringVar(&o.html, "html", "results/bench.html", "where to write the page; empty for nowhere")
	fs.StringVar(&o.show, "show", "", "print the table of a report that was written before, and run nothing")
	fs.BoolVar(&o.plan, "plan", false, "say what there is to do and about how long it takes, and run nothing")
	fs.BoolVar(&o.markdown, "markdown", false, "with -show: print the table as the README has it")
	fs.BoolVar(&o.prefer, "prefer", false, "put what is measured over veth before all other processes: for a machine that is busy with other things")
	fs.StringVar(&o.profile, "profile", "results/profiles",
		"directory for profiles of xdpstack's process, from one more turn of each benchmark with a target that is not met, or of every one "+
			"if this flag is given; empty, or with -quick, for none")
	repeats := fs.Int("repeats", 0, "repeats of each benchmark, instead of 5, or 4 over bad paths")
	window := fs.Duration("window", 0, "measured time of each run, instead of 1s in memory, 1.5s over veth and 2.8s over bad paths")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.markdown && o.show == "" {
		return o, errors.New("-markdown needs -show with a report that was written before")
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: flags only, see -help", fs.Arg(0))
	}
	if o.quick {
		o.times = brief
	}
	if *repeats > 0 {
		o.times.coreRepeats, o.times.repeats, o.times.pathRepeats = *repeats, *repeats, *repeats
	}
	if *window > 0 {
		o.times.coreWindow, o.times.window, o.times.rawWindow, o.times.pathWindow = *window, *window, *window, *window
	}
	fs.Visit(func(f *flag.Flag) { o.profileAll = o.profileAll || f.Name == "profile" })
	if o.quick && !o.profileAll {
		o.profile = ""
	}
	if o.profile != "" { // a child's working directory may be another
		dir, err := filepath.Abs(o.profile)
		if err != nil {
			return o, err
		}
		o.profile = dir
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
		if err := checkOnly(o.only, all); err != nil {
			return o, err
		}
	}
	return o, nil
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.show != "" {
		r, err := result.Read(o.show)
		if err != nil {
			return err
		}
		if o.markdown {
			show.Markdown(os.Stdout, r)
		} else {
			show.Table(os.Stdout, r)
		}
		return nil
	}
	if o.plan {
		s := &session{options: o}
		s.showPlan(os.Stdout, groups())
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if o.prefer {
		if err := child.FavourSession(); err != nil {
			return err
		}
	}
	started := time.Now()
	s := &session{options: o, started: started}
	r := s.all(ctx, groups())
	r.Started, r.Took, r.Quick, r.Stopped = started, time.Since(started), o.quick, ctx.Err() != nil
	s.clearLine()
	show.Table(os.Stdout, r)
	if o.html != "" {
		if err := show.HTML(o.html, r); err != nil {
			return err
		}
	}
	if o.json != "" {
		if err := r.Write(o.json); err != nil {
			return err
		}
	}
	if o.chart != "" {
		if err := show.Chart(o.chart, r); err != nil && !errors.Is(err, show.ErrNothing) {
			return err
		}
	}
	if ctx.Err() != nil {
		return errors.New("stopped")
	}
	return nil
}
