package stack

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// Dialer opens connections that differ from those of Stack.Dial and Stack.Connect. A zero field means the default that is given with it.
type Dialer struct {
	Stack *Stack // whose connections they are
	// TCP says how the connections behave; nil: as the stack's Config.TCP has it. It stands for itself: a zero field of it is
	// the default of tcp.Config, whatever the stack's is.
	TCP *tcp.Config
	// LocalAddr is where the connections come from: an address of the stack's, or none for Config.Address, and a port, or 0 for one that
	// is free. One port makes one connection to each remote end.
	LocalAddr netip.AddrPort
	// Spread has the connections come from each of Config.Addresses in turn, in place of Config.Address: to one remote end each makes
	// 32,768 connections. LocalAddr is empty then.
	Spread  bool
	Timeout time.Duration // how long connecting may take, at most; 0: as long as the context and the TCP configuration allow
}

// Dial connects to an address over "tcp" or "udp" and returns a net.Conn.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is Dial with a context that bounds the connecting, as net.Dialer.DialContext has it. A host name is looked up with
// the system's resolver.
//
// With TCP.FastOpen as a client, and a cookie of the server's from an earlier connection, it returns at once: the SYN goes with what is
// written first, or without data 2 ms after a Read before that. That the server refuses is then an error of Write or Read.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	s := d.Stack
	remote, err := s.remoteAddr(ctx, address)
	if err != nil {
		return nil, s.opError("dial", network, address, err)
	}
	from, err := d.source()
	if err != nil {
		return nil, s.opError("dial", network, address, err)
	}
	switch network {
	case "tcp", "tcp4":
		cfg, err := s.tcpConfig(d.TCP)
		if err != nil {
			return nil, s.opError("dial", network, address, err)
		}
		c, err := s.dialTCP(ctx, remote, cfg, from)
		if err != nil {
			return nil, s.opError("dial", network, address, err)
		}
		return c, nil
	case "udp", "udp4":
		c, err := s.dialUDP(remote, from)
		if err != nil {
			return nil, s.opError("dial", network, address, err)
		}
		return c, nil
	}
	return nil, s.opError("dial", network, address, net.UnknownNetworkError(network))
}

// Connect opens a connection that h handles on a shard. It returns once the SYN is queued; h.Opened or h.Closed tells the outcome, and
// Timeout is not looked at. It must not be called on a shard.
func (d *Dialer) Connect(remote netip.AddrPort, h Handler) error {
	s := d.Stack
	from, cfg, err := d.prepare(remote)
	if err == nil && !s.dialFrom(remote, from).call(func(sh *Shard) { _, err = sh.connect(remote, h, cfg, from) }) {
		err = errClosed
	}
	if err != nil {
		return s.opError("dial", "tcp", remote.String(), err)
	}
	return nil
}

// OpenOn is Shard.Open for connections as the dialer has them: it may be called only on that shard, and a port of LocalAddr must be one
// whose connections belong to it. A TCP that is set is completed for each connection anew: for very many, rather set the stack's.
func (d *Dialer) OpenOn(sh *Shard, remote netip.AddrPort, h Handler) (*Conn, error) {
	from, cfg, err := d.prepare(remote)
	if err != nil {
		return nil, err
	}
	return sh.connect(remote, h, cfg, from)
}

// prepare checks what connecting needs.
func (d *Dialer) prepare(remote netip.AddrPort) (from source, cfg *tcp.Config, err error) {
	if cfg, err = d.Stack.tcpConfig(d.TCP); err != nil {
		return from, nil, err
	}
	if err = checkRemote(remote); err != nil {
		return from, nil, err
	}
	from, err = d.source()
	return from, cfg, err
}

// tcpConfig completes the configuration of some connections. Nil, which stands for the stack's own, stays nil.
func (s *Stack) tcpConfig(cfg *tcp.Config) (*tcp.Config, error) {
	if cfg == nil {
		return nil, nil
	}
	return s.shards[0].core.NewConfig(*cfg)
}
