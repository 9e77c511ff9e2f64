package scale

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// Ends are two stacks that reach each other.
type Ends struct {
	Client, Server *stack.Stack
	lab            *netlab.Lab
}

// The ends' addresses. The server reaches all of the client's by way of its first.
var (
	clientAddress = netip.MustParsePrefix("10.77.0.3/24")
	serverAddress = netip.MustParsePrefix("10.77.0.2/24")
	clientPrefix  = netip.MustParsePrefix("198.18.0.0/26") // 64 addresses have 2,097,152 ports
)

// configs returns the configurations of both ends.
func configs(most int) (client, server stack.Config, err error) {
	sources, err := stack.ParseAddrRange(clientPrefix.String())
	client = stack.Config{
		Address: clientAddress, Addresses: []stack.AddrRange{sources}, Gateway: serverAddress.Addr(), MaxConns: most, NoProbe: true,
	}
	server = stack.Config{Address: serverAddress, Gateway: clientAddress.Addr(), MaxConns: most, NoProbe: true}
	return client, server, err
}

// InMemory makes ends that are joined by a pipe in memory, for so many connections.
func InMemory(most int) (*Ends, error) {
	client, server, err := configs(most)
	if err != nil {
		return nil, err
	}
	a, b, err := sim.Pipe(sim.Config{Frames: 16384})
	if err != nil {
		return nil, err
	}
	e := &Ends{}
	if e.Client, err = stack.New(client, a); err != nil {
		return nil, err
	}
	e.Client.Start()
	if e.Server, err = stack.New(server, b); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.Server.Start()
	return e, nil
}

// OverVeth makes ends over AF_XDP on a veth pair of two network namespaces, for so many connections. It needs root.
func OverVeth(most int) (*Ends, error) {
	client, server, err := configs(most)
	if err != nil {
		return nil, err
	}
	lab, err := netlab.New(netlab.Config{Name: "million"})
	if err != nil {
		return nil, err
	}
	e := &Ends{lab: lab}
	open := func(side *netlab.Side, cfg stack.Config) (s *stack.Stack, err error) {
		cfg.Interface = side.Interface
		cfg.AFXDP = afxdp.Options{AdaptiveFill: true}
		err = side.Do(func() (err error) { s, err = stack.Open(cfg); return err })
		return s, err
	}
	if e.Client, err = open(lab.Kernel, client); err == nil {
		e.Server, err = open(lab.Stack, server)
	}
	if err == nil {
		err = lab.WaitCarrier()
	}
	if err != nil {
		return nil, fmt.Errorf("scale: stacks on a veth pair: %w", errors.Join(err, e.Close()))
	}
	return e, nil
}

// Close ends both stacks, and with them all connections.
func (e *Ends) Close() (err error) {
	for _, s := range []*stack.Stack{e.Client, e.Server} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if e.lab != nil {
		err = errors.Join(err, e.lab.Close())
	}
	return err
}
