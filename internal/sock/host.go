package sock

import (
	"fmt"
	"slices"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

const (
	chunkSize = 2048
	headroom  = 128 // bytes in front of sent payload
	rxOffset  = 34  // where a received segment begins in its frame
)

// MaxSegment is the longest segment that a host takes, in bytes of header and payload.
const MaxSegment = chunkSize - rxOffset

// Config says what a host is. A zero field means the default that is given with it.
type Config struct {
	TCP      tcp.Config
	Listener tcp.ListenerConfig // the bound of half-open connections and the cookies of listeners; the rest comes from sockets
	MTU      uint16             // default 1500
	Budget   uint32             // bytes that all receive windows together may promise; default 8 MiB
	Frames   int                // default 1024
	Secret   [16]byte           // of initial numbers and the like
}

// Host is what a shard of the stack is, as far as TCP needs one: a core, connections, listeners and TIME-WAIT.
type Host struct {
	Core *tcp.Core
	// Sent is called with each segment, header and payload, which are the callee's from then on, and the ECN field of its IP header.
	Sent func(f tcp.Flow, segment []byte, ecn uint8)
	// Opening is called when a peer begins a connection; it may be nil.
	Opening func(f tcp.Flow)

	cfg       Config
	now       clock.Time
	conns     []*Conn
	listeners []*Socket
	timeWait  *tcp.TimeWaitTable
}

// New makes a host.
func New(cfg Config) (*Host, error) {
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	if cfg.Budget == 0 {
		cfg.Budget = 8 << 20
	}
	if cfg.Frames == 0 {
		cfg.Frames = 1024
	}
	pool, err := frame.NewPool(make([]byte, cfg.Frames*chunkSize), chunkSize)
	if err != nil {
		return nil, err
	}
	core, err := tcp.NewCore(pool, headroom, cfg.MTU-40, cfg.Budget, cfg.Secret, cfg.TCP)
	if err != nil {
		return nil, err
	}
	return &Host{Core: core, cfg: cfg, timeWait: tcp.NewTimeWaitTable(core, 64)}, nil
}

// SetTime tells the time of what is called next.
func (h *Host) SetTime(now clock.Time) {
	h.now = now
	h.Core.BeginBatch(now)
}

// Deadline returns when Expire has something to do, or clock.Never.
func (h *Host) Deadline() clock.Time {
	d := h.timeWait.Deadline()
	for _, c := range h.conns {
		d = min(d, c.tcp.Deadline())
	}
	for _, l := range h.listeners {
		d = min(d, l.listen.Deadline())
	}
	return d
}

// Expire runs the timers that are due.
func (h *Host) Expire() {
	h.timeWait.Expire(h.now)
	for _, c := range h.conns {
		if c.tcp.Deadline() <= h.now {
			c.tcp.Expire(h.now)
		}
	}
	for _, l := range h.listeners {
		if l.listen.Deadline() > h.now {
			continue
		}
		l.listen.Expire(h.now)
		var f tcp.Flow
		var o tcp.OutSegment
		for l.listen.NextOutput(h.now, &f, &o) {
			h.send(f, &o)
		}
	}
	h.Settle()
}

// Has reports whether a connection of the flow exists, or its TIME-WAIT.
func (h *Host) Has(f tcp.Flow) bool { return h.conn(f) != nil || h.timeWait.Has(f) }

// Last returns the connection that was opened or accepted last and is not over, or nil.
func (h *Host) Last() *Conn {
	if n := len(h.conns); n > 0 {
		return h.conns[n-1]
	}
	return nil
}

func (h *Host) conn(f tcp.Flow) *Conn {
	if i := slices.IndexFunc(h.conns, func(c *Conn) bool { return c.flow == f }); i >= 0 {
		return h.conns[i]
	}
	return nil
}

// listener returns the socket that listens on a port, or nil.
func (h *Host) listener(port uint16) *Socket {
	if i := slices.IndexFunc(h.listeners, func(s *Socket) bool { return s.port == port }); i >= 0 {
		return h.listeners[i]
	}
	return nil
}

// Input takes a segment of a flow from the network, with the ECN field of its IP header, as a shard's input does: it is for a
// connection, for a TIME-WAIT, for a listener or for nobody. The error is about a header that cannot be parsed.
func (h *Host) Input(f tcp.Flow, b []byte, ecn uint8) error {
	var s tcp.Segment
	var o tcp.OutSegment
	if len(b) > MaxSegment {
		return fmt.Errorf("a segment of %d bytes does not fit a frame: at most %d do", len(b), MaxSegment)
	}
	if err := tcp.Parse(b, &s); err != nil {
		return err
	}
	defer h.Settle()
	if c := h.conn(f); c != nil {
		h.enqueue(c, b, ecn)
		return nil
	}
	l := h.listener(f.LocalPort)
	found, v := h.timeWait.Input(f, &s, l != nil, h.now, &o)
	switch {
	case found && v != tcp.VerdictReopen:
	case l == nil:
		v = tcp.VerdictDrop
		if tcp.ResetFor(&s, &o) {
			v = tcp.VerdictReset
		}
	case v == tcp.VerdictReopen:
		h.opening(f)
		v = l.listen.Reopen(f, &s, o.Seq, h.now, &o)
	default:
		if s.Flags&(tcp.FlagSYN|tcp.FlagACK) == tcp.FlagSYN && l.listen.SynCount() == 0 {
			h.opening(f)
		}
		v = l.listen.Input(f, &s, h.now, &o)
	}
	switch v {
	case tcp.VerdictAccept:
		h.accept(f, l, b, ecn)
	case tcp.VerdictReply, tcp.VerdictReset:
		h.send(f, &o)
	}
	return nil
}

func (h *Host) opening(f tcp.Flow) {
	if h.Opening != nil {
		h.Opening(f)
	}
}

// enqueue gives a connection a segment in a frame of the pool.
func (h *Host) enqueue(c *Conn, b []byte, ecn uint8) {
	p := h.Core.Pool
	f := p.Alloc()
	if f == frame.None {
		return // as a device drops what it has no frame for
	}
	m := p.Meta(f)
	m.Off = rxOffset
	m.Len = uint32(copy(p.Chunk(f)[m.Off:], b))
	if ecn == tcp.CE {
		m.Flags |= tcp.MetaCE
	}
	c.tcp.Enqueue(f)
}

// accept makes the connection whose handshake the segment b completed.
func (h *Host) accept(f tcp.Flow, l *Socket, b []byte, ecn uint8) {
	c := newConn(f)
	c.tcp.Accept(h.Core, l.listen.Accepted(), l.cfg, h.now)
	h.conns = append(h.conns, c)
	l.queue = append(l.queue, c)
	h.enqueue(c, b, ecn)
}

// ICMP gives an ICMP error about the segment with number seq to the connection that sent it.
func (h *Host) ICMP(f tcp.Flow, kind tcp.ICMPKind, mtu uint32, seq tcp.Seq) {
	if c := h.conn(f); c != nil {
		c.tcp.ICMP(kind, mtu, seq, h.now)
	}
	h.Settle()
}

// Settle lets all connections process, send and tell until nothing is left to do.
func (h *Host) Settle() {
	for _, c := range slices.Clone(h.conns) {
		for h.run(c) {
		}
	}
}

// run lets one connection do what it has to, and reports whether there may be more.
func (h *Host) run(c *Conn) bool {
	if c.Gone {
		return false
	}
	more := c.tcp.Process(h.now)
	var o tcp.OutSegment
	for c.tcp.Output(h.now, &o) {
		h.send(c.flow, &o)
		more = true
	}
	ev := c.tcp.TakeEvents()
	c.Established = c.Established || ev&tcp.EventEstablished != 0
	c.EOF = c.EOF || ev&tcp.EventPeerClosed != 0
	switch {
	case ev&tcp.EventTimeWait != 0:
		h.timeWait.Add(c.flow, c.tcp.TimeWaitRecord(), h.now)
		h.forget(c)
		return false
	case ev&tcp.EventClosed != 0:
		c.err = c.tcp.Err()
		h.forget(c)
		return false
	}
	return more || ev != 0
}

// send puts a segment on the wire.
func (h *Host) send(f tcp.Flow, o *tcp.OutSegment) {
	b := make([]byte, o.HeaderLen()+int(o.Len))
	n := o.Marshal(b, f.LocalPort, f.RemotePort)
	if o.Len != 0 {
		p := h.Core.Pool
		copy(b[n:], p.Bytes(frame.Desc{Frame: o.Frame, Off: o.Off, Len: o.Len}))
		if !o.Copy {
			p.Transmitting(o.Frame)
			p.Completed(o.Frame)
		}
	}
	h.Sent(f, b, o.ECN)
}

// Close releases everything and reports whether a frame was lost.
func (h *Host) Close() error {
	for _, c := range h.conns {
		c.dropFrame(h)
		c.tcp.Release()
	}
	h.conns, h.listeners = nil, nil
	h.Core.Pool.Reclaim()
	if err := h.Core.Pool.Check(); err != nil {
		return err
	}
	if a := h.Core.Pool.Account(); a.Held != 0 {
		return fmt.Errorf("%d frames are still held after every connection was released", a.Held)
	}
	return nil
}
