package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/internal/permit"
)

// receiverFlags say what comes to rx, reflect and gen --receive.
type receiverFlags struct {
	address  string
	ports    string
	all      bool
	insist   bool
	duration time.Duration
	queues   []int
}

func (f *receiverFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.address, "address", "a", "",
		"receive what comes to this address of your own, and answer ARP for it: 192.0.2.20/24")
	cmd.Flags().StringVar(&f.ports, "port", "", "with -a ADDR, an address of the kernel's: TCP and UDP to these ports only: 9,5000")
	cmd.Flags().BoolVar(&f.all, "all", false, "receive every frame of the interface; the kernel gets none meanwhile")
	cmd.Flags().BoolVar(&f.insist, permit.Flag[2:], false, "with --all: although the kernel's default route or connections are over it")
	cmd.Flags().DurationVarP(&f.duration, "duration", "t", 0, "how long (default until interrupted)")
	cmd.Flags().IntSliceVar(&f.queues, "queues", nil, "queues to receive from (default all)")
}

// steer checks the flags and says what comes. own is the network that the address is on, if there is an address.
func (f *receiverFlags) steer(iface string) (s receive.Steer, own netip.Prefix, err error) {
	s = receive.Steer{All: f.all, Insist: f.insist}
	switch {
	case iface == "":
		return s, own, usagef("which interface? give -i IFACE")
	case f.address == "" && !f.all:
		return s, own, usagef("which frames? give -a ADDR/LEN, an address on %s's network that nobody has, or --all", iface)
	case f.duration < 0:
		return s, own, usagef("-t %v: want a time", f.duration)
	case f.ports != "" && f.all:
		return s, own, usagef("--port and --all: give one of them")
	}
	if f.address != "" {
		if own, err = parseOwn(f.address, f.ports != ""); err != nil {
			return s, own, err
		}
		s.Address = own.Addr()
	}
	for _, word := range strings.FieldsFunc(f.ports, func(r rune) bool { return r == ',' }) {
		port, err := strconv.ParseUint(word, 10, 16)
		if err != nil || port == 0 {
			return s, own, usagef("--port %s: %q is not a number within 1 to 65535", f.ports, word)
		}
		s.Ports = append(s.Ports, uint16(port))
	}
	return s, own, nil
}

// parseOwn reads -a. The kernel's own addresses have their prefix length there.
func parseOwn(text string, short bool) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Is4() && short {
		return netip.PrefixFrom(a, 32), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, usagef("-a %s: want an IPv4 address with its prefix length, such as 192.0.2.10/24", text)
	}
	return p, nil
}

// open opens the interface.
func (f *receiverFlags) open(io streams, iface string, o afxdp.Options, s receive.Steer) (*afxdp.Interface, error) {
	o.Queues = f.queues
	i, err := receive.Open(iface, o, s)
	switch {
	case errors.Is(err, receive.ErrInUse):
		return nil, usagef("%w: to do it all the same say %s", err, permit.Flag)
	case errors.Is(err, receive.ErrConfig):
		return nil, usageError{err}
	case err != nil:
		return nil, err
	}
	if f.all {
		fmt.Fprintf(io.err, "xdpstack: WARNING: the kernel gets no frame from %s as long as this runs: whoever uses it is cut off\n", iface)
	}
	return i, nil
}

// run runs a receiver until the context ends, the time is over, a queue fails, or tick says so, which is called ten times a second.
func (f *receiverFlags) run(ctx context.Context, r *receive.Receiver, tick func(now time.Time) (over bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ticker := time.NewTicker(time.Second / 10)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if ctx.Err() == nil && tick(now) {
				cancel()
			}
		case err := <-done:
			return err
		}
	}
}
