package tcp

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// pair is two connections whose segments and time somebody else decides about: a fuzzer. It uses the same memory again and again.
type pair struct {
	t       *testing.T
	now     clock.Time
	ends    [2]pairEnd
	wire    [pairWire]pairSegment // a ring of what is under way, in the order of sending
	head, n int
	mutated bool // a segment was changed: nothing can be said about what is received
	aborted bool // an application gave up
	closing bool // the applications read all and close
	lost    int  // segments that found the ring full
}

// pairWire is how many segments may be under way.
const pairWire = 256

type pairSegment struct {
	to  int
	len int
	b   [MaxHeaderLen + deviceMSS]byte
}

type pairEnd struct {
	endpoint
	kept bool          // SetKeepAlive was called at the end
	fill []frame.Index // frames to receive into, which a device keeps back from what sends
}

const pairFill = 8

// refill takes frames to receive into.
func (e *pairEnd) refill() {
	for len(e.fill) < pairFill {
		f := e.core.Pool.GiveToFill()
		if f == frame.None {
			return
		}
		e.fill = append(e.fill, f)
	}
}

// inject gives a segment to the connection, unless there is no frame to receive it into.
func (e *pairEnd) inject(seg []byte) {
	e.refill()
	if len(e.fill) == 0 {
		return
	}
	f := e.fill[len(e.fill)-1]
	e.fill = e.fill[:len(e.fill)-1]
	p := e.core.Pool
	p.Received(f, 34, uint32(len(seg)))
	copy(p.Data(f), seg)
	e.conn.Enqueue(f)
}

var pairMemory pair

// newPair makes the first end begin a connection to the second.
func newPair(t *testing.T, headroom uint32, a, b Config) *pair {
	n := &pairMemory
	n.t, n.now, n.head, n.n, n.lost = t, clock.Time(time.Hour), 0, 0, 0
	n.mutated, n.aborted, n.closing = false, false, false
	n.ends[0] = pairEnd{endpoint: endpoint{name: "a", core: newFuzzCore(t, 0, headroom, a), flow: flowA}}
	n.ends[1] = pairEnd{endpoint: endpoint{name: "b", core: newFuzzCore(t, 1, headroom, b), flow: flowB}}
	var err error
	if n.ends[1].l, err = NewListener(n.ends[1].core, ListenerConfig{}); err != nil {
		t.Fatal(err)
	}
	n.ends[0].refill()
	n.ends[1].refill()
	n.begin()
	n.ends[0].conn.Connect(n.ends[0].core, flowA, nil, n.now)
	n.pull(0)
	return n
}

// begin tells the cores the time.
func (n *pair) begin() {
	for i := range n.ends {
		n.ends[i].core.BeginBatch(n.now)
	}
}

// at returns the i-th of what is under way.
func (n *pair) at(i int) *pairSegment { return &n.wire[(n.head+i)%pairWire] }

// send puts a segment on the wire.
func (n *pair) send(from int, o *OutSegment) {
	e := &n.ends[from]
	if n.n == pairWire {
		n.lost++
		return
	}
	s := n.at(n.n)
	n.n++
	s.to = 1 - from
	h := o.Marshal(s.b[:], e.flow.LocalPort, e.flow.RemotePort)
	s.len = h
	if o.Frame != frame.None {
		if h+int(o.Len) > len(s.b) {
			n.t.Fatalf("%s: a header of %d bytes and a payload of %d", e.name, h, o.Len)
		}
		s.len += copyPayload(s.b[h:], e.core.Pool, o)
	}
}

// pull has an end send what is due.
func (n *pair) pull(i int) {
	e := &n.ends[i]
	if e.conn.core == nil {
		return
	}
	var o OutSegment
	for range 2000 {
		if !e.conn.Output(n.now, &o) {
			return
		}
		n.send(i, &o)
	}
	n.t.Fatalf("%s: there is no end to what is sent: %+v", e.name, e.conn.Info())
}

// deliver gives the first segment under way to its receiver, and keeps it for another time if again is set.
func (n *pair) deliver(again bool) {
	if n.n == 0 {
		return
	}
	s := n.at(0)
	n.receive(s)
	if !again {
		n.drop()
	}
}

func (n *pair) drop() {
	if n.n > 0 {
		n.head, n.n = (n.head+1)%pairWire, n.n-1
	}
}

// receive does what a shard does with one segment.
func (n *pair) receive(s *pairSegment) {
	e := &n.ends[s.to]
	b := s.b[:s.len]
	var seg Segment
	if Parse(b, &seg) != nil {
		return
	}
	var o OutSegment
	switch {
	case e.conn.core != nil && e.conn.State() != StateClosed:
		e.inject(b)
	case e.l != nil && e.conn.core == nil:
		switch e.l.Input(e.flow, &seg, n.now, &o) {
		case VerdictReply, VerdictReset:
			n.send(s.to, &o)
		case VerdictAccept:
			e.conn.Accept(e.core, e.l.Accepted(), nil, n.now)
			e.l.Taken()
			e.inject(b)
		}
	default:
		if ResetFor(&seg, &o) {
			n.send(s.to, &o)
		}
	}
	n.turn(s.to)
}

// turn is what a shard and an application do for an end.
func (n *pair) turn(i int) {
	e := &n.ends[i]
	if l := e.l; l != nil && l.Deadline() <= n.now {
		l.Expire(n.now)
		var f Flow
		var o OutSegment
		for l.NextOutput(n.now, &f, &o) {
			n.send(i, &o)
		}
	}
	c := &e.conn
	if c.core == nil {
		return
	}
	for c.Process(n.now) {
	}
	if c.Deadline() <= n.now {
		c.Expire(n.now)
		if c.Deadline() <= n.now {
			n.t.Fatalf("%s: a timer is still due after Expire", e.name)
		}
	}
	e.events |= c.TakeEvents()
	if n.closing {
		if !e.kept {
			e.kept = true
			// An end that has nothing to say, and has not heard that the other gave up, would wait for ever, as it should.
			c.SetKeepAlive(time.Minute, n.now)
		}
		n.read(i, 1<<20)
		n.closeEnd(e)
	}
	n.pull(i)
	if err := checkInvariants(c); err != nil {
		n.t.Fatalf("%s: %v", e.name, err)
	}
	if err := checkLiveness(c); err != nil {
		n.t.Fatalf("%s: %v", e.name, err)
	}
}

// closeEnd ends the application's side of a connection.
func (n *pair) closeEnd(e *pairEnd) {
	if e.closed || e.conn.State() < StateEstablished && e.conn.State() != StateClosed {
		return
	}
	e.closed = true
	e.conn.SetCork(false)
	e.conn.CloseWrite(n.now)
}

// write has the application of an end write the stream's next bytes.
func (n *pair) write(i, size int, urgent bool) {
	e := &n.ends[i]
	if e.conn.core == nil || e.closed || e.conn.State() < StateEstablished && e.conn.State() != StateSynSent {
		return
	}
	var buf [8192]byte
	b := buf[:min(size, len(buf))]
	fillStream(b, e.sent)
	if urgent {
		e.sent += e.conn.WriteUrgent(b)
	} else {
		e.sent += e.conn.Write(b)
	}
}

// read has the application of an end read so many frames at most. Unless segments were changed, it is the other's stream.
func (n *pair) read(i, most int) {
	e, from := &n.ends[i], &n.ends[1-i]
	if e.conn.core == nil {
		return
	}
	p := e.core.Pool
	for range most {
		f := e.conn.Recv()
		if f == frame.None {
			return
		}
		b := p.Data(f)
		if !n.mutated {
			for j := range b {
				if e.received+j >= from.sent || b[j] != streamByte(e.received+j) {
					n.t.Fatalf("%s: byte %d of the stream is wrong, %d were sent", e.name, e.received+j, from.sent)
				}
			}
		}
		e.received += len(b)
		p.Release(f)
		e.conn.Consumed(uint32(len(b)))
	}
}

// wait lets the time come at which the first timer expires.
func (n *pair) wait() bool {
	d := min(n.ends[0].deadline(), n.ends[1].deadline())
	if d == clock.Never {
		return false
	}
	n.now = max(n.now, d)
	n.begin()
	n.turn(0)
	n.turn(1)
	return true
}

// over reports whether both ends are closed for good.
func (n *pair) over() bool {
	for i := range n.ends {
		if c := &n.ends[i].conn; c.core != nil && c.State() != StateClosed && c.State() != StateTimeWait {
			return false
		}
	}
	return true
}

// finish has both applications read and close, on a wire that does no harm any more, and waits for the end.
func (n *pair) finish() error {
	n.closing = true
	n.begin()
	n.turn(0)
	n.turn(1)
	for range 20_000 {
		if n.n > 0 {
			n.now = n.now.Add(time.Millisecond)
			n.begin()
			n.deliver(false)
			continue
		}
		if n.over() || !n.wait() {
			break
		}
	}
	if !n.over() {
		return fmt.Errorf("no end: %+v\n%+v", n.ends[0].conn.Info(), n.ends[1].conn.Info())
	}
	return nil
}

// timedOut reports whether an end gave up waiting for the other, as it may when enough is lost.
func (n *pair) timedOut() bool {
	for i := range n.ends {
		if errors.Is(n.ends[i].conn.Err(), ErrTimeout) {
			return true
		}
	}
	return false
}

// release gives back everything and checks that it was everything.
func (n *pair) release() {
	for i := range n.ends {
		e := &n.ends[i]
		n.read(i, 1<<20)
		e.conn.Release()
		e.core.Pool.Reclaim()
		if err := checkPool(e.core); err != nil {
			n.t.Fatalf("%s: %v", e.name, err)
		}
	}
}
