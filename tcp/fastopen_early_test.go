package tcp

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// early is a connection that a Fast Open cookie has opened, and that has the SYN's data; its SYN-ACK is sent.
type early struct {
	t   *testing.T
	p   *handshakePeer
	c   Conn
	syn OutSegment // as the peer sent it, without its payload
}

// openEarly has a listener with that configuration open a connection early.
func openEarly(t *testing.T, cfg Config) *early {
	t.Helper()
	cfg.FastOpen = FastOpenServer
	l, err := NewListener(newTestCore(t, cfg), ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	e := &early{t: t, p: &handshakePeer{t: t, l: l, now: 1000 * second}}
	e.p.open("SYN", testFlow, e.p.cookieFor(testFlow), VerdictAccept)
	l.core.BeginBatch(e.p.now)
	e.c.Accept(l.core, l.Accepted(), nil, e.p.now)
	t.Cleanup(e.c.Release)
	s := syn(clientISS)
	e.syn.Clear()
	e.syn.Seq, e.syn.Flags, e.syn.Window, e.syn.Options = s.Seq, s.Flags, s.Window, s.Options
	e.inject(e.syn, 100)
	if out := e.pull(1); out[0].Flags != FlagSYN|FlagACK || out[0].Ack != clientISS+101 {
		t.Fatalf("SYN-ACK: %+v", out[0])
	}
	return e
}

// inject gives the connection a segment with so many bytes of payload.
func (e *early) inject(o OutSegment, payload int) {
	k := e.p.l.core
	f := k.Pool.Alloc()
	m := k.Pool.Meta(f)
	m.Off, m.Flags = 0, 0
	m.Len = uint32(o.Marshal(k.Pool.Chunk(f), testFlow.RemotePort, testFlow.LocalPort) + payload)
	e.c.Enqueue(f)
	e.c.Process(e.p.now)
}

// ack gives it the ACK that ends the handshake.
func (e *early) ack() {
	o := OutSegment{Seq: clientISS + 101, Ack: e.c.snd.iss + 1, Flags: FlagACK, Window: 502}
	o.WScale, o.HasTS, o.TSVal, o.TSEcr = -1, true, 5001, e.c.tsValue(e.p.now)
	e.inject(o, 0)
	if e.c.State() != StateEstablished {
		e.t.Fatalf("%v after the ACK", e.c.State())
	}
}

// pull takes all segments that are due, at least so many.
func (e *early) pull(least int) (out []OutSegment) {
	e.t.Helper()
	for o := (OutSegment{}); e.c.Output(e.p.now, &o); {
		out = append(out, o)
	}
	if len(out) < least {
		e.t.Fatalf("%d segments, want %d at least", len(out), least)
	}
	return out
}

// TestFastOpenMaxSegment has the limit of an application hold for a connection that opened early: nothing makes segments larger later,
// neither the end of the handshake nor a probe of the path.
func TestFastOpenMaxSegment(t *testing.T) {
	for _, mode := range []MTUProbing{MTUProbingBlackHole, MTUProbingOff} {
		e := openEarly(t, Config{MTUProbing: mode})
		if err := e.c.SetMaxSegment(500); err != nil {
			t.Fatal(err)
		}
		e.ack()
		e.c.Write(make([]byte, 20_000))
		for _, o := range e.pull(8) {
			if o.Len+uint32(o.wireLen(false)) > 500 {
				t.Errorf("mode %v: %d bytes in a segment", mode, o.Len)
			}
		}
	}
}

// TestFastOpenMaxPacingRate has what is written before the handshake is complete be paced, too, but for a burst of two segments.
func TestFastOpenMaxPacingRate(t *testing.T) {
	e := openEarly(t, Config{})
	e.c.SetNoDelay(true)
	e.c.SetMaxPacingRate(100_000, e.p.now)
	e.c.Write(make([]byte, 10_000))
	start, sent := e.p.now, uint32(0)
	for sent < 10_000 {
		for _, o := range e.pull(1) {
			sent += o.Len
		}
		if rate := float64(sent-min(sent, 3000)) / max(e.p.now.Sub(start), 1).Seconds(); rate > 101_000 {
			t.Fatalf("%d bytes after %v", sent, e.p.now.Sub(start))
		}
		if at := e.c.Deadline(); sent < 10_000 && (at <= e.p.now || at > e.p.now.Add(20*time.Millisecond)) {
			t.Fatalf("%d bytes are sent at %v, the next go at %v", sent, e.p.now, at)
		}
		e.p.now = min(e.c.Deadline(), e.p.now.Add(time.Second))
		e.p.l.core.BeginBatch(e.p.now)
		e.c.Expire(e.p.now)
	}
	if e.c.State() != StateSynReceived {
		t.Errorf("%v", e.c.State())
	}
}

// TestFastOpenCounters has a connection that opened early count as one that a peer has begun, once it is established.
func TestFastOpenCounters(t *testing.T) {
	e := openEarly(t, Config{})
	st := &e.p.l.core.Stats
	if st.PassiveOpens != 0 || st.Established != 0 {
		t.Errorf("before the handshake is complete: %d passive opens, %d established", st.PassiveOpens, st.Established)
	}
	e.ack()
	if st.PassiveOpens != 1 || st.Established != 1 {
		t.Errorf("then: %d passive opens, %d established", st.PassiveOpens, st.Established)
	}
}

// TestFastOpenLinger has the time that a closed connection may take to deliver begin with the close, although the handshake is not over.
func TestFastOpenLinger(t *testing.T) {
	e := openEarly(t, Config{Linger: 5 * time.Second})
	n := newNetwork(t, Config{FastOpen: FastOpenClient, Linger: 5 * time.Second}, Config{})
	n.a.core.keepCookie(n.a.flow, []byte("cookie"), 1460, n.now)
	n.a.conn.Connect(n.a.core, n.a.flow, nil, n.now)
	t.Cleanup(n.a.conn.Release)
	for _, c := range []struct {
		name   string
		conn   *Conn
		now    clock.Time
		resets int
	}{{"server", &e.c, e.p.now, 1}, {"client", &n.a.conn, n.now, 0}} {
		closed, resets := c.now, 0
		c.conn.core.BeginBatch(c.now)
		for f := c.conn.Recv(); f != frame.None; f = c.conn.Recv() {
			c.conn.core.Pool.Release(f)
		}
		c.conn.Write([]byte("answer"))
		c.conn.Close(c.now)
		for c.conn.State() != StateClosed {
			for o := (OutSegment{}); c.conn.Output(c.now, &o); {
			}
			c.now = c.conn.Deadline()
			c.conn.core.BeginBatch(c.now)
			c.conn.Expire(c.now)
		}
		for o := (OutSegment{}); c.conn.Output(c.now, &o); {
			resets += int(o.Flags&FlagRST) / int(FlagRST)
		}
		if took := c.now.Sub(closed); took != 5*time.Second || resets != c.resets {
			t.Errorf("%s: over after %v, want 5 s; %d resets, want %d", c.name, took, resets, c.resets)
		}
	}
	e = openEarly(t, Config{Linger: 5 * time.Second})
	for f := e.c.Recv(); f != frame.None; f = e.c.Recv() {
		e.p.l.core.Pool.Release(f)
	}
	e.c.Close(e.p.now)
	want := e.p.now.Add(5 * time.Second)
	e.p.now = e.p.now.Add(2 * time.Second)
	e.p.l.core.BeginBatch(e.p.now)
	o := OutSegment{Seq: clientISS + 101, Ack: e.c.snd.iss + 1, Flags: FlagACK, Window: 502}
	o.WScale, o.HasTS, o.TSVal = -1, true, 5001
	e.inject(o, 0)
	if e.c.State() != StateFinWait1 || e.c.timers.slow != want {
		t.Errorf("%v, ends at %v, want %v", e.c.State(), e.c.timers.slow, want)
	}
}

// TestFastOpenUserTimeout has the user timeout bound how long data that went out before the end of the handshake stays unacknowledged.
func TestFastOpenUserTimeout(t *testing.T) {
	const bound = 2500 * time.Millisecond
	e := openEarly(t, Config{UserTimeout: bound})
	n := newNetwork(t, Config{FastOpen: FastOpenClient, UserTimeout: bound}, Config{})
	n.a.core.keepCookie(n.a.flow, []byte("cookie"), 1460, n.now)
	n.a.core.BeginBatch(n.now)
	n.a.conn.Connect(n.a.core, n.a.flow, nil, n.now)
	t.Cleanup(n.a.conn.Release)
	for _, c := range []struct {
		name string
		conn *Conn
		now  clock.Time
	}{{"server", &e.c, e.p.now}, {"client", &n.a.conn, n.now}} {
		wrote := c.now
		c.conn.Write([]byte("something"))
		for c.conn.State() != StateClosed {
			for o := (OutSegment{}); c.conn.Output(c.now, &o); {
			}
			c.now = c.conn.Deadline()
			c.conn.core.BeginBatch(c.now)
			c.conn.Expire(c.now)
		}
		if took := c.now.Sub(wrote); took != bound || !errors.Is(c.conn.Err(), ErrTimeout) {
			t.Errorf("%s: over after %v, want %v; %v", c.name, took, bound, c.conn.Err())
		}
	}
}
