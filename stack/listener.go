package stack

import (
	"net/netip"
	"sync/atomic"

	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// listener is one port that one shard accepts connections on.
type listener struct {
	tcp     *tcp.Listener
	at      endpoint
	handler Handler      // for every connection, or nil
	net     *NetListener // or the net.Listener that gets them
	cfg     tcp.ListenerConfig
	origin  uint32   // of its connections
	flow    tcp.Flow // scratch for NextOutput
}

// HandlerListener is a port whose connections are handled on the shards.
type HandlerListener struct {
	stack  *Stack
	at     endpoint
	closed atomic.Bool
}

// Addr returns the address that is listened on, the stack's first if it is all of them.
func (l *HandlerListener) Addr() netip.AddrPort { return l.stack.addrPort(l.at) }

// Close stops accepting. Open connections stay.
func (l *HandlerListener) Close() error {
	if l.closed.Swap(true) { // the port may be another's by now
		return errClosed
	}
	return l.stack.unlisten(l.at)
}

// Handle accepts TCP connections at an address ("host:port", or ":port" for all addresses of the stack) and lets h handle them on the
// shards. One handler serves every connection; what belongs to one connection is kept in its context.
func (s *Stack) Handle(address string, h Handler) (*HandlerListener, error) {
	lc := ListenConfig{Stack: s}
	return lc.Handle(address, h)
}

// listen accepts connections on a port, with a listener from make on every shard.
func (s *Stack) listen(at endpoint, make func() *listener) (endpoint, error) {
	return s.openPort(&s.tcpPorts, at, func(sh *Shard, at endpoint) error {
		l := make()
		l.at = at
		if err := sh.addListener(l); err != nil {
			return err
		}
		if sh.id == len(s.shards)-1 {
			return s.shieldListen(l)
		}
		return nil
	})
}

// openPort takes a port out of those in use, or chooses one if it is 0, and opens it on every shard.
func (s *Stack) openPort(used *usedPorts, at endpoint, open func(*Shard, endpoint) error) (endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining {
		return at, errClosed
	}
	if err := s.Err(); err != nil {
		return at, err
	}
	if at.port == 0 && s.shared == nil && !s.freePort(used, &at) {
		return at, ErrNoPort
	}
	if used.has(at) {
		return at, ErrPortInUse
	}
	if s.shared != nil {
		if err := s.shared.take(used.protocol, &at); err != nil {
			return at, err
		}
	}
	for _, sh := range s.shards {
		err := errClosed
		sh.call(func(sh *Shard) { err = open(sh, at) })
		if err != nil {
			if s.shared != nil {
				s.shared.retire(used.protocol, at)
			}
			return at, err // of the configuration, and so of the first shard, or of a stack that is closing
		}
	}
	used.take(at)
	return at, nil
}

func (s *Stack) unlisten(at endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tcpPorts.free(at) {
		return errClosed
	}
	s.shieldUnlisten(at)
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) { sh.removeListener(at) })
	}
	if s.shared != nil {
		s.shared.retire(ipv4.ProtoTCP, at)
	}
	return nil
}

// listenerAt returns the listener of a port of one of the stack's addresses, or nil.
func (s *Shard) listenerAt(a ipv4.Addr, port uint16) *listener {
	if l := s.ports[port]; l != nil || len(s.bound) == 0 {
		return l
	}
	return s.bound[endpoint{addr: a, port: port}]
}

func (s *Shard) addListener(l *listener) error {
	var err error
	if l.tcp, err = tcp.NewListener(s.core, l.cfg); err != nil {
		return err
	}
	l.origin = s.origins.add(l.handler, l)
	if l.at.all() {
		s.ports[l.at.port] = l
	} else {
		s.bound[l.at] = l
	}
	s.lnList = append(s.lnList, l)
	return nil
}

func (s *Shard) removeListener(at endpoint) {
	l := s.listenerAt(at.addr, at.port)
	l.tcp.Close()
	if at.all() {
		delete(s.ports, at.port)
	} else {
		delete(s.bound, at)
	}
	s.origins.leave(l.origin)
	for i, k := range s.lnList {
		if k == l {
			s.lnList = append(s.lnList[:i], s.lnList[i+1:]...)
			break
		}
	}
}
