package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
)

// raw is the child that plays one end of the raw benchmark.
func raw(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("raw", flag.ContinueOnError)
	role := fs.String("role", "", "receive or send")
	driver := fs.String("driver", "", "AF_XDP driver")
	ifname := fs.String("interface", "", "this end's interface")
	to := fs.String("to", "", "hardware address of the receiver")
	src := fs.String("src", "", "the sender's address")
	dst := fs.String("dst", "", "the receiver's address")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	warmup := fs.Duration("warmup", 0, "time before the window")
	window := fs.Duration("window", 0, "measured time")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	receiver, err := netip.ParseAddr(*dst)
	if err != nil {
		return nil, err
	}
	if err := place(*cpu, false); err != nil {
		return nil, err
	}
	mark := func(kind string) { _ = emit(kind, nil) }
	if *role == "receive" {
		return receiveRaw(ctx, emit, *driver, *ifname, receiver, *warmup, *window, mark)
	}
	sender, err := netip.ParseAddr(*src)
	if err != nil {
		return nil, err
	}
	mac, err := net.ParseMAC(*to)
	if err != nil {
		return nil, err
	}
	if len(mac) != 6 {
		return nil, fmt.Errorf("hardware address %v is not Ethernet's", mac)
	}
	return nil, rawlink.Send(ctx, *driver, *ifname, [6]byte(mac), sender, receiver, mark)
}

func receiveRaw(ctx context.Context, emit child.Emit, driver, ifname string, addr netip.Addr, warmup, window time.Duration,
	mark func(string)) (any, error) {
	r, err := rawlink.Receive(ctx, driver, ifname, addr, warmup, window, mark)
	if err != nil {
		return nil, err
	}
	if err := emit("result", r); err != nil {
		return nil, err
	}
	<-ctx.Done() // the parent still reads this process's CPU clock
	return nil, nil
}
