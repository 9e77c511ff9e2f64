package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/show"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/vm"
)

// guestOptions are those of "bench zerocopy".
type guestOptions struct {
	nics       string
	only       string
	repeats    int
	quick      bool
	json, html string
	timeout    time.Duration
}

// guestRun is one virtual machine and what is measured in it.
type guestRun struct {
	nic    string
	counts bool // its clock counts instructions
}

// runZeroCopy is "bench zerocopy": zero-copy beside copy mode in virtual machines, whose cards have it. With each model of card there are
// two: one that runs as fast as it can, for rates, and one whose clock counts instructions, for what a frame costs.
func runZeroCopy(w, errs io.Writer, args []string) int {
	var o guestOptions
	fs := flag.NewFlagSet("bench zerocopy", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.StringVar(&o.nics, "nic", "igb,virtio", "models of network cards")
	fs.StringVar(&o.only, "only", "zerocopy", "run only what begins with one of these names, separated by commas")
	fs.IntVar(&o.repeats, "repeats", 3, "repeats of each benchmark")
	fs.BoolVar(&o.quick, "quick", false, "one repeat and short windows: to see that it works, not to quote")
	fs.StringVar(&o.json, "json", "results/zerocopy.json", "where to write the report, - for standard output and no table; "+
		"empty for nowhere")
	fs.StringVar(&o.html, "html", "results/zerocopy.html", "where to write the page; empty for nowhere")
	fs.DurationVar(&o.timeout, "timeout", 20*time.Minute, "how long one virtual machine may run")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitFine
	} else if err != nil {
		return exitError
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	r, err := o.all(ctx, errs)
	if errors.Is(err, vm.ErrUnavailable) {
		fmt.Fprintln(errs, "bench zerocopy: not run:", err)
		return exitFine
	}
	if err == nil && o.json != standardOutput {
		show.Table(w, r)
	}
	if err == nil {
		err = (&options{json: o.json, html: o.html}).write(r)
	}
	if err != nil {
		fmt.Fprintln(errs, "bench zerocopy:", err)
		return exitError
	}
	return exitFine
}

// all runs every virtual machine, one after the other, and makes one report of theirs.
func (o *guestOptions) all(ctx context.Context, errs io.Writer) (*result.Report, error) {
	g, err := vm.Prepare(ctx, func(text string) { fmt.Fprintln(errs, text) })
	if err != nil {
		return nil, err
	}
	all := &result.Report{Started: time.Now(), Quick: o.quick}
	for _, nic := range strings.Split(o.nics, ",") {
		for _, counts := range []bool{false, true} {
			run := guestRun{nic: nic, counts: counts}
			if counts && countedOnly(o.only) == "" {
				continue
			}
			r, err := o.run(ctx, g, run, errs)
			if err != nil {
				return nil, err
			}
			run.add(all, r)
		}
	}
	for _, b := range all.Benchmarks {
		b.Finish()
		b.Judge()
	}
	all.Took = time.Since(all.Started)
	return all, nil
}

// run measures in one virtual machine.
func (o *guestOptions) run(ctx context.Context, g *vm.Guest, run guestRun, errs io.Writer) (*result.Report, error) {
	only := o.only
	cfg := vm.Config{NIC: run.nic}
	if run.counts {
		cfg.Accel, cfg.Processors, only = "count", 1, countedOnly(o.only)
	}
	args := []string{"-only", only, "-repeats", strconv.Itoa(o.repeats), "-json", standardOutput, "-html", "", "-chart", "", "-profile", ""}
	if o.quick {
		args = append(args, "-quick", "-repeats", "1")
	}
	if run.counts {
		args = append(args, "-window", "500ms")
	}
	p, err := vm.Load(ctx, "/proc/self/exe", args)
	if err != nil {
		return nil, err
	}
	out := &guestOutput{name: run.String(), errs: errs}
	p.Step.Timeout, p.Step.Output = o.timeout, out
	report, err := g.Run(ctx, cfg, p.Files, []vm.Step{p.Step})
	if err != nil {
		return nil, err
	}
	if e := report.Steps[0]; e.Status != 0 {
		return nil, fmt.Errorf("%s: status %d %s: %s", run, e.Status, e.Why, out.tail())
	}
	return out.report()
}

// countedOnly is what a clock that counts instructions says something about: what one processor does for both ends without waiting.
func countedOnly(only string) string {
	var names []string
	for _, counted := range []string{"zerocopy-send", "zerocopy-generate", "zerocopy-bulk"} {
		for prefix := range strings.SplitSeq(only, ",") {
			if strings.HasPrefix(counted, prefix) {
				names = append(names, counted)
			} else if strings.HasPrefix(prefix, counted) {
				names = append(names, prefix)
			}
		}
	}
	return strings.Join(names, ",")
}

// String says what the machine is.
func (g guestRun) String() string {
	if g.counts {
		return g.nic + ", counting"
	}
	return g.nic
}

// add takes over what was measured in the machine.
func (g guestRun) add(all, r *result.Report) {
	for _, b := range r.Benchmarks {
		b.Name = strings.Replace(b.Name, "zerocopy-", "zerocopy-"+g.nic+"-", 1)
		b.Title = g.nic + ": " + b.Title
		if g.counts {
			countInstructions(b)
		}
		all.Benchmarks = append(all.Benchmarks, b)
	}
	for _, c := range r.Conditions {
		switch c.Name {
		case "kernel", "processor", "other load", ourName, copyName:
			all.Conditions = append(all.Conditions, result.Condition{Name: g.String() + ": " + c.Name, Value: c.Value})
		}
	}
}

// countInstructions makes the benchmark one of instructions: a nanosecond of processor time was one.
func countInstructions(b *result.Benchmark) {
	b.Name, b.Title, b.Unit = b.Name+"-instructions", b.Title+": both ends, kernel included", "instructions/frame"
	b.Lower, b.Notes = true, nil
	for _, s := range b.Sides {
		s.ClientBound = false
		for i := range s.Runs {
			r := &s.Runs[i]
			r.Value = r.Extra[veth.BothPerFrame]
			r.Server, r.Client, r.Busy = result.CPU{}, result.CPU{}, 0
			r.Extra = map[string]float64{"process": r.Extra[veth.ProcessPerFrame], veth.PerKick: r.Extra[veth.PerKick]}
		}
	}
}

// guestOutput is what a benchmark in a virtual machine says: how far it is, and at the end the report.
type guestOutput struct {
	name string
	errs io.Writer
	all  bytes.Buffer
	told int
}

// Write passes on whole lines of progress.
func (g *guestOutput) Write(p []byte) (int, error) {
	g.all.Write(p)
	for {
		rest := g.all.Bytes()[g.told:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		if rest[0] == '[' {
			fmt.Fprintf(g.errs, "%s: %s\n", g.name, rest[:i])
		}
		g.told += i + 1
	}
}

// report reads the report.
func (g *guestOutput) report() (*result.Report, error) {
	_, text, found := bytes.Cut(g.all.Bytes(), []byte("\n{\n"))
	r := new(result.Report)
	if !found {
		return nil, fmt.Errorf("%s: no report: %s", g.name, g.tail())
	}
	if err := json.NewDecoder(io.MultiReader(strings.NewReader("{"), bytes.NewReader(text))).Decode(r); err != nil {
		return nil, fmt.Errorf("%s: read the report: %w", g.name, err)
	}
	return r, nil
}

// tail is the end of what was said.
func (g *guestOutput) tail() string {
	b := bytes.TrimSpace(g.all.Bytes())
	return string(b[max(0, len(b)-2000):])
}
