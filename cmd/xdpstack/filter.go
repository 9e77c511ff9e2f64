package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/filter"
)

type filterCommand struct {
	streams
	process processFlags
	pid     string
	asJSON  bool
	force   bool
	span    time.Duration
	syn     string
	packets string
	burst   uint64
	most    int
}

func newFilter(io streams) *cobra.Command {
	f := &filterCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "filter",
		Short: "Refuse packets by their source, in the kernel, while a process runs",
		Long: `Changes what a running process lets in: rules that deny or allow IPv4 prefixes, and how many SYNs and
packets a second each source may send. The XDP program drops the rest, before it costs the process
anything. What is the kernel's is never touched.

Of the rules whose prefix has a source, the longest decides; a source that is allowed has no limits
either. Of a prefix there is one rule: the last one.

A change that would cut off the operator, whom SSH_CONNECTION or a TCP connection of this machine tells
of, is refused without --force.`,
		Example: `  sudo xdpstack filter deny 198.51.100.0/24 --for 10m
  sudo xdpstack filter allow 198.51.100.7
  sudo xdpstack filter rate --syn 100/s --packets 10k/s
  sudo xdpstack filter top
  sudo xdpstack filter save > list && sudo xdpstack filter load list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("filter %s is unknown: there are show, deny, allow, remove, rate, clear, load, save and top", args[0])
			}
			return nil
		},
		RunE: f.show,
	}
	cmd.PersistentFlags().StringVar(&f.process.socket, "socket", "", "path of the control socket, instead of a PID")
	cmd.PersistentFlags().StringVar(&f.pid, "pid", "", "the process, if several run")
	cmd.PersistentFlags().BoolVar(&f.asJSON, "json", false, "write JSON")
	_ = cmd.RegisterFlagCompletionFunc("pid", completePID)
	cmd.AddCommand(f.subcommands()...)
	return cmd
}

func (f *filterCommand) subcommands() []*cobra.Command {
	some := func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("which prefix? for example 198.51.100.0/24")
		}
		return nil
	}
	none := func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("too many arguments: %s", strings.Join(args, " "))
		}
		return nil
	}
	deny := &cobra.Command{Use: "deny PREFIX...", Short: "Drop what comes from prefixes", Args: some, RunE: f.rule(filter.Deny)}
	deny.Flags().DurationVar(&f.span, "for", 0, "remove the rules after this time: 10m")
	allow := &cobra.Command{Use: "allow PREFIX...", Short: "Let in what comes from prefixes, without limits", Args: some,
		RunE: f.rule(filter.Allow)}
	remove := &cobra.Command{Use: "remove PREFIX...", Short: "Take rules away", Args: some, RunE: f.remove}
	rate := &cobra.Command{Use: "rate", Short: "Limit what each source may send", Args: none, RunE: f.rate,
		Example: "  sudo xdpstack filter rate --syn 100/s --packets 10k/s --burst 500\n  sudo xdpstack filter rate --syn off"}
	rate.Flags().StringVar(&f.syn, "syn", "", "SYNs a second: 100/s, 10k/s, off")
	rate.Flags().StringVar(&f.packets, "packets", "", "packets a second, of whatever kind")
	rate.Flags().Uint64Var(&f.burst, "burst", 0, "how many may come at once after a pause; default those of a second")
	load := &cobra.Command{Use: "load FILE", Short: "Replace all rules and rates by those of a file, at once", RunE: f.load,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one file, or - for the standard input")
			}
			return nil
		}}
	all := []*cobra.Command{deny, allow, remove, load}
	all = append(all, &cobra.Command{Use: "clear", Short: "Take all rules and rates away", Args: none, RunE: f.clear})
	for _, c := range append(all, rate) {
		c.Flags().BoolVar(&f.force, "force", false, "even if that cuts off your own session")
	}
	top := &cobra.Command{Use: "top", Short: "Show the sources of which most was dropped", Args: none, RunE: f.top}
	top.Flags().IntVarP(&f.most, "lines", "n", 20, "how many")
	return append(all, rate, top,
		&cobra.Command{Use: "show", Short: "Show rules, rates and what they dropped", Args: none, RunE: f.show},
		&cobra.Command{Use: "save", Short: "Write rules and rates as load reads them", Args: none, RunE: f.save})
}

func (f *filterCommand) client() (control.Client, error) {
	var args []string
	if f.pid != "" {
		args = []string{f.pid}
	}
	return f.process.find(f.err, args)
}

func (f *filterCommand) rule(v filter.Verdict) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if f.span < 0 || f.span != 0 && f.span < time.Second {
			return usagef("--for %v: want a second or more", f.span)
		}
		prefixes, err := parsePrefixes(args)
		if err != nil {
			return err
		}
		var c filter.Change
		for _, p := range prefixes {
			r := filter.Rule{Prefix: p, Verdict: v}
			if f.span != 0 {
				r.Until = time.Now().Add(f.span).Round(0)
			}
			c.Rules = append(c.Rules, r)
		}
		return f.change(cmd.Context(), &c)
	}
}

func parsePrefixes(args []string) (all []netip.Prefix, err error) {
	for _, a := range args {
		p, err := filter.ParsePrefix(a)
		if err != nil {
			return nil, usageError{err}
		}
		all = append(all, p)
	}
	return all, nil
}

func (f *filterCommand) remove(cmd *cobra.Command, args []string) error {
	prefixes, err := parsePrefixes(args)
	if err != nil {
		return err
	}
	return f.change(cmd.Context(), &filter.Change{Remove: prefixes})
}

func (f *filterCommand) clear(cmd *cobra.Command, _ []string) error {
	return f.change(cmd.Context(), &filter.Change{Clear: true})
}

// rate changes the limits that are given, and leaves the others.
func (f *filterCommand) rate(cmd *cobra.Command, _ []string) error {
	if f.syn == "" && f.packets == "" {
		return usagef("which rate? --syn, --packets or both")
	}
	var parsed filter.Rates
	for _, r := range []struct {
		text string
		to   *filter.Rate
	}{{f.syn, &parsed.SYNs}, {f.packets, &parsed.Packets}} {
		if r.text == "" {
			continue
		}
		var err error
		if *r.to, err = filter.ParseRate(r.text); err != nil {
			return usageError{err}
		}
		r.to.Burst = f.burst
	}
	state, err := f.state(cmd.Context())
	if err != nil {
		return err
	}
	if f.syn == "" {
		parsed.SYNs = state.Rates.SYNs
	}
	if f.packets == "" {
		parsed.Packets = state.Rates.Packets
	}
	return f.change(cmd.Context(), &filter.Change{Rates: &parsed})
}

func (f *filterCommand) load(cmd *cobra.Command, args []string) error {
	in, name := f.in, "standard input"
	if args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		in, name = file, args[0]
	}
	list, err := filter.ParseList(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	packed, err := filter.Pack(&list)
	if err != nil {
		return err
	}
	return f.change(cmd.Context(), &filter.Change{List: packed})
}

func (f *filterCommand) save(cmd *cobra.Command, _ []string) error {
	state, err := f.state(cmd.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return writeJSON(f.out, state)
	}
	return (&filter.List{Rules: state.Rules, Rates: state.Rates}).Write(f.out)
}

func (f *filterCommand) state(ctx context.Context) (s filter.State, err error) {
	client, err := f.client()
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = client.Get(ctx, "/filter", &s)
	return s, err
}

// change asks for a change and says what came of it.
func (f *filterCommand) change(ctx context.Context, c *filter.Change) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	c.Force, c.Operator = f.force, operator()
	var out filter.Outcome
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := client.Post(ctx, "/filter", c, &out); err != nil {
		return err
	}
	if f.asJSON {
		return writeJSON(f.out, out)
	}
	for _, p := range out.Missing {
		fmt.Fprintf(f.err, "there was no rule for %v\n", p)
	}
	if out.Cut > 0 {
		fmt.Fprintf(f.err, "%d established connections of the stack are cut off: their peers are denied now\n", out.Cut)
	}
	_, err = fmt.Fprintf(f.out, "%d rules in force\n", out.Rules)
	return err
}

// operator returns the address that whoever runs this is connected from; not valid if that is unknown. sudo keeps neither variable by
// default: then the connection itself tells, which the process looks for.
func operator() netip.Addr {
	for _, name := range []string{"SSH_CONNECTION", "SSH_CLIENT"} {
		if words := strings.Fields(os.Getenv(name)); len(words) > 0 {
			if a, err := netip.ParseAddr(words[0]); err == nil && a.Unmap().Is4() {
				return a.Unmap()
			}
		}
	}
	return netip.Addr{}
}
