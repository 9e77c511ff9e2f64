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
	TCP     *tcp.Config
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
	switch network {
	case "tcp", "tcp4":
		cfg, err := s.tcpConfig(d.TCP)
		if err != nil {
			return nil, s.opError("dial", network, address, err)
		}
		c, err := s.dialTCP(ctx, remote, cfg)
		if err != nil {
			return nil, s.opError("dial", network, address, err)
		}
		return c, nil
	case "udp", "udp4":
		c, err := s.dialUDP(remote)
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
	cfg, err := s.tcpConfig(d.TCP)
	if err == nil {
		err = checkRemote(remote)
	}
	if err == nil && !s.dialShard().call(func(sh *Shard) { _, err = sh.connect(remote, h, cfg) }) {
		err = errClosed
	}
	if err != nil {
		return s.opError("dial", "tcp", remote.String(), err)
	}
	return nil
}

// tcpConfig completes the configuration of some connections. Nil, which stands for the stack's own, stays nil.
func (s *Stack) tcpConfig(cfg *tcp.Config) (*tcp.Config, error) {
	if cfg == nil {
		return nil, nil
	}
	return s.shards[0].core.NewConfig(*cfg)
}
