package tcp

import (
	"testing"
	"time"
)

// fastOpenPeer plays the client of a listener that uses Fast Open.
func fastOpenPeer(t *testing.T, backlog int) *handshakePeer {
	t.Helper()
	k := newTestCore(t, Config{FastOpen: FastOpenServer})
	l, err := NewListener(k, ListenerConfig{FastOpenBacklog: backlog})
	if err != nil {
		t.Fatal(err)
	}
	return &handshakePeer{t: t, l: l, now: 1000 * second}
}

const second = 1e9

// cookieFor asks for the cookie of a flow.
func (p *handshakePeer) cookieFor(f Flow) []byte {
	p.t.Helper()
	s := syn(clientISS)
	s.SetCookie(optFastOpen, nil)
	p.want("SYN that asks for a cookie", f, s, VerdictReply)
	if p.out.FastOpen != optFastOpen || p.out.CookieLen != cookieSize {
		p.t.Fatalf("the SYN-ACK has %+v", p.out.Options)
	}
	cookie := append([]byte(nil), p.out.cookie()...)
	p.want("RST", f, Segment{Seq: clientISS + 1, Flags: FlagRST}, VerdictDrop)
	return cookie
}

// open sends a SYN with a cookie and data.
func (p *handshakePeer) open(what string, f Flow, cookie []byte, want Verdict) {
	p.t.Helper()
	s := syn(clientISS)
	s.PayloadLen = 100
	s.SetCookie(optFastOpen, cookie)
	p.want(what, f, s, want)
}

// TestFastOpenCookies has cookies be those of an address, of no other, and valid for one change of the key.
func TestFastOpenCookies(t *testing.T) {
	p := fastOpenPeer(t, 0)
	k := p.l.core
	cookie := p.cookieFor(testFlow)
	same := testFlow
	same.RemotePort++
	if again := p.cookieFor(same); string(again) != string(cookie) {
		t.Errorf("another port of the client got the cookie %x, want %x", again, cookie)
	}
	other := testFlow
	other.RemoteAddr[3]++
	if p.cookieFor(other); string(p.out.cookie()) == string(cookie) {
		t.Error("another client got the same cookie")
	}
	p.open("SYN with another client's cookie", other, cookie, VerdictReply)
	p.open("SYN with the cookie", same, cookie, VerdictAccept)
	if a := p.l.Accepted(); !a.FastOpen || a.NewCookie || a.SndWnd != 64240 || a.MSS != 1400 || !a.HasTS || !a.SACKPermitted {
		t.Errorf("accepted: %+v", a)
	}

	k.SetFastOpenKey([16]byte{1, 2, 3})
	same.RemotePort++
	p.open("SYN with a cookie of the key before", same, cookie, VerdictAccept)
	if a := p.l.Accepted(); !a.NewCookie {
		t.Error("the SYN-ACK is not to bring a new cookie")
	}
	k.SetFastOpenKey([16]byte{4, 5, 6})
	same.RemotePort++
	p.open("SYN with an outdated cookie", same, cookie, VerdictReply)
	if p.out.CookieLen != cookieSize || string(p.out.cookie()) == string(cookie) {
		t.Errorf("the SYN-ACK has %+v", p.out.Options)
	}
	st := k.Stats.Listen
	if st.FastOpens != 2 || st.FastOpenRequests != 3 || st.FastOpenBadCookies != 2 {
		t.Errorf("counters: %+v", st)
	}
}

// TestFastOpenNewCookie has the SYN-ACK of a connection that opened with a cookie of the key before bring one of the present key.
func TestFastOpenNewCookie(t *testing.T) {
	p := fastOpenPeer(t, 0)
	cookie := p.cookieFor(testFlow)
	p.l.core.SetFastOpenKey([16]byte{1})
	p.open("SYN", testFlow, cookie, VerdictAccept)
	var c Conn
	c.Accept(p.l.core, p.l.Accepted(), nil, p.now)
	defer c.Release()
	var o OutSegment
	want := p.l.core.fastOpenCookie(testFlow, 0)
	if !c.Output(p.now, &o) || o.Flags != FlagSYN|FlagACK || string(o.cookie()) != string(want[:]) {
		t.Errorf("SYN-ACK: %+v", o)
	}
}

// TestFastOpenPending bounds the connections that are open before their handshake is complete (RFC 7413 section 5.1): those that the
// network ended go on counting for a while, others do not.
func TestFastOpenPending(t *testing.T) {
	p := fastOpenPeer(t, 2)
	k := p.l.core
	cookies := [5][]byte{}
	for i := range cookies {
		cookies[i] = p.cookieFor(flowNo(i))
	}
	accept := func(i int) *Conn {
		p.open("SYN", flowNo(i), cookies[i], VerdictAccept)
		c := new(Conn)
		k.BeginBatch(p.now)
		c.Accept(k, p.l.Accepted(), nil, p.now)
		t.Cleanup(c.Release)
		return c
	}
	a, b := accept(0), accept(1)
	p.open("SYN beyond the limit", flowNo(2), cookies[2], VerdictReply)
	if p.out.FastOpen != 0 || k.Stats.Listen.FastOpenFull != 1 {
		t.Errorf("SYN-ACK %+v, counters %+v", p.out, k.Stats.Listen)
	}
	a.Abort(p.now) // by the application
	c := accept(3)
	b.finish(reasonReset) // by the network
	p.open("SYN right after the reset", flowNo(4), cookies[4], VerdictReply)
	c.endEarly(false) // as established
	accept(1)
	p.now = p.now.Add(2 * fastOpenHold)
	c.Release()
	p.open("SYN two minutes later", flowNo(0), cookies[0], VerdictAccept)
}

// TestFastOpenCache has the cache of cookies keep its size, whatever servers give.
func TestFastOpenCache(t *testing.T) {
	k := newTestCore(t, Config{})
	now := k.now.Add(time.Hour)
	for i := range 10_000 {
		k.keepCookie(flowNo(i<<16), []byte{1, 2, 3, byte(i)}, 1460, now)
	}
	if n := len(k.fastOpen.cookies.slots); n != cookieSlots {
		t.Errorf("%d slots, want %d", n, cookieSlots)
	}
	f := flowNo(7)
	k.keepCookie(f, []byte("cookie"), 1400, now)
	f.RemotePort, f.LocalPort = 1, 2
	if s, try := k.serverCookie(f, now); s == nil || !try || string(s.cookie[:s.length]) != "cookie" || s.mss != 1400 {
		t.Errorf("for another port: %+v, %v", s, try)
	}
	if s, try := k.serverCookie(f, now.Add(cookieLifetime)); s != nil || !try {
		t.Errorf("after its lifetime: %+v, %v", s, try)
	}
	pause := fastOpenPause
	for i := range 10 {
		k.fastOpenFailed(f, now)
		if _, try := k.serverCookie(f, now.Add(pause-1)); try {
			t.Errorf("failure %d: tried again before %v are over", i, pause)
		}
		if _, try := k.serverCookie(f, now.Add(pause)); !try {
			t.Errorf("failure %d: not tried again after %v", i, pause)
		}
		if i < fastOpenPauses {
			pause *= 2
		}
	}
	k.keepCookie(f, []byte("other!"), 1400, now)
	if s, _ := k.serverCookie(f, now); s == nil || s.failed != 0 {
		t.Errorf("after success: %+v", s)
	}
}

// TestFastOpenClientCloses has the whole way of a client whose application closes at once, with data beyond the SYN.
func TestFastOpenClientCloses(t *testing.T) {
	n := newNetwork(t, Config{FastOpen: FastOpenClient}, Config{})
	k := n.a.core
	k.keepCookie(n.a.flow, []byte("cookie"), 1460, n.now)
	k.BeginBatch(n.now)
	c := &n.a.conn
	c.Connect(k, n.a.flow, nil, n.now)
	if ev := c.TakeEvents(); ev != EventEstablished || !c.Held() || c.Wants(n.now) {
		t.Fatalf("events %v, held %v", ev, c.Held())
	}
	c.SendSYNSoon(n.now)
	if c.Wants(n.now) || c.Deadline() != n.now.Add(readFirst) {
		t.Errorf("a reader is there: SYN at once %v, deadline %v", c.Wants(n.now), c.Deadline())
	}
	c.Expire(n.now.Add(readFirst))
	var alone OutSegment
	if !c.Output(n.now.Add(readFirst), &alone) || alone.Flags != FlagSYN || alone.Len != 0 || c.Held() {
		t.Errorf("a reader waited: %+v", alone)
	}
	c.Release()
	c.Connect(k, n.a.flow, nil, n.now)
	c.Close(n.now)
	if c.State() != StateClosed || c.Wants(n.now) {
		t.Errorf("closed before anything was written: %v", c.State())
	}
	c.Release()
	c.Connect(k, n.a.flow, nil, n.now)
	c.TakeEvents()
	if got := c.Write(make([]byte, 5000)); got != 5000 {
		t.Fatalf("wrote %d", got)
	}
	c.Close(n.now)
	var o OutSegment
	if !c.Output(n.now, &o) || o.Flags != FlagSYN || o.Len != 1460-28 || o.CookieLen != 6 {
		t.Errorf("SYN: %+v", o)
	}
	if c.Output(n.now, &o) {
		t.Errorf("more than a SYN: %+v", o)
	}
	if c.State() != StateSynSent {
		t.Errorf("%v after Close", c.State())
	}
	c.Release()
	if err := checkPool(k); err != nil {
		t.Error(err)
	}
}
