package stack

import (
	"fmt"
	"net"

	"github.com/xdpstack/xdpstack/tcp"
)

// ListenConfig accepts connections that differ from those of Stack.Listen and Stack.Handle. A zero field means the default that is given
// with it.
type ListenConfig struct {
	Stack *Stack // whose connections they are
	// TCP says how the connections behave; nil: as the stack's Config.TCP has it. It stands for itself: a zero field of it is
	// the default of tcp.Config, whatever the stack's is.
	TCP        *tcp.Config
	Backlog    int            // connections of a shard that wait for Accept, at most; default: Config.Backlog of the stack
	SynBacklog int            // half-open connections of a shard, at most; default 16384
	Cookies    tcp.CookieMode // when SYN cookies are used; default tcp.CookiesAuto
	// FastOpenBacklog is how many connections of a shard may be open before their handshake is complete, at most, if TCP.FastOpen has
	// listeners open them so; default tcp.DefaultFastOpenBacklog.
	FastOpenBacklog int
}

// Listen accepts TCP connections at an address ("host:port", or ":port" for all addresses of the stack; port 0 chooses one). The network
// is "tcp" or "tcp4".
func (lc *ListenConfig) Listen(network, address string) (net.Listener, error) {
	s := lc.Stack
	if network != "tcp" && network != "tcp4" {
		return nil, s.opError("listen", network, address, net.UnknownNetworkError(network))
	}
	cfg, err := lc.config()
	if err != nil {
		return nil, s.opError("listen", network, address, err)
	}
	at, err := s.localAddr(address)
	if err != nil {
		return nil, s.opError("listen", network, address, err)
	}
	l := &NetListener{
		stack: s,
		// Every shard holds its own backlog in check, so that there is always room here.
		accepted: make(chan *TCPConn, cfg.Backlog*len(s.shards)),
		closing:  make(chan struct{}),
	}
	if l.at, err = s.listen(at, func() *listener { return &listener{net: l, cfg: cfg} }); err != nil {
		return nil, s.opError("listen", network, address, err)
	}
	return l, nil
}

// Handle accepts TCP connections at an address ("host:port", or ":port" for all addresses of the stack) and lets h handle them on the
// shards. One handler serves every connection; what belongs to one connection is kept in its context.
func (lc *ListenConfig) Handle(address string, h Handler) (*HandlerListener, error) {
	s := lc.Stack
	if h == nil {
		return nil, s.opError("listen", "tcp", address, fmt.Errorf("no handler was given"))
	}
	cfg, err := lc.config()
	if err != nil {
		return nil, s.opError("listen", "tcp", address, err)
	}
	at, err := s.localAddr(address)
	if err == nil {
		at, err = s.listen(at, func() *listener { return &listener{handler: h, cfg: cfg} })
	}
	if err != nil {
		return nil, s.opError("listen", "tcp", address, err)
	}
	return &HandlerListener{stack: s, at: at}, nil
}

// config returns what the core's listeners are made with.
func (lc *ListenConfig) config() (tcp.ListenerConfig, error) {
	cfg := tcp.ListenerConfig{Backlog: lc.Backlog, SynBacklog: lc.SynBacklog, Cookies: lc.Cookies, FastOpenBacklog: lc.FastOpenBacklog}
	setDefault(&cfg.Backlog, lc.Stack.cfg.Backlog)
	if cfg.Backlog < 1 || cfg.Backlog > maxBacklog {
		return cfg, fmt.Errorf("%w: Backlog %d is not within 1 to %d", ErrConfig, cfg.Backlog, maxBacklog)
	}
	var err error
	cfg.Config, err = lc.Stack.tcpConfig(lc.TCP)
	return cfg, err
}
