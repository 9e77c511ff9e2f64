package stack

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/tcp"
)

// listener is one port that one shard accepts connections on.
type listener struct {
	tcp     *tcp.Listener
	port    uint16
	handler Handler      // for every connection, or nil
	net     *NetListener // or the net.Listener that gets them
	cfg     tcp.ListenerConfig
	origin  uint32   // of its connections
	flow    tcp.Flow // scratch for NextOutput
}

// HandlerListener is a port whose connections are handled on the shards.
type HandlerListener struct {
	stack *Stack
	addr  netip.AddrPort
}

// Addr returns the address that is listened on.
func (l *HandlerListener) Addr() netip.AddrPort { return l.addr }

// Close stops accepting. Open connections stay.
func (l *HandlerListener) Close() error { return l.stack.unlisten(l.addr.Port()) }

// Handle accepts TCP connections at an address ("host:port", ":port") and lets h handle them on the shards. One handler serves
// every connection; what belongs to one connection is kept in its context.
func (s *Stack) Handle(address string, h Handler) (*HandlerListener, error) {
	lc := ListenConfig{Stack: s}
	return lc.Handle(address, h)
}

// listen accepts connections on a port, with a listener from make on every shard.
func (s *Stack) listen(addr netip.AddrPort, make func() *listener) (netip.AddrPort, error) {
	return s.openPort(s.tcpPorts, addr, func(sh *Shard, port uint16) error {
		l := make()
		l.port = port
		return sh.addListener(l)
	})
}

// openPort takes a port out of those in use, or chooses one if addr has port 0, and opens it on every shard.
func (s *Stack) openPort(used map[uint16]bool, addr netip.AddrPort, open func(*Shard, uint16) error) (netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return addr, errClosed
	}
	if err := s.Err(); err != nil {
		return addr, err
	}
	if addr.Port() == 0 {
		port, ok := s.freePort(used)
		if !ok {
			return addr, ErrNoPort
		}
		addr = netip.AddrPortFrom(addr.Addr(), port)
	}
	if used[addr.Port()] {
		return addr, ErrPortInUse
	}
	for _, sh := range s.shards {
		err := errClosed
		sh.call(func(sh *Shard) { err = open(sh, addr.Port()) })
		if err != nil {
			return addr, err // of the configuration, and so of the first shard, or of a stack that is closing
		}
	}
	used[addr.Port()] = true
	return addr, nil
}

func (s *Stack) unlisten(port uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tcpPorts[port] {
		return errClosed
	}
	delete(s.tcpPorts, port)
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) { sh.removeListener(port) })
	}
	return nil
}

func (s *Shard) addListener(l *listener) error {
	var err error
	if l.tcp, err = tcp.NewListener(s.core, l.cfg); err != nil {
		return err
	}
	l.origin = s.origins.add(l.handler, l)
	s.ports[l.port] = l
	s.lnList = append(s.lnList, l)
	return nil
}

func (s *Shard) removeListener(port uint16) {
	l := s.ports[port]
	l.tcp.Close()
	delete(s.ports, port)
	s.origins.leave(l.origin)
	for i, k := range s.lnList {
		if k == l {
			s.lnList = append(s.lnList[:i], s.lnList[i+1:]...)
			break
		}
	}
}
