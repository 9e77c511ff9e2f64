package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

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
		warmup: 500 * time.Millisecond, window: 1500 * time.Millisecond, rawWindow: time.Second,
		pathWarmup: 1500 * time.Millisecond, pathWindow: 2400 * time.Millisecond,
	}
	brief = times{
		coreRepeats: 2, repeats: 1, pathRepeats: 1, coreWarmup: 100 * time.Millisecond, coreWindow: 200 * time.Millisecond,
		warmup: 200 * time.Millisecond, window: 500 * time.Millisecond, rawWindow: 500 * time.Millisecond,
		pathWarmup: 500 * time.Millisecond, pathWindow: time.Second,
	}
)

// standardOutput is how the report's file is named that is none.
const standardOutput = "-"

func parse(args []string) (options, error) {
	o := options{times: thorough}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&o.quick, "quick", false, "few repeats and short windows: to see that it works, not to quote")
	all := groups()
	only := fs.String("only", "", "run only what begins with one of these names, separated by commas: "+strings.Join(names(all), ", "))
	const files = "; by default results/bench%s, or results/quick%[1]s with -quick; empty for nowhere"
	fs.StringVar(&o.json, "json", "", "where to write the report, - for standard output and no table"+fmt.Sprintf(files, ".json"))
	fs.StringVar(&o.chart, "chart", "", "where to write the chart"+fmt.Sprintf(files, ".svg"))
	fs.StringVar(&o.html, "html", "", "where to write the page"+fmt.Sprintf(files, ".html"))
	fs.StringVar(&o.show, "show", "", "print the table of a report that was written before, and run nothing; "+
		"-chart and -html write it, too")
	fs.BoolVar(&o.plan, "plan", false, "say what there is to do and about how long it takes, and run nothing")
	fs.BoolVar(&o.markdown, "markdown", false, "with -show: print the table as the README has it")
	fs.BoolVar(&o.prefer, "prefer", false, "put what is measured over veth before all other processes: for a machine that is busy")
	fs.StringVar(&o.profile, "profile", "results/profiles",
		"directory for profiles of xdpstack's process, from one more turn of each benchmark with a target that is not met, or of "+
			"every one if this flag is given; empty, or with -quick, for none")
	repeats := fs.Int("repeats", 0, "repeats of each benchmark, instead of 5, or 4 over bad paths")
	window := fs.Duration("window", 0, "measured time of each run, instead of 1s in memory and of raw frames, 1.5s over veth and "+
		"2.4s over bad paths")
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
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	o.profileAll = given["profile"]
	if o.quick && !o.profileAll {
		o.profile = ""
	}
	o.name(given)
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

// name sets what files are called that were not named: nothing for a report that is only shown again.
func (o *options) name(given map[string]bool) {
	if o.show != "" {
		return
	}
	base := "results/bench"
	if o.quick {
		base = "results/quick"
	}
	for _, f := range []struct {
		flag string
		file *string
		ext  string
	}{{"json", &o.json, ".json"}, {"chart", &o.chart, ".svg"}, {"html", &o.html, ".html"}} {
		if !given[f.flag] {
			*f.file = base + f.ext
		}
	}
}
