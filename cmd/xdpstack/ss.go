package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/ss"
	"github.com/xdpstack/xdpstack/tcp"
)

type ssCommand struct {
	streams
	process processFlags
	query   ss.Query
	show    ssShow

	all, listening, summary, asJSON bool
}

func newSS(io streams) *cobra.Command {
	s := &ssCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "ss [PID] [FILTER]",
		Short: "Show the connections of a running xdpstack process, as ss does the kernel's",
		Long: `Asks a running process, through its control socket, for its connections, listeners and UDP sockets, and
shows them in the columns of ss(8). Without PID, the only process that runs is meant. What does not match
FILTER never leaves the process, which looks at a few connections in a turn: a million of them do not
stop it.

FILTER is that of ss: "state NAME" and "exclude NAME", then conditions on src, dst, sport and dport, joined
by and, or, not and parentheses. Numbers can be compared too, a time in milliseconds or with its unit:
` + numberLines() + `

Of a listener Recv-Q is how many connections wait for the application, and Send-Q how many may.`,
		Example: `  sudo xdpstack ss -tan
  sudo xdpstack ss -ti state established dst 10.0.0.0/8
  sudo xdpstack ss '( dport = :http or sport >= :1024 ) and rtt > 50ms'
  sudo xdpstack ss -i --sort retrans --top 10
  sudo xdpstack ss 4711 --json state time-wait | jq -r .remote`,
		RunE:              s.run,
		ValidArgsFunction: completeFilter,
	}
	s.process.registerSocket(cmd)
	f := cmd.Flags()
	f.BoolVarP(&s.query.TCP, "tcp", "t", false, "TCP only")
	f.BoolVarP(&s.query.UDP, "udp", "u", false, "UDP only")
	f.BoolVarP(&s.all, "all", "a", false, "listeners, TIME-WAIT and half-open connections too")
	f.BoolVarP(&s.listening, "listening", "l", false, "listeners only")
	f.BoolVarP(&s.show.numeric, "numeric", "n", false, "ports as numbers")
	f.BoolVarP(&s.show.timer, "options", "o", false, "timers")
	f.BoolVarP(&s.show.extended, "extended", "e", false, "the shard, the connection's number on it and what handles it")
	f.BoolVarP(&s.show.memory, "memory", "m", false, "what connections hold: bytes and frames")
	f.BoolVarP(&s.show.process, "processes", "p", false, "the process")
	f.BoolVarP(&s.show.info, "info", "i", false, "what TCP knows of connections")
	f.BoolVarP(&s.show.oneline, "oneline", "O", false, "each connection on one line")
	f.BoolVarP(&s.show.noHeader, "no-header", "H", false, "no line with the names of the columns")
	f.BoolVarP(&s.summary, "summary", "s", false, "only how many there are in each state")
	f.BoolVar(&s.asJSON, "json", false, "write JSON, a line for each connection")
	f.StringVar(&s.query.Sort, "sort", "", "sort by a number, the largest first; with - before it the smallest")
	f.IntVar(&s.query.Top, "top", 0, "show so many, those that --sort puts first, or with the longest receive queues")
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(ss.Numbers(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func numberNames() (names []string) {
	for _, n := range ss.Numbers() {
		name, _, _ := strings.Cut(n, "\t")
		names = append(names, name)
	}
	return names
}

// numberLines are the names for the help, in lines that are not too long.
func numberLines() string {
	names := numberNames()
	half := len(names) / 2
	return strings.Join(names[:half], ", ") + ",\n" + strings.Join(names[half:], ", ") + "."
}

// completeFilter offers processes as the first word, and the words of filters.
func completeFilter(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	offer := []string{"state", "exclude", "src", "dst", "sport", "dport"}
	switch {
	case len(args) > 0 && (args[len(args)-1] == "state" || args[len(args)-1] == "exclude"):
		offer = ss.StateNames()
	case len(args) == 0:
		pids, _ := completePID(cmd, args, prefix)
		offer = append(pids, offer...)
	}
	return offer, cobra.ShellCompDirectiveNoFileComp
}

func (s *ssCommand) run(cmd *cobra.Command, args []string) error {
	pid, filter := splitPID(args)
	names := ss.SystemNames()
	f, err := ss.Parse(strings.Join(filter, " "), names.Port)
	if err != nil {
		return usageError{err}
	}
	if err := s.check(); err != nil {
		return err
	}
	s.query.Filter = f.String() // ports as numbers: the process may know other names, or none
	s.query.Raw = s.asJSON
	s.query.Info = s.show.info || s.show.memory || s.asJSON
	switch {
	case s.all:
		s.query.States = ss.StatesAll
	case s.listening:
		s.query.States = ss.StatesListening
	}
	client, err := s.process.find(s.err, pid)
	if err != nil {
		return err
	}
	if s.summary {
		return s.summarize(cmd.Context(), client)
	}
	s.show.out, s.show.names = s.out, names
	if s.show.process {
		var info control.Info
		if err := client.Get(cmd.Context(), "/info", &info); err != nil {
			return err
		}
		s.show.owner = fmt.Sprintf(`users:(("xdpstack",pid=%d))`, info.PID)
	}
	return s.list(cmd.Context(), client)
}

// splitPID takes the PID from the front of the words of a filter.
func splitPID(args []string) (pid, rest []string) {
	if len(args) > 0 && args[0] != "" && strings.Trim(args[0], "0123456789") == "" {
		return args[:1], args[1:]
	}
	return nil, args
}

func (s *ssCommand) check() error {
	if s.query.Top < 0 || s.query.Top > ss.MaxTop {
		return usagef("--top %d: want 1 to %d", s.query.Top, ss.MaxTop)
	}
	name := strings.TrimPrefix(s.query.Sort, "-")
	if all := numberNames(); s.query.Sort != "" && !slices.Contains(all, name) {
		return usagef("--sort %s: want one of %s", s.query.Sort, strings.Join(all, ", "))
	}
	if s.query.Sort != "" && s.query.Top == 0 {
		s.query.Top = ss.MaxTop
	}
	return nil
}

// list shows connections as they come.
func (s *ssCommand) list(ctx context.Context, client control.Client) error {
	if !s.asJSON {
		defer s.show.end()
	}
	for a, err := range ss.Ask(ctx, client, s.query) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if s.asJSON {
			if _, err := fmt.Fprintf(s.out, "%s\n", a.JSON); err != nil {
				return err
			}
			continue
		}
		if err := s.show.add(&a.Entry); err != nil {
			return err
		}
	}
	return nil
}

func (s *ssCommand) summarize(ctx context.Context, client control.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var sum ss.Summary
	if err := client.Get(ctx, ss.SummaryPath, &sum); err != nil {
		return err
	}
	if s.asJSON {
		return writeJSON(s.out, sum)
	}
	udp := sum.UDP["ESTAB"] + sum.UDP["UNCONN"]
	total := 0
	for _, n := range sum.TCP {
		total += n
	}
	fmt.Fprintf(s.out, "Total: %d\n", total+udp)
	fmt.Fprintf(s.out, "TCP:   %d (estab %d, closing %d, timewait %d, syn-recv %d, syn-sent %d, listening %d)\n", total, sum.TCP["ESTAB"],
		ss.Total(sum.TCP, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateCloseWait, tcp.StateClosing, tcp.StateLastAck),
		sum.TCP["TIME-WAIT"], sum.TCP["SYN-RECV"], sum.TCP["SYN-SENT"], sum.TCP["LISTEN"])
	fmt.Fprintf(s.out, "UDP:   %d (connected %d)\n", udp, sum.UDP["ESTAB"])
	if len(sum.Shards) > 1 {
		t := newTable(s.out, table.Row{"Shard", "Connections"}, 2)
		for i, n := range sum.Shards {
			t.AppendRow(table.Row{i, n})
		}
		t.Render()
	}
	return nil
}
