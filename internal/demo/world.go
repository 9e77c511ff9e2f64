package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/stack"
)

// Kind says what a World is made of.
type Kind string

// The kinds of World.
const (
	Auto   Kind = "auto"   // veth where that is possible, else memory
	Veth   Kind = "veth"   // AF_XDP on a veth pair, the kernel's TCP on the other end
	Memory Kind = "memory" // two stacks joined in memory
)

// WorldConfig says what World to make.
type WorldConfig struct {
	Kind  Kind
	AFXDP afxdp.Options // of Veth
}

// World is a server on the stack, and a way to reach it.
type World struct {
	Kind   Kind
	Title  string         // what it is, for people
	Device string         // driver, mode, how the XDP program is attached
	Reason string         // why it is not Veth
	Server *stack.Stack   // not yet serving anything
	Addr   netip.Addr     // of the server
	Dial   DialFunc       // connects as a client
	Ping   PingFunc       // sends echo requests; before the first Dial
	close  []func() error // in reverse order
}

// DialFunc is the form of net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// PingFunc sends n ICMP echo requests, each after the answer to the one before or a second without, and calls each with the round-trip
// time, or 0 for one that was not answered.
type PingFunc func(ctx context.Context, n int, each func(rtt time.Duration)) error

// Open makes a World. What it makes is gone after Close.
func Open(cfg WorldConfig) (*World, error) {
	reason := "this is what was asked for"
	if cfg.Kind != Memory {
		err := netlab.Available()
		if err == nil {
			var w *World
			if w, err = openVeth(cfg.AFXDP); err == nil {
				return w, nil
			}
		}
		if cfg.Kind == Veth {
			return nil, err
		}
		reason = err.Error()
	}
	w, err := openMemory()
	if err != nil {
		return nil, err
	}
	w.Reason = reason
	return w, nil
}

// Close removes everything that Open made.
func (w *World) Close() error {
	var errs []error
	for i := len(w.close) - 1; i >= 0; i-- {
		errs = append(errs, w.close[i]())
	}
	w.close = nil
	return errors.Join(errs...)
}

func (w *World) onClose(f func() error) { w.close = append(w.close, f) }

// openVeth makes a pair of namespaces and starts the stack in one of them.
func openVeth(opt afxdp.Options) (*World, error) {
	lab, err := netlab.New(netlab.Config{Name: "demo"})
	if err != nil {
		return nil, err
	}
	w := &World{Kind: Veth, Dial: lab.Kernel.DialContext, Addr: lab.Stack.Address.Addr()}
	w.onClose(lab.Close)
	err = lab.Stack.Do(func() (err error) {
		w.Server, err = stack.Open(stack.Config{Interface: lab.Stack.Interface, Address: lab.Stack.Address, AFXDP: opt})
		return err
	})
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.onClose(w.Server.Close)
	w.Device = w.Server.Describe()
	w.Ping = func(ctx context.Context, n int, each func(time.Duration)) error {
		return pingFromKernel(ctx, lab.Kernel, w.Addr, n, each)
	}
	w.Title = fmt.Sprintf("AF_XDP on a veth pair: xdpstack at %s in namespace %s, the kernel's TCP at %s in %s",
		w.Addr, lab.Stack.Namespace, lab.Kernel.Address.Addr(), lab.Kernel.Namespace)
	return w, nil
}
