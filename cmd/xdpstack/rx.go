package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen/receive"
)

// rxCommand counts and drops.
type rxCommand struct {
	streams
	driver driverFlags
	receiverFlags
	iface  string
	watch  bool
	asJSON bool
}

func newRx(io streams) *cobra.Command {
	c := &rxCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "rx -i IFACE {-a ADDR/LEN | --all}",
		Short: "Count what comes and drop it, and say where each frame went",
		Long: `Receives at full speed and drops. At the end, or when it is interrupted, it says where each frame went: what the
XDP program passed to the kernel and what it redirected, by reason; what each queue received, and what the kernel
dropped in front of it, by reason. The sum is explained: a frame that was redirected and neither received nor dropped
under a name is shown as unexplained, and there should be none.

What comes is what is sent to an address of its own (-a ADDR/LEN), for which it answers ARP; or to ports of an address
that the kernel has (-a ADDR --port 9); or everything (--all), which cuts off who else uses the interface.
docs/measure.md says what each number means.`,
		Example: `  sudo xdpstack rx -i eth0 -a 192.0.2.20/24 --watch
  sudo xdpstack rx -i eth1 --all --duration 10s --json`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	registerInterface(cmd, &c.iface)
	c.register(cmd)
	cmd.Flags().BoolVarP(&c.watch, "watch", "w", false, "a line each second")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "write the result as JSON, in place of lines and tables")
	c.driver.register(cmd)
	return cmd
}

// registerInterface registers -i.
func registerInterface(cmd *cobra.Command, iface *string) {
	cmd.Flags().StringVarP(iface, "interface", "i", "", "network interface (required)")
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
}

func (c *rxCommand) run(ctx context.Context) (err error) {
	steer, _, err := c.steer(c.iface)
	if err != nil {
		return err
	}
	o, err := c.driver.options()
	if err != nil {
		return err
	}
	i, err := c.open(c.streams, c.iface, o, steer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	return c.receive(ctx, i, steer, nil)
}

// talk returns where to say what is not the result: with JSON beside the output.
func (s *streams) talk(asJSON bool) io.Writer {
	if asJSON {
		return s.err
	}
	return s.out
}

// receive runs a receiver with these handlers, and tells what became of what came. reflect does the same as rx.
func (c *rxCommand) receive(ctx context.Context, i *afxdp.Interface, steer receive.Steer, handlers []receive.Handler) error {
	account := receive.NewAccount(i)
	cfg := receive.Config{Queues: i.Queues(), Handlers: handlers, Quiet: account.Quiet}
	if len(steer.Ports) == 0 {
		cfg.Address = steer.Address
	}
	r, err := receive.New(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.talk(c.asJSON), i.Describe()) // from here on everything is counted
	watch := receiverWatch{w: c.out, since: time.Now(), reflects: handlers != nil}
	watch.last = watch.since
	began := time.Now()
	err = c.receiverFlags.run(ctx, r, func(now time.Time) bool {
		if !c.watch || c.asJSON || now.Sub(watch.last) < time.Second {
			return false
		}
		if queues, err := r.Snapshot(); err == nil {
			watch.line(now, queues, account.Copying())
		}
		return false
	})
	took := time.Since(began)
	where, readErr := account.Read(r)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return errors.Join(err, c.tell(i, &where, took))
}

func (c *rxCommand) tell(i *afxdp.Interface, where *receive.Where, took time.Duration) error {
	if c.asJSON {
		return writeJSON(c.out, newReceiverJSON(i, where, took))
	}
	tellWhere(c.out, where, took)
	return nil
}
