package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/iperf3"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

type iperf3Command struct {
	streams
	link   linkFlags
	server bool
	client string
	port   uint16
	cpus   []int

	asJSON   bool
	format   string
	interval float64
	logFile  string

	oneOff bool
	limit  string

	params                                        iperf3.Params
	seconds, omit, parallel, mss, tos             int
	bytes, blocks, length, window, bitrate, fq    string
	dscp                                          string
	reverse, bidir, noDelay, serverOutput         bool
	connectTimeout, rcvTimeout                    int // ms
	udp, sctp, six, daemon                        bool
	zeroCopy, four, verbose, debug, flush, repeat bool
	pacingTimer                                   string
}

func newIperf3(io streams) *cobra.Command {
	c := &iperf3Command{streams: io}
	cmd := &cobra.Command{
		Use:   "iperf3 --interface IFACE -a ADDR/LEN (-s | -c SERVER)",
		Short: "Measure bulk throughput with the iperf3 of another machine as the peer",
		Long: `Speaks iperf3's protocol over the stack, as its server (-s) or its client (-c): the ordinary iperf3 of the
other machine is the peer. The options are iperf3's, where they make sense; TCP only. -i is the interval, as it
is there, so the interface has its long name. docs/iperf3.md tells more.

Ctrl-C ends a client's test early: what was done is exchanged with the server and reported.`,
		Example: `  sudo xdpstack iperf3 --interface eth0 -a 192.0.2.10/24 -s
  sudo xdpstack iperf3 --interface eth0 -a 192.0.2.10/24 -c 192.0.2.1 -t 30 -P 4
  sudo xdpstack iperf3 --interface eth0 -a 192.0.2.10/24 -c 192.0.2.1 -R --json | jq .end.sum_received.bits_per_second`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.link.registerAs(cmd, "")
	c.registerCommon(cmd)
	c.registerClient(cmd)
	c.registerOthers(cmd)
	choices(cmd, "congestion", "cubic", "reno", "bbr", "dctcp")
	choices(cmd, "format", strings.Split(iperf3.Formats, "")...)
	return cmd
}

func (c *iperf3Command) registerCommon(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&c.server, "server", "s", false, "be the server")
	f.StringVarP(&c.client, "client", "c", "", "be the client of this server: an address or a name")
	f.Uint16VarP(&c.port, "port", "p", iperf3.DefaultPort, "port of the server")
	f.IntSliceVar(&c.cpus, "cpus", nil, "CPU of each queue's shard, -1 for any (default near the interrupt, where there is one)")
	f.BoolVarP(&c.asJSON, "json", "J", false, "write iperf3's JSON")
	f.StringVarP(&c.format, "format", "f", "", "unit of rates: k, m, g, t in bits, K, M, G, T in bytes (default what fits)")
	f.Float64VarP(&c.interval, "interval", "i", 1, "seconds between reports; 0: none")
	f.StringVar(&c.logFile, "logfile", "", "file to write to, at its end, instead of standard output")
	f.BoolVarP(&c.oneOff, "one-off", "1", false, "server: end after one test")
	f.StringVar(&c.limit, "server-bitrate-limit", "", "server: refuse tests that may send more than so many bits/s (default no bound)")
	f.IntVar(&c.rcvTimeout, "rcv-timeout", 120000, "milliseconds without data after which a test of bytes or blocks fails")
}

func (c *iperf3Command) registerClient(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVarP(&c.seconds, "time", "t", 0, "seconds to send for (default 10)")
	f.StringVarP(&c.bytes, "bytes", "n", "", "bytes to send in sum, instead of a time: 512M")
	f.StringVarP(&c.blocks, "blockcount", "k", "", "blocks to send in sum, instead of a time")
	f.StringVarP(&c.length, "length", "l", "", "bytes of a block (default 128K)")
	f.IntVarP(&c.parallel, "parallel", "P", 1, "streams in a direction")
	f.BoolVarP(&c.reverse, "reverse", "R", false, "the server sends")
	f.BoolVar(&c.bidir, "bidir", false, "both send")
	f.StringVarP(&c.bitrate, "bitrate", "b", "", "bits/s of each stream: 100M (default no bound)")
	f.StringVar(&c.fq, "fq-rate", "", "bits/s of each stream, paced by TCP packet by packet (default no bound)")
	f.IntVarP(&c.omit, "omit", "O", 0, "seconds at the beginning that do not count")
	f.StringVarP(&c.window, "window", "w", "", "bytes of the socket buffers (default they follow the path)")
	f.IntVarP(&c.mss, "set-mss", "M", 0, "largest segment, in bytes of payload and options")
	f.BoolVarP(&c.noDelay, "no-delay", "N", false, "send small segments at once")
	f.StringVarP(&c.params.Congestion, "congestion", "C", "", "congestion control at both ends: cubic, reno, bbr or dctcp here")
	f.IntVarP(&c.tos, "tos", "S", 0, "type of service of the packets, 0 to 255")
	f.StringVar(&c.dscp, "dscp", "", "DSCP of the packets, 0 to 63")
	f.StringVarP(&c.params.Title, "title", "T", "", "text in front of each line")
	f.StringVar(&c.params.ExtraData, "extra-data", "", "text to put into the JSON of both ends")
	f.BoolVar(&c.serverOutput, "get-server-output", false, "show what the server has printed, too")
	f.IntVar(&c.connectTimeout, "connect-timeout", 10000, "milliseconds that connecting may take")
}

// registerOthers has those of iperf3's options that change nothing here, and those that cannot be had.
func (c *iperf3Command) registerOthers(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&c.zeroCopy, "zerocopy", "Z", false, "nothing: see --mode for zero-copy of frames")
	f.BoolVarP(&c.four, "version4", "4", false, "nothing: it is IPv4 anyway")
	f.BoolVarP(&c.verbose, "verbose", "V", false, "nothing")
	f.BoolVarP(&c.debug, "debug", "d", false, "nothing")
	f.BoolVar(&c.flush, "forceflush", false, "nothing: each line is written at once")
	f.BoolVar(&c.repeat, "repeating-payload", false, "nothing: one random block is sent again and again anyway")
	f.StringVar(&c.pacingTimer, "pacing-timer", "", "nothing: it is a millisecond")
	f.BoolVarP(&c.udp, "udp", "u", false, "not supported")
	f.BoolVar(&c.sctp, "sctp", false, "not supported")
	f.BoolVarP(&c.six, "version6", "6", false, "not supported")
	f.BoolVarP(&c.daemon, "daemon", "D", false, "not supported")
	for _, name := range []string{"zerocopy", "version4", "verbose", "debug", "forceflush", "repeating-payload", "pacing-timer",
		"udp", "sctp", "version6", "daemon",
		"server-bitrate-limit"} { // its name is too long for the help; docs/iperf3.md has it
		if err := f.MarkHidden(name); err != nil {
			panic(err) // a flag of another name
		}
	}
}

// clientFlags are those that a server has no use for.
var clientFlags = []string{"time", "bytes", "blockcount", "length", "parallel", "reverse", "bidir", "bitrate", "fq-rate", "omit", "window",
	"set-mss", "no-delay", "congestion", "tos", "dscp", "title", "extra-data", "get-server-output", "connect-timeout"}

// check finds mistakes in the command line and fills in the parameters.
func (c *iperf3Command) check(cmd *cobra.Command) error {
	switch {
	case c.server && c.client != "":
		return usagef("it cannot be both server and client: give -s or -c SERVER")
	case !c.server && c.client == "":
		return usagef("server or client? give -s or -c SERVER")
	case c.link.iface == "":
		return usagef("which interface? give --interface IFACE: -i is the interval here")
	case c.udp:
		return usagef("-u: only TCP is supported; xdpstack load and gen send UDP")
	case c.sctp:
		return usagef("--sctp: only TCP is supported")
	case c.six:
		return usagef("-6: only IPv4 is supported")
	case c.daemon:
		return usagef("-D: run it as a service of the system, or with nohup")
	case c.format != "" && (len(c.format) != 1 || !strings.Contains(iperf3.Formats, c.format)):
		return usagef("-f %s: want one of %s", c.format, strings.Join(strings.Split(iperf3.Formats, ""), ", "))
	case !(c.interval == 0 || c.interval >= 0.1 && c.interval <= 3600):
		return usagef("-i %v: want 0 for no reports, or 0.1 to 3600 seconds", c.interval)
	}
	for _, name := range clientFlags {
		if c.server && cmd.Flags().Changed(name) {
			return usagef("--%s is the client's to say", name)
		}
	}
	if c.client != "" && (c.oneOff || c.limit != "") {
		return usagef("--one-off and --server-bitrate-limit are for a server")
	}
	return c.fill(cmd)
}

// fill makes parameters of the flags.
func (c *iperf3Command) fill(cmd *cobra.Command) error {
	p := &c.params
	number := func(flag, text string, parse func(string) (int64, error), into *iperf3.Number) error {
		if text == "" {
			return nil
		}
		v, err := parse(text)
		if err != nil {
			return usagef("--%s %w", flag, err)
		}
		*into = iperf3.Number(v)
		return nil
	}
	rate := func(s string) (int64, error) { // what comes after a slash is a burst
		s, _, _ = strings.Cut(s, "/")
		return iperf3.ParseRate(s)
	}
	err := errors.Join(
		number("bytes", c.bytes, iperf3.ParseBytes, &p.Num), number("blockcount", c.blocks, iperf3.ParseBytes, &p.Blocks),
		number("length", c.length, iperf3.ParseBytes, &p.Len), number("window", c.window, iperf3.ParseBytes, &p.Window),
		number("bitrate", c.bitrate, rate, &p.Bandwidth), number("fq-rate", c.fq, rate, &p.FQRate),
	)
	if err != nil {
		return err
	}
	ends := 0
	for _, name := range []string{"time", "bytes", "blockcount"} {
		if cmd.Flags().Changed(name) {
			ends++
		}
	}
	if ends > 1 {
		return usagef("only one of -t, -n and -k can say when the test ends")
	}
	if c.dscp != "" {
		var v int
		if _, err := fmt.Sscanf(c.dscp, "%v", &v); err != nil || v < 0 || v > 63 {
			return usagef("--dscp %s: want a number within 0 to 63", c.dscp)
		}
		c.tos = v << 2
	}
	p.Time, p.Omit, p.Parallel = iperf3.Number(c.seconds), iperf3.Number(c.omit), iperf3.Number(c.parallel)
	p.MSS, p.TOS = iperf3.Number(c.mss), iperf3.Number(c.tos)
	p.Reverse, p.Bidirectional = iperf3.Flag(c.reverse), iperf3.Flag(c.bidir)
	p.NoDelay, p.GetServerOutput = iperf3.Flag(c.noDelay), iperf3.Flag(c.serverOutput)
	if cmd.Flags().Changed("time") && c.seconds <= 0 {
		return usagef("-t %d: want a number of seconds above 0", c.seconds)
	}
	if c.client == "" {
		return nil
	}
	p.Defaults()
	if err := p.Check(); err != nil {
		return usageError{err}
	}
	return nil
}

func (c *iperf3Command) run(cmd *cobra.Command) (err error) {
	if err := c.check(cmd); err != nil {
		return err
	}
	cfg, err := c.link.config()
	if err != nil {
		return err
	}
	cfg.CPUs = c.cpus
	cfg.AFXDP.AdaptiveFill, cfg.AFXDP.KeepProcessor = true, true // bulk data, and a process that does nothing else
	if c.zeroCopy {
		fmt.Fprintln(c.err, "xdpstack: -Z changes nothing: blocks are written into the frames that are sent; see --mode for those")
	}
	out := iperf3.Output{W: c.out, JSON: c.asJSON, Version: readVersion().Version}
	out.Interval = time.Duration(c.interval * float64(time.Second))
	if c.interval == 0 {
		out.Interval = -1
	}
	if c.format != "" {
		out.Format = c.format[0]
	}
	if c.logFile != "" {
		f, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out.W = io.Writer(f)
	}
	ctx := cmd.Context()
	var target netip.AddrPort
	if c.client != "" {
		if target, err = c.target(ctx); err != nil {
			return err
		}
	}
	st, err := stack.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if c.server {
		return c.serve(ctx, st, cfg.TCP, out)
	}
	_, err = iperf3.Run(ctx, iperf3.ClientConfig{
		Stack: st, TCP: cfg.TCP, Server: target, Params: c.params, Output: out,
		Connect: time.Duration(c.connectTimeout) * time.Millisecond, Timeouts: c.timeouts(),
	})
	if err != nil && c.asJSON {
		return errReported // the document has it
	}
	return err
}

func (c *iperf3Command) timeouts() iperf3.Timeouts {
	return iperf3.Timeouts{Idle: time.Duration(min(c.rcvTimeout, math.MaxInt32)) * time.Millisecond}
}

func (c *iperf3Command) serve(ctx context.Context, st *stack.Stack, cfg tcp.Config, out iperf3.Output) error {
	limit := int64(0)
	if c.limit != "" {
		rate, _, _ := strings.Cut(c.limit, "/")
		var err error
		if limit, err = iperf3.ParseRate(rate); err != nil {
			return usagef("--server-bitrate-limit %w", err)
		}
	}
	return iperf3.Serve(ctx, iperf3.ServerConfig{
		Stack: st, TCP: cfg, Port: c.port, OneOff: c.oneOff, Limit: limit, Output: out, Timeouts: c.timeouts(),
		Warn: func(err error) { fmt.Fprintln(c.err, "xdpstack:", err) },
	})
}

// target finds the server's address.
func (c *iperf3Command) target(ctx context.Context) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(c.client)
	if err != nil {
		found, lookupErr := net.DefaultResolver.LookupNetIP(ctx, "ip4", c.client)
		if lookupErr != nil || len(found) == 0 {
			return netip.AddrPort{}, fmt.Errorf("iperf3: error - unable to connect to server: %w", lookupErr)
		}
		addr = found[0].Unmap()
	}
	if !addr.Is4() {
		return netip.AddrPort{}, usagef("-c %s: only IPv4 is supported", c.client)
	}
	return netip.AddrPortFrom(addr, c.port), nil
}
