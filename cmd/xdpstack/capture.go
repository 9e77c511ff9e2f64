package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/packets"
	"github.com/xdpstack/xdpstack/stack"
)

type captureCommand struct {
	streams
	process processFlags
	pid     string
	file    string
	drops   bool
	reason  string
	snap    int
	count   uint64
	span    time.Duration
	queue   int
	asJSON  bool
}

func newCapture(io streams) *cobra.Command {
	c := &captureCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "capture [FILTER]",
		Short: "Show what a running process receives, sends and drops, or write it to a pcapng file",
		Long: `Asks a running process for its packets: a line of text for each, or with -w a pcapng file that Wireshark
and tshark open. A packet that was dropped says why, in a comment of the file. What the XDP program drops
and answers before the process has it is seen too, up to 256 bytes of each (Linux 5.18); what is the
kernel's is not.

FILTER is a part of tcpdump's language:

` + packets.Help,
		Example: `  sudo xdpstack capture tcp port 80 and syn
  sudo xdpstack capture --drops-only
  sudo xdpstack capture -w web.pcapng --duration 10s --snaplen 128 host 192.0.2.7
  sudo xdpstack capture -w - | tshark -r -`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), strings.Join(args, " ")) },
		ValidArgs: []string{
			"host", "net", "port", "portrange", "src", "dst", "ip", "arp", "tcp", "udp", "icmp", "syn", "ack", "fin", "rst", "less",
			"greater", "and", "or", "not",
		},
	}
	c.process.registerSocket(cmd)
	f := cmd.Flags()
	f.StringVar(&c.pid, "pid", "", "the process, if several run")
	f.StringVarP(&c.file, "write", "w", "", "write a pcapng file; - for the standard output")
	f.BoolVar(&c.drops, "drops-only", false, "only what was dropped")
	f.StringVar(&c.reason, "reason", "", "only what was dropped for a reason that begins so: drop_no_listener, steer_dropped")
	f.IntVar(&c.snap, "snaplen", 65535, "bytes of each packet that are kept")
	f.Uint64Var(&c.count, "count", 0, "end after so many packets")
	f.DurationVar(&c.span, "duration", 0, "end after this time")
	f.IntVar(&c.queue, "queue", -1, "only of this queue")
	f.BoolVar(&c.asJSON, "json", false, "write JSON, a line for each packet")
	_ = cmd.RegisterFlagCompletionFunc("pid", completePID)
	_ = cmd.RegisterFlagCompletionFunc("reason", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return stack.DropReasons(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (c *captureCommand) query(filter string) (url.Values, error) {
	if _, err := packets.Parse(filter); err != nil {
		return nil, usageError{err}
	}
	switch {
	case c.snap < 14 || c.snap > 65535:
		return nil, usagef("--snaplen %d: want 14 to 65535", c.snap)
	case c.span < 0:
		return nil, usagef("--duration %v: it cannot be negative", c.span)
	case c.asJSON && c.file != "":
		return nil, usagef("--json and -w: one of both")
	case c.file == "-" && isTerminal(c.out):
		return nil, usagef("-w -: the standard output is a terminal")
	}
	q := url.Values{"filter": {filter}, "snaplen": {fmt.Sprint(c.snap)}, "reason": {c.reason}}
	if c.drops {
		q.Set("drops", "1")
	}
	if c.queue >= 0 {
		q.Set("queue", fmt.Sprint(c.queue))
	}
	return q, nil
}

func (c *captureCommand) run(ctx context.Context, filter string) (err error) {
	q, err := c.query(filter)
	if err != nil {
		return err
	}
	var args []string
	if c.pid != "" {
		args = []string{c.pid}
	}
	client, err := c.process.find(c.err, args)
	if err != nil {
		return err
	}
	if c.span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.span)
		defer cancel()
	}
	stream, err := client.Stream(ctx, "/capture?"+q.Encode())
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer stream.Close()
	out := bufio.NewWriter(c.out)
	if c.file != "" && c.file != "-" {
		f, err := os.OpenFile(c.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // it has what others have sent
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = bufio.NewWriter(f)
	}
	seen, lost, err := c.copy(out, stream, filter)
	if ctx.Err() != nil {
		err = nil
	}
	fmt.Fprintf(c.err, "%d packets captured, %d lost because this was too slow\n", seen, lost)
	return errors.Join(err, out.Flush())
}

// copy writes packets until there are enough, or the stream ends.
func (c *captureCommand) copy(w *bufio.Writer, stream io.Reader, filter string) (seen, lost uint64, err error) {
	write := func(r *packets.Record) error { return r.Line(w) }
	if c.asJSON {
		write = func(r *packets.Record) error { return json.NewEncoder(w).Encode(r) }
	}
	flush := w.Flush
	if c.file != "" {
		f, err := packets.NewFile(w, "xdpstack", filter, c.snap)
		if err != nil {
			return 0, 0, err
		}
		write = f.Write
		flush = func() error { return errors.Join(f.Flush(), w.Flush()) }
		defer func() { err = errors.Join(err, f.Close(seen, lost)) }()
	}
	in := json.NewDecoder(stream)
	for c.count == 0 || seen < c.count {
		var r packets.Record
		if err := in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return seen, lost, nil
			}
			return seen, lost, fmt.Errorf("the process ended, or what it sends is not understood: %w", err)
		}
		if lost = r.Lost; len(r.Data) > 0 {
			seen++
			if err := write(&r); err != nil {
				return seen, lost, err
			}
		}
		if in.Buffered().(interface{ Len() int }).Len() < 2 { // it has caught up: who looks wants to see
			if err := flush(); err != nil {
				return seen, lost, err
			}
		}
	}
	return seen, lost, nil
}
