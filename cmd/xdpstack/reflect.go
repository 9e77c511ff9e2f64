package main

import (
	"context"
	"errors"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/internal/permit"
)

// reflectCommand sends frames back.
type reflectCommand struct {
	rxCommand
	layer int
	allow string
}

func newReflect(io streams) *cobra.Command {
	c := &reflectCommand{rxCommand: rxCommand{streams: io}}
	cmd := &cobra.Command{
		Use:   "reflect -i IFACE {-a ADDR/LEN | --all}",
		Short: "Send frames back to where they came from",
		Long: `Sends back each frame that comes, in the memory that it came in, with source and destination exchanged: Ethernet
addresses (--layer 2), IPv4 addresses as well (--layer 3, the default), and the ports of TCP and UDP too (--layer 4).
No checksum changes by that. It is the far end for xdpstack gen --round-trip, and for other testers.

From layer 3 on it answers sources on its own network only, unless --allow lists others: a forged source would aim it
at somebody else. Never have two reflectors send to each other: nothing ends that. At the end, or when it is
interrupted, it says where each frame went, as rx does.`,
		Example: `  sudo xdpstack reflect -i eth0 -a 192.0.2.20/24 --watch
  sudo xdpstack reflect -i eth1 --all --layer 2`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	registerInterface(cmd, &c.iface)
	c.register(cmd)
	cmd.Flags().IntVar(&c.layer, "layer", 3, "up to which layer source and destination are exchanged: 2, 3 or 4")
	cmd.Flags().StringVar(&c.allow, "allow", "", "networks that are answered beside the interface's own: 198.51.100.0/24,203.0.113.9")
	cmd.Flags().BoolVarP(&c.watch, "watch", "w", false, "a line each second")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "write the result as JSON, in place of lines and tables")
	choices(cmd, "layer", "2", "3", "4")
	c.driver.register(cmd)
	return cmd
}

func (c *reflectCommand) run(ctx context.Context) (err error) {
	steer, own, err := c.steer(c.iface)
	if err != nil {
		return err
	}
	if c.layer < 2 || c.layer > 4 {
		return usagef("--layer %d: want 2, 3 or 4", c.layer)
	}
	allow, err := permit.ParseAllow(c.allow)
	if err != nil {
		return usagef("--allow: %w", err)
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
	nets := allow
	if !c.insist {
		nets = append(nets, i.Info().Addresses...)
		if own.IsValid() {
			nets = append(nets, own)
		}
		if len(nets) == 0 && c.layer > 2 {
			return usagef("whose packets may be sent back? %s has no address: give -a ADDR/LEN, --allow NETWORKS or %s", c.iface,
				permit.Flag)
		}
	} else {
		nets = nil
	}
	handlers, err := c.handlers(len(i.Queues()), own.Addr(), nets)
	if err != nil {
		return err
	}
	return c.receive(ctx, i, steer, handlers)
}

func (c *reflectCommand) handlers(queues int, own netip.Addr, nets []netip.Prefix) (all []receive.Handler, err error) {
	for range queues {
		r, err := receive.NewReflector(receive.Layer(c.layer), own, nets)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
