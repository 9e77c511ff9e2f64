package stack

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/ipv4"
)

// udpQueue is how many datagrams wait for ReadFrom, at most.
const udpQueue = 512

// UDPConn is a UDP port as a net.PacketConn and, when it was dialed, a net.Conn: any goroutine may use it.
type UDPConn struct {
	stack  *Stack
	at     endpoint
	local  netip.AddrPort
	remote netip.AddrPort // of a dialed one; else invalid

	mu       sync.Mutex
	queue    []datagram // a ring
	head, n  int
	err      error // an ICMP error, to be told once
	readable chan struct{}
	closing  chan struct{}
	once     sync.Once

	readDeadline, writeDeadline deadline
}

type datagram struct {
	from netip.AddrPort
	data []byte // reused
}

// ListenPacket opens a UDP port ("host:port", ":port"; port 0 chooses one). The network is "udp" or "udp4". Without a host it is that of
// all the stack's addresses, and what is sent comes from the first, Config.Address.
func (s *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	if network != "udp" && network != "udp4" {
		return nil, s.opError("listen", network, address, net.UnknownNetworkError(network))
	}
	at, err := s.localAddr(address)
	if err != nil {
		return nil, s.opError("listen", network, address, err)
	}
	c, err := s.newUDPConn(at, netip.AddrPort{})
	if err != nil {
		return nil, s.opError("listen", network, address, err)
	}
	return c, nil
}

func (s *Stack) dialUDP(remote netip.AddrPort, from source) (*UDPConn, error) {
	if ip, _ := ipv4.AddrFrom(remote.Addr()); s.shards != nil {
		a := s.addressing()
		if _, ok := a.route(from.addr, ip); !ok {
			return nil, a.errNoRoute()
		}
		if from.addr.IsUnspecified() {
			from.addr = a.sourceTo(ip)
		}
	}
	at := s.endpoint(from.addr, from.port)
	if n := s.others.Len(); from.spread && n > 0 {
		at.addr = s.others.At(int(s.dials.Add(1)-1) % n)
	}
	return s.newUDPConn(at, remote)
}

func (s *Stack) newUDPConn(at endpoint, remote netip.AddrPort) (*UDPConn, error) {
	c := &UDPConn{
		stack: s, remote: remote, queue: make([]datagram, udpQueue),
		readable: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	var err error
	c.at, err = s.openPackets(at, func() *PacketSocket { return &PacketSocket{handler: c, conn: c} })
	c.local = s.addrPort(c.at)
	return c, err
}

// ReceivedPacket queues a datagram for ReadFrom. It runs on a shard.
func (c *UDPConn) ReceivedPacket(u *PacketSocket, from netip.AddrPort, p []byte) {
	if c.remote.IsValid() && from != c.remote {
		u.shard.stats.Drop.UDPNoSocket++
		return
	}
	c.mu.Lock()
	if c.n == len(c.queue) {
		c.mu.Unlock()
		u.shard.stats.Drop.UDPQueue++
		return
	}
	d := &c.queue[(c.head+c.n)%len(c.queue)]
	d.from, d.data = from, append(d.data[:0], p...)
	c.n++
	c.mu.Unlock()
	c.wake()
	u.shard.woke = true
}

func (c *UDPConn) wake() {
	select {
	case c.readable <- struct{}{}:
	default:
	}
}

// unreachable makes the next Read of a dialed socket fail.
func (c *UDPConn) unreachable(code uint8, remote netip.AddrPort) {
	if remote != c.remote {
		return
	}
	c.mu.Lock()
	c.err = syscall.EHOSTUNREACH
	if code == ipv4.CodePortUnreachable {
		c.err = syscall.ECONNREFUSED
	}
	c.mu.Unlock()
	c.wake()
}

// ReadFrom reads one datagram; what does not fit p is lost (net.PacketConn).
func (c *UDPConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.read(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// Read reads one datagram from the address that was dialed.
func (c *UDPConn) Read(p []byte) (int, error) {
	n, _, err := c.read(p)
	return n, err
}

func (c *UDPConn) read(p []byte) (int, netip.AddrPort, error) {
	for {
		select {
		case <-c.closing:
			return 0, netip.AddrPort{}, c.opError("read", net.ErrClosed)
		case <-c.readDeadline.done():
			return 0, netip.AddrPort{}, c.opError("read", os.ErrDeadlineExceeded)
		default:
		}
		if n, from, ok, err := c.pop(p); err != nil {
			return 0, from, c.opError("read", err)
		} else if ok {
			return n, from, nil
		}
		select {
		case <-c.readable:
		case <-c.readDeadline.done():
		case <-c.closing:
		case <-c.stack.Gone():
			return 0, netip.AddrPort{}, c.opError("read", c.stack.Err())
		case <-c.stack.stopped:
			return 0, netip.AddrPort{}, c.opError("read", net.ErrClosed)
		}
	}
}

func (c *UDPConn) pop(p []byte) (n int, from netip.AddrPort, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err; err != nil {
		c.err = nil
		return 0, from, false, err
	}
	if c.n == 0 {
		return 0, from, false, nil
	}
	d := &c.queue[c.head]
	n, from = copy(p, d.data), d.from
	c.head = (c.head + 1) % len(c.queue)
	if c.n--; c.n > 0 {
		c.wake()
	}
	return n, from, true, nil
}

// WriteTo sends a datagram (net.PacketConn).
func (c *UDPConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", net.InvalidAddrError("not a UDP address"))
	}
	if c.remote.IsValid() {
		return 0, c.opError("write", net.ErrWriteToConnected)
	}
	ap := to.AddrPort()
	return c.write(p, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
}

// Write sends a datagram to the address that was dialed.
func (c *UDPConn) Write(p []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.opError("write", syscall.EDESTADDRREQ)
	}
	return c.write(p, c.remote)
}

func (c *UDPConn) write(p []byte, to netip.AddrPort) (int, error) {
	select {
	case <-c.closing:
		return 0, c.opError("write", net.ErrClosed)
	case <-c.writeDeadline.done():
		return 0, c.opError("write", os.ErrDeadlineExceeded)
	case <-c.stack.Gone():
		return 0, c.opError("write", c.stack.Err())
	default:
	}
	sh := c.stack.shards[int(c.local.Port())%len(c.stack.shards)]
	var err error
	if !sh.call(func(sh *Shard) {
		if u := sh.socketAt(c.at.addr, c.at.port); u != nil {
			err = u.WriteTo(p, to)
		}
	}) {
		err = net.ErrClosed
	}
	if err != nil {
		return 0, c.opError("write", err)
	}
	return len(p), nil
}

// Close gives the port back.
func (c *UDPConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = nil
		close(c.closing)
		c.stack.closePackets(c.at)
	})
	if err != nil {
		return c.opError("close", err)
	}
	return nil
}

// LocalAddr returns this end's address, a *net.UDPAddr.
func (c *UDPConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// RemoteAddr returns the address that was dialed, or nil.
func (c *UDPConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote)
}

// SetDeadline sets both deadlines.
func (c *UDPConn) SetDeadline(at time.Time) error {
	c.readDeadline.set(at)
	c.writeDeadline.set(at)
	return nil
}

// SetReadDeadline bounds present and later reads.
func (c *UDPConn) SetReadDeadline(at time.Time) error { c.readDeadline.set(at); return nil }

// SetWriteDeadline bounds later writes.
func (c *UDPConn) SetWriteDeadline(at time.Time) error { c.writeDeadline.set(at); return nil }

func (c *UDPConn) opError(op string, err error) error {
	e := &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
	if c.remote.IsValid() {
		e.Addr = c.RemoteAddr()
	}
	return e
}
