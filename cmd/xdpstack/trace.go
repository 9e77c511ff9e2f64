package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/trace"
	"github.com/xdpstack/xdpstack/stack"
)

type traceCommand struct {
	streams
	process processFlags
	query   trace.Query
	asJSON  bool
	samples bool
	chart   string
	length  time.Duration
}

func newTrace(io streams) *cobra.Command {
	t := &traceCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "trace TUPLE [PID]",
		Short: "Follow a connection of a running xdpstack process: states, window, round trips, losses",
		Long: `Asks a running process, through its control socket, to tell what happens to a connection, as it happens:
changes of state, losses and how they were found, what was sent again, the congestion window and the
round-trip time after each, closed windows, and times in which the application had nothing to send.
Windows are shown in segments.

TUPLE is ADDRESS:PORT-ADDRESS:PORT, or one end; * stands for any address or port. Which end is this host's
does not matter. The first connection that matches is followed, with --conns more of them: those that are
open first, then such as are opened later. It ends with the connections, or when interrupted.

Connections that are not followed pay nothing for it. If events come faster than they can be sent, some
are left out, and the next one says how many.`,
		Example: `  sudo xdpstack trace 10.0.0.1:40000-10.0.0.2:80
  sudo xdpstack trace '*:80' --conns 10 --json | jq 'select(.event == "rto")'
  sudo xdpstack trace 10.0.0.9 4711 --chart transfer.html --for 10s
  sudo xdpstack trace '*:80' --chart - --for 5s`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("the TUPLE is missing: which connection?")
			case len(args) > 2:
				return usagef("too many arguments: %s", strings.Join(args[2:], " "))
			}
			return nil
		},
		RunE: t.run,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return completePID(cmd, args, prefix)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	t.process.registerSocket(cmd)
	f := cmd.Flags()
	f.IntVar(&t.query.Conns, "conns", 1, "connections to follow, at most")
	f.DurationVar(&t.query.Interval, "interval", 10*time.Millisecond, "time between two samples of a connection, at least")
	f.BoolVar(&t.samples, "samples", false, "show the samples too, not only what happens")
	f.BoolVar(&t.asJSON, "json", false, "write JSON, a line for each event and sample")
	f.StringVar(&t.chart, "chart", "", "at the end, draw the first connection into this file, .svg or .html; -: here, as text")
	f.DurationVar(&t.length, "for", 0, "end after this time; 0: with the connections")
	_ = cmd.RegisterFlagCompletionFunc("chart", cobra.FixedCompletions([]string{"svg", "html"}, cobra.ShellCompDirectiveFilterFileExt))
	return cmd
}

func (t *traceCommand) check(tuple string) error {
	if _, err := trace.ParseTuple(tuple); err != nil {
		return usagef("%s: %v", tuple, err)
	}
	if t.query.Conns < 1 || t.query.Conns > stack.MaxTraceConns {
		return usagef("--conns %d: want 1 to %d", t.query.Conns, stack.MaxTraceConns)
	}
	if t.query.Interval <= 0 || t.length < 0 {
		return usagef("--interval %v --for %v: want times above 0", t.query.Interval, t.length)
	}
	if ext := filepath.Ext(t.chart); t.chart != "" && t.chart != "-" && ext != ".svg" && ext != ".html" {
		return usagef("--chart %s: want a name that ends in .svg or .html, or -", t.chart)
	}
	if t.chart == "-" && t.asJSON {
		return usagef("--chart - and --json: one of both")
	}
	return nil
}

func (t *traceCommand) run(cmd *cobra.Command, args []string) error {
	if err := t.check(args[0]); err != nil {
		return err
	}
	t.query.Tuple = args[0]
	client, err := t.process.find(t.err, args[1:])
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if t.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.length)
		defer cancel()
	}
	sum := traceSummary{conns: map[int]bool{}}
	if err := t.follow(ctx, client, &sum); err != nil && ctx.Err() == nil {
		return err
	}
	if !t.asJSON {
		fmt.Fprintln(t.out, sum.String())
	}
	if t.chart != "" {
		return t.draw(&sum.chart)
	}
	return nil
}

// follow shows events until there are no more.
func (t *traceCommand) follow(ctx context.Context, client control.Client, sum *traceSummary) error {
	began := func() { fmt.Fprintf(t.err, "tracing %s\n", t.query.Tuple) }
	for a, err := range trace.Ask(ctx, client, t.query, began) {
		if err != nil {
			return err
		}
		sum.add(&a.Event)
		switch {
		case t.asJSON:
			_, err = fmt.Fprintf(t.out, "%s\n", a.JSON)
		case a.Kind != "sample" || t.samples:
			_, err = fmt.Fprintln(t.out, a.Text())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *traceCommand) draw(c *trace.Chart) error {
	if t.chart == "-" {
		columns, colors := 80, false
		if f, ok := t.out.(*os.File); ok && isTerminal(f) {
			colors = os.Getenv("NO_COLOR") == ""
			if n, _, err := term.GetSize(int(f.Fd())); err == nil {
				columns = n
			}
		}
		fmt.Fprintln(t.out)
		return c.Text(t.out, columns, colors)
	}
	f, err := os.Create(t.chart)
	if err != nil {
		return fmt.Errorf("--chart: %w", err)
	}
	defer f.Close()
	write := c.SVG
	if filepath.Ext(t.chart) == ".html" {
		write = c.HTML
	}
	if err := write(f); err != nil {
		return fmt.Errorf("--chart %s: %w", t.chart, err)
	}
	return f.Close()
}

// traceSummary is what a trace had in all.
type traceSummary struct {
	conns                           map[int]bool
	events, samples, losses, resent uint64
	missing                         uint64
	last                            float64
	chart                           trace.Chart
}

func (s *traceSummary) add(e *trace.Event) {
	s.conns[e.Conn] = true
	s.events++
	switch {
	case e.Kind == "sample":
		s.samples++
	case e.Kind == "retransmit":
		s.resent += e.N
	case e.Loss():
		s.losses += max(e.N, 1)
	}
	s.missing, s.last = max(s.missing, e.Dropped), e.Time
	s.chart.Add(e)
}

func (s *traceSummary) String() string {
	text := fmt.Sprintf("%d connections in %.3f s: %d events and %d samples, %d losses, %d segments sent again", len(s.conns), s.last,
		s.events-s.samples, s.samples, s.losses, s.resent)
	if s.missing > 0 {
		text += fmt.Sprintf("; %d events are missing, they came too fast: a longer --interval makes fewer", s.missing)
	}
	return text
}
