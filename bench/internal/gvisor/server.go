package gvisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// Link says which link a server uses.
type Link string

// The links.
const (
	AFXDP    Link = "af_xdp"
	AFPacket Link = "af_packet"
)

// Server serves the benchmarks' ports on an interface. One goroutine runs the application for all connections: gVisor's
// goroutines hand it those with something to do. It wakes once for many, where gVisor's net.Conn adapter wakes one for each.
type Server struct {
	stack *stack.Stack
	close closer

	mu    sync.Mutex
	ready []*conn
	wake  chan struct{}
	batch []*conn // that runs

	buf   [64 << 10]byte
	chunk bytes.Reader
}

// conn is a listener or a connection.
type conn struct {
	server *Server
	ep     tcpip.Endpoint
	queue  *waiter.Queue
	port   uint16
	listen bool
	queued atomic.Bool
	http   app.HTTP
}

// NewServer opens the interface and listens.
func NewServer(l Link, ifname string, addr netip.Prefix) (*Server, error) {
	iface, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("gvisor: interface %s: %w", ifname, err)
	}
	open := openXDP
	if l == AFPacket {
		open = openPacket
	}
	s := &Server{wake: make(chan struct{}, 1)}
	if s.stack, s.close, err = open(iface, addr); err != nil {
		return nil, err
	}
	for _, port := range []uint16{app.EchoPort, app.DiscardPort, app.SourcePort, app.HTTPPort} {
		c := &conn{server: s, queue: new(waiter.Queue), port: port, listen: true}
		if c.ep, err = listen(s.stack, port, c.queue); err != nil {
			return nil, errors.Join(err, s.close())
		}
		c.watch()
	}
	return s, nil
}

// watch asks for notifications and looks once, for what happened before.
func (c *conn) watch() {
	const all = waiter.ReadableEvents | waiter.WritableEvents | waiter.EventHUp | waiter.EventErr
	e := waiter.NewFunctionEntry(all, func(waiter.EventMask) { c.notify() })
	c.queue.EventRegister(&e)
	c.notify()
}

// notify queues the connection for the application. gVisor calls it with the endpoint locked, so nothing is read here.
func (c *conn) notify() {
	if !c.queued.CompareAndSwap(false, true) {
		return
	}
	s := c.server
	s.mu.Lock()
	s.ready = append(s.ready, c)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run runs the application until the context ends.
func (s *Server) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.runReady()
	}
}

// runReady runs the application for those that have something to do.
func (s *Server) runReady() {
	s.mu.Lock()
	s.batch, s.ready = s.ready, s.batch[:0]
	s.mu.Unlock()
	for i, c := range s.batch {
		c.queued.Store(false)
		c.run()
		s.batch[i] = nil
	}
}

func (c *conn) run() {
	switch {
	case c.listen:
		c.accept()
	case c.port == app.DiscardPort:
		c.discard()
	case c.port == app.SourcePort:
		c.source()
	case c.port == app.EchoPort:
		c.echo()
	default:
		c.serve()
	}
}

func (c *conn) accept() {
	for {
		ep, queue, err := c.ep.Accept(nil)
		if err != nil {
			return
		}
		n := &conn{server: c.server, ep: ep, queue: queue, port: c.port}
		n.watch()
	}
}

// finished closes the endpoint after anything but "not now".
func (c *conn) finished(err tcpip.Error) {
	if _, ok := err.(*tcpip.ErrWouldBlock); !ok {
		c.ep.Close()
	}
}

func (c *conn) discard() {
	for {
		if _, err := c.ep.Read(io.Discard, tcpip.ReadOptions{}); err != nil {
			c.finished(err)
			return
		}
	}
}

// read reads what there is, into the server's buffer. It returns nil when there is no more, now or for ever.
func (c *conn) read() []byte {
	s := c.server
	w := tcpip.SliceWriter(s.buf[:])
	r, err := c.ep.Read(&w, tcpip.ReadOptions{})
	if err != nil {
		c.finished(err)
		return nil
	}
	return s.buf[:r.Count]
}

// echo sends back what it reads. A peer that does not read what it asked for loses its connection.
func (c *conn) echo() {
	s := c.server
	for {
		p := c.read()
		if p == nil {
			return
		}
		s.chunk.Reset(p)
		if n, err := c.ep.Write(&s.chunk, tcpip.WriteOptions{}); err != nil || n != int64(len(p)) {
			c.ep.Close()
			return
		}
	}
}

func (c *conn) source() {
	for {
		c.server.chunk.Reset(app.Chunk)
		if _, err := c.ep.Write(&c.server.chunk, tcpip.WriteOptions{}); err != nil {
			c.finished(err)
			return
		}
	}
}

func (c *conn) serve() {
	s := c.server
	for {
		p := c.read()
		if p == nil {
			return
		}
		for range c.http.Requests(p) {
			s.chunk.Reset(app.Response)
			if _, err := c.ep.Write(&s.chunk, tcpip.WriteOptions{}); err != nil {
				c.ep.Close()
				return
			}
		}
		if c.http.Close {
			c.ep.Close()
			return
		}
	}
}

// Counters returns what the stack counted, for a run that went wrong or slow.
func (s *Server) Counters() map[string]float64 {
	t := s.stack.Stats().TCP
	return map[string]float64{
		"retransmits":     float64(t.Retransmits.Value()),
		"timeouts":        float64(t.Timeouts.Value()),
		"checksum_errors": float64(t.ChecksumErrors.Value()),
	}
}

// Close detaches the link. The stack's goroutines end with the process.
func (s *Server) Close() error { return s.close() }
