package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/show"
	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// children are what this program is when it starts itself again.
var children = map[string]func(ctx context.Context, emit child.Emit, args []string) (any, error){
	"core":  measureCore,
	"scale": measureScale,
	"pair":  measurePair,
	"serve": serve,
	"load":  drive,
	"raw":   raw,
	"hop":   forward,
	"visit": visit,
	"flood": floodSYNs,
	"watch": watchServer,
}

func main() {
	if guest.IsInit() {
		guest.Main()
	}
	if len(os.Args) > 1 && os.Args[1] == "zerocopy" {
		os.Exit(runZeroCopy(os.Stdout, os.Stderr, os.Args[2:]))
	}
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

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.show != "" {
		return again(o)
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
	if o.json != standardOutput {
		show.Table(os.Stdout, r)
	}
	if err := o.write(r); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("stopped")
	}
	return nil
}

// again shows a report that was written before.
func again(o options) error {
	r, err := result.Read(o.show)
	if err != nil {
		return err
	}
	if o.markdown {
		show.Markdown(os.Stdout, r)
	} else {
		show.Table(os.Stdout, r)
	}
	return o.write(r)
}

// write stores the report in every form that has a file's name.
func (o *options) write(r *result.Report) error {
	if o.json == standardOutput {
		if err := r.Print(os.Stdout); err != nil {
			return err
		}
	} else if o.json != "" {
		if err := r.Write(o.json); err != nil {
			return err
		}
	}
	if o.html != "" {
		if err := show.HTML(o.html, r); err != nil {
			return err
		}
	}
	if o.chart != "" {
		if err := show.Chart(o.chart, r); err != nil && !errors.Is(err, show.ErrNothing) {
			return err
		}
	}
	return nil
}
