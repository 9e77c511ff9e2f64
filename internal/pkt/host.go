package pkt

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

const (
	chunkSize   = 2048
	poolFrames  = 1024
	headroom    = 128 // bytes in front of sent payload
	rxOffset    = 34  // where a received segment begins in its frame
	servicePort = 8080
	peerPort    = 34567 // of a peer that connects
	firstPort   = 40000 // of the stack when it connects
)

// host is what a shard of the stack is, as far as TCP needs one: a core, connections, listeners and TIME-WAIT, under virtual time.
type host struct {
	set      *settings
	core     *tcp.Core
	base     clock.Time // when the script's time was 0
	now      time.Duration
	conns    []*conn
	listener *socket // the one that listens on servicePort, if any
	timeWait *tcp.TimeWaitTable
	flow     tcp.Flow // of the connection that the script is about
	sent     []sent   // not yet expected by the script
	onSent   func(*sent)
	reopened func() // a new connection begins on the flow
}

// sent is a segment that the stack sent.
type sent struct {
	at    time.Duration
	flow  tcp.Flow
	bytes []byte
}

// newHost makes a host whose first connection is one that it opens itself, or that a peer opens.
func newHost(set *settings, active bool) (*host, error) {
	pool, err := frame.NewPool(make([]byte, poolFrames*chunkSize), chunkSize)
	if err != nil {
		return nil, err
	}
	core, err := tcp.NewCore(pool, headroom, set.mtu-40, set.budget, [16]byte{7}, set.tcp)
	if err != nil {
		return nil, err
	}
	h := &host{set: set, core: core, timeWait: tcp.NewTimeWaitTable(core, 64)}
	h.flow = tcp.Flow{
		LocalAddr: [4]byte{192, 168, 0, 1}, RemoteAddr: [4]byte{192, 0, 2, 1}, LocalPort: servicePort, RemotePort: peerPort,
	}
	if active {
		h.flow.LocalPort, h.flow.RemotePort = firstPort, servicePort
	}
	h.startAt(h.flow)
	return h, nil
}

// startAt chooses the clock so that a connection of the flow that begins now has the wanted initial number: the ISN is a clock that
// ticks each 4 microseconds plus a constant of the flow.
func (h *host) startAt(f tcp.Flow) {
	const tick, origin = 4000, clock.Time(5 * time.Hour)
	h.base = origin + clock.Time(h.set.iss-uint32(h.core.Keys.ISN(f, origin)))*tick
}

func (h *host) clock() clock.Time { return h.base.Add(h.now) }

// deadline returns when the next timer is due.
func (h *host) deadline() time.Duration {
	d := h.timeWait.Deadline()
	for _, c := range h.conns {
		d = min(d, c.tcp.Deadline())
	}
	if h.listener != nil {
		d = min(d, h.listener.listen.Deadline())
	}
	if d == clock.Never {
		return never
	}
	return max(d.Sub(h.base), h.now)
}

// expire runs the timers that are due.
func (h *host) expire() {
	now := h.clock()
	h.core.BeginBatch(now)
	h.timeWait.Expire(now)
	for _, c := range h.conns {
		if c.tcp.Deadline() <= now {
			c.tcp.Expire(now)
		}
	}
	if l := h.listener; l != nil && l.listen.Deadline() <= now {
		l.listen.Expire(now)
		var f tcp.Flow
		var o tcp.OutSegment
		for l.listen.NextOutput(now, &f, &o) {
			h.send(f, &o)
		}
	}
	h.settle()
}

// input takes a segment from the network, as a shard's input does: it is for a connection, for a TIME-WAIT, for a listener or for
// nobody.
func (h *host) input(b []byte) error {
	now := h.clock()
	h.core.BeginBatch(now)
	var s tcp.Segment
	var o tcp.OutSegment
	if err := tcp.Parse(b, &s); err != nil {
		return err
	}
	if i := slices.IndexFunc(h.conns, func(c *conn) bool { return c.flow == h.flow }); i >= 0 {
		h.enqueue(h.conns[i], b)
		h.settle()
		return nil
	}
	found, v := h.timeWait.Input(h.flow, &s, now, &o)
	switch {
	case found && v != tcp.VerdictReopen:
	case h.listener == nil || h.flow.LocalPort != servicePort:
		v = tcp.VerdictDrop
		if tcp.ResetFor(&s, &o) {
			v = tcp.VerdictReset
		}
	case v == tcp.VerdictReopen:
		h.reopened()
		v = h.listener.listen.Reopen(h.flow, &s, o.Seq, now, &o)
	default:
		if s.Flags&(tcp.FlagSYN|tcp.FlagACK) == tcp.FlagSYN && h.listener.listen.SynCount() == 0 {
			h.reopened()
		}
		v = h.listener.listen.Input(h.flow, &s, now, &o)
	}
	switch v {
	case tcp.VerdictAccept:
		h.accept(b)
	case tcp.VerdictReply, tcp.VerdictReset:
		h.send(h.flow, &o)
	}
	h.settle()
	return nil
}

// enqueue gives a connection a segment in a frame of the pool.
func (h *host) enqueue(c *conn, b []byte) {
	p := h.core.Pool
	f := p.Alloc()
	if f == frame.None {
		return // as a device drops what it has no frame for
	}
	m := p.Meta(f)
	m.Off, m.Len = rxOffset, uint32(len(b))
	copy(p.Chunk(f)[m.Off:], b)
	c.tcp.Enqueue(f)
}

// accept makes the connection whose handshake the segment b completed.
func (h *host) accept(b []byte) {
	l := h.listener
	c := newConn(h.flow)
	c.tcp.Accept(h.core, l.listen.Accepted(), l.cfg, h.clock())
	h.conns = append(h.conns, c)
	l.queue = append(l.queue, c)
	h.enqueue(c, b)
}

// icmp gives an ICMP error about the segment with number seq to the connection that sent it.
func (h *host) icmp(e *icmpError, seq tcp.Seq) {
	h.core.BeginBatch(h.clock())
	for _, c := range h.conns {
		if c.flow == h.flow {
			c.tcp.ICMP(e.kind, e.mtu, seq, h.clock())
		}
	}
	h.settle()
}

// settle lets all connections process, send and tell until nothing is left to do.
func (h *host) settle() {
	for _, c := range slices.Clone(h.conns) {
		for h.run(c) {
		}
	}
}

// run lets one connection do what it has to, and reports whether there may be more.
func (h *host) run(c *conn) bool {
	if c.gone {
		return false
	}
	more := c.tcp.Process(h.clock())
	var o tcp.OutSegment
	for c.tcp.Output(h.clock(), &o) {
		h.send(c.flow, &o)
		more = true
	}
	ev := c.tcp.TakeEvents()
	c.established = c.established || ev&tcp.EventEstablished != 0
	c.eof = c.eof || ev&tcp.EventPeerClosed != 0
	switch {
	case ev&tcp.EventTimeWait != 0:
		h.timeWait.Add(c.flow, c.tcp.TimeWaitRecord(), h.clock())
		h.forget(c)
		return false
	case ev&tcp.EventClosed != 0:
		c.err = c.tcp.Err()
		h.forget(c)
		return false
	}
	return more || ev != 0
}

// send puts a segment on the wire, where the script finds it.
func (h *host) send(f tcp.Flow, o *tcp.OutSegment) {
	b := make([]byte, o.HeaderLen()+int(o.Len))
	n := o.Marshal(b, f.LocalPort, f.RemotePort)
	if o.Len != 0 {
		p := h.core.Pool
		copy(b[n:], p.Bytes(frame.Desc{Frame: o.Frame, Off: o.Off, Len: o.Len}))
		if !o.Copy {
			p.Transmitting(o.Frame)
			p.Completed(o.Frame)
		}
	}
	h.sent = append(h.sent, sent{at: h.now, flow: f, bytes: b})
	h.onSent(&h.sent[len(h.sent)-1])
}

// close releases everything and reports whether a frame was lost.
func (h *host) close() error {
	for _, c := range h.conns {
		c.dropFrame(h)
		c.tcp.Release()
	}
	h.core.Pool.Reclaim()
	if err := h.core.Pool.Check(); err != nil {
		return err
	}
	if a := h.core.Pool.Account(); a.Held != 0 {
		return fmt.Errorf("%d frames are still held after every connection was released", a.Held)
	}
	return nil
}

// pattern is the byte at a place of either stream, counted from the SYN's number. What arrives at the wrong place is found by it.
func pattern(at uint32) byte { return byte(at*2654435761>>24) ^ byte(at) }

// optionBytes returns the options of a segment.
func optionBytes(b []byte) []byte { return b[tcp.MinHeaderLen : int(b[12]>>4)*4] }

func putHeader(b []byte, f tcp.Flow, p *packet, seq, ack uint32) {
	binary.BigEndian.PutUint16(b[0:], f.RemotePort)
	binary.BigEndian.PutUint16(b[2:], f.LocalPort)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[13] = byte(p.flags)
	binary.BigEndian.PutUint16(b[14:], p.win)
	binary.BigEndian.PutUint16(b[18:], p.urg)
}
