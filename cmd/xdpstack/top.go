package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/web"
)

type topCommand struct {
	streams
	process  processFlags
	interval time.Duration
	once     bool
	asJSON   bool
	order    string
	filter   string
}

func newTop(io streams) *cobra.Command {
	c := &topCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "top [PID]",
		Short: "Watch a running xdpstack process: rates, queues, drops, busiest connections",
		Long: `Shows what a running process does, anew each second, until q is pressed: rates of packets and connections,
what each queue does, how large its batches are, what was dropped and what to do about that, and the busiest
connections. Without PID, the only process that runs is meant.

  q       quit                            p, space   stop and go on
  s       sort connections by the next    /          show only connections with the words that are typed
  ? h     help                            esc        all connections again

With --once it shows one interval as text, with --json each interval as a line of JSON.`,
		Example: `  sudo xdpstack top
  sudo xdpstack top 4711 --interval 5s --sort rtt
  sudo xdpstack top --once --filter '203.0.113.7 established'
  sudo xdpstack top --json | jq .rates.packets`,
		RunE: c.run,
	}
	c.process.register(cmd)
	cmd.Flags().DurationVar(&c.interval, "interval", time.Second, "time between two looks")
	cmd.Flags().BoolVar(&c.once, "once", false, "show one interval as text, and end")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "write a line of JSON for each interval; with --once one")
	cmd.Flags().StringVar(&c.order, "sort", web.Orders[0], "order of connections: "+strings.Join(web.Orders, ", "))
	cmd.Flags().StringVar(&c.filter, "filter", "", "show only connections whose addresses and state have all these words")
	choices(cmd, "sort", web.Orders...)
	return cmd
}

func (c *topCommand) check() error {
	if c.interval < 250*time.Millisecond { // what the process answers anew
		return usagef("--interval %v: want 250ms or more", c.interval)
	}
	if !contains(web.Orders, c.order) {
		return usagef("--sort %s: want one of %s", c.order, strings.Join(web.Orders, ", "))
	}
	return nil
}

func (c *topCommand) run(cmd *cobra.Command, args []string) error {
	if err := c.check(); err != nil {
		return err
	}
	client, err := c.process.find(c.err, args)
	if err != nil {
		return err
	}
	if c.once || c.asJSON {
		return c.follow(cmd.Context(), client)
	}
	if !isTerminal(c.in) || !isTerminal(c.out) {
		return usagef("top wants a terminal: give --once or --json")
	}
	m := newTopModel(c, func(ctx context.Context, order, filter string) (web.Live, error) {
		return look(ctx, client, 500, order, filter)
	})
	_, err = tea.NewProgram(m, tea.WithContext(cmd.Context()), tea.WithInput(c.in), tea.WithOutput(c.out), tea.WithAltScreen()).Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) || errors.Is(err, context.Canceled) {
		return nil // Ctrl-C, or a signal
	}
	return err
}

// isTerminal reports whether one of a command's streams is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// look asks for one look, with the first n connections in an order.
func look(ctx context.Context, client control.Client, n int, order, filter string) (l web.Live, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	q := url.Values{"top": {strconv.Itoa(n)}, "sort": {order}, "filter": {filter}}
	err = client.Get(ctx, "/live?"+q.Encode(), &l)
	return l, err
}

// topLine is what --json writes.
type topLine struct {
	Rates web.Rates `json:"rates"`
	Now   web.Live  `json:"now"`
}

// follow writes interval after interval, or one.
func (c *topCommand) follow(ctx context.Context, client control.Client) error {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	before, err := look(ctx, client, onceConnections, c.order, c.filter)
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var now web.Live
		if now, err = look(ctx, client, onceConnections, c.order, c.filter); err != nil {
			break
		}
		if rates, ok := web.RatesOf(&before, &now); ok {
			if c.asJSON {
				err = json.NewEncoder(c.out).Encode(topLine{rates, now})
			} else {
				_, err = fmt.Fprint(c.out, topText(&now, &rates, c.order, 0))
			}
			if c.once {
				return err
			}
		}
		before = now
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// onceConnections is how many connections are shown where no terminal's height says it.
const onceConnections = 20
