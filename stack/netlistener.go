package stack

import (
	"net"
	"sync"
)

// NetListener is a port whose connections are accepted as net.Conns.
type NetListener struct {
	stack    *Stack
	at       endpoint
	accepted chan *TCPConn
	closing  chan struct{}
	once     sync.Once
}

// Listen accepts TCP connections at an address ("host:port", or ":port" for all addresses of the stack; port 0 chooses one). The network
// is "tcp" or "tcp4".
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	lc := ListenConfig{Stack: s}
	return lc.Listen(network, address)
}

// deliver gives an established connection to Accept. It runs on the connection's shard.
func (l *NetListener) deliver(t *TCPConn) {
	select {
	case <-l.closing:
		t.conn.Abort()
		return
	default:
	}
	select {
	case l.accepted <- t:
	default:
		t.conn.Abort()
	}
}

// Accept waits for a connection.
func (l *NetListener) Accept() (net.Conn, error) {
	select {
	case <-l.closing:
		return nil, l.opError(net.ErrClosed)
	case <-l.stack.Gone():
		return nil, l.opError(l.stack.Err())
	default:
	}
	select {
	case t := <-l.accepted:
		t.ask(askAccepted)
		return t, nil
	case <-l.closing:
		return nil, l.opError(net.ErrClosed)
	case <-l.stack.Gone():
		return nil, l.opError(l.stack.Err())
	case <-l.stack.stopped:
		return nil, l.opError(net.ErrClosed)
	}
}

// Close stops accepting. Connections that were accepted stay; those that wait for Accept are reset.
func (l *NetListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.closing)
		err = l.stack.unlisten(l.at)
		for {
			select {
			case t := <-l.accepted:
				t.ask(askAbort)
			default:
				return
			}
		}
	})
	if err != nil {
		return l.opError(err)
	}
	return nil
}

// Addr returns the address that is listened on, a *net.TCPAddr: the stack's first if it is all of them.
func (l *NetListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.stack.addrPort(l.at)) }

func (l *NetListener) opError(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
}
