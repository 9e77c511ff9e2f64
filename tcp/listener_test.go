package tcp

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

func newTestCore(t testing.TB, cfg Config) *Core {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, 64*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewCore(pool, 256, 1460, 1<<20, [16]byte{1, 2, 3, 4}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// handshakePeer plays the client of handshakes with a listener: it gives it segments and looks at the answers.
type handshakePeer struct {
	t   testing.TB
	l   *Listener
	now clock.Time
	out OutSegment
}

func newHandshakePeer(t testing.TB, cfg ListenerConfig) *handshakePeer {
	t.Helper()
	l, err := NewListener(newTestCore(t, Config{}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &handshakePeer{t: t, l: l, now: clock.Time(1000 * time.Second)}
}

var clientISS = Seq(1<<32 - 1) // the number after the SYN's is 0

// syn is the SYN of a Linux client.
func syn(iss Seq) Segment {
	return Segment{
		Seq: iss, Flags: FlagSYN, Window: 64240, HeaderLen: 40,
		Options: Options{MSS: 1400, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 5000},
	}
}

// ack is the client's answer to a SYN-ACK.
func ack(synAck *OutSegment) Segment {
	s := Segment{Seq: synAck.Ack, Ack: synAck.Seq.Add(1), Flags: FlagACK, Window: 502, HeaderLen: 20, Options: Options{WScale: -1}}
	if synAck.HasTS {
		s.HasTS, s.TSVal, s.TSEcr = true, 5001, synAck.TSVal
	}
	return s
}

func flowNo(i int) Flow {
	f := testFlow
	f.RemoteAddr[1], f.RemoteAddr[2], f.RemotePort = byte(i>>24), byte(i>>16), uint16(i)
	return f
}

func (p *handshakePeer) want(what string, f Flow, s Segment, want Verdict) {
	p.t.Helper()
	p.out = OutSegment{}
	if got := p.l.Input(f, &s, p.now, &p.out); got != want {
		p.t.Fatalf("%s: verdict %d, want %d", what, got, want)
	}
}

func (p *handshakePeer) wantHeader(what string, flags Flags, seq, ack Seq) {
	p.t.Helper()
	if p.out.Flags != flags || p.out.Seq != seq || p.out.Ack != ack {
		p.t.Fatalf("%s: got %v seq %d ack %d; want %v seq %d ack %d", what, p.out.Flags, p.out.Seq, p.out.Ack, flags, seq, ack)
	}
}

// handshake opens a connection from SYN to VerdictAccept.
func (p *handshakePeer) handshake(f Flow) {
	p.t.Helper()
	p.want("SYN", f, syn(clientISS), VerdictReply)
	p.want("ACK", f, ack(&p.out), VerdictAccept)
}

func TestListenerHandshake(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	synAck := p.out
	p.wantHeader("SYN-ACK", FlagSYN|FlagACK, synAck.Seq, clientISS+1)
	offset := p.l.core.Keys.TimestampOffset(testFlow)
	want := Options{MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: p.now.Millis() + offset, TSEcr: 5000}
	if synAck.Options != want || synAck.Window != 65535 || synAck.Frame != frame.None {
		t.Errorf("SYN-ACK: %+v, want options %+v", synAck, want)
	}
	if p.l.SynCount() != 1 || p.l.Deadline() != p.now.Add(time.Second) {
		t.Errorf("%d half open, deadline %v", p.l.SynCount(), p.l.Deadline())
	}
	sent := p.now
	p.now += clock.Time(30 * ms)
	p.want("ACK", testFlow, ack(&synAck), VerdictAccept)
	accepted := Accepted{
		SentAt: sent, Flow: testFlow, IRS: clientISS, ISS: synAck.Seq, TSRecent: 5000, TSOffset: offset, RcvWnd: 65535, MSS: 1400,
		SndWScale: 7, RcvWScale: 7, HasWScale: true, HasTS: true, SACKPermitted: true,
	}
	if got := *p.l.Accepted(); got != accepted {
		t.Errorf("accepted\n%+v, want\n%+v", got, accepted)
	}
	if p.l.SynCount() != 0 || p.l.Deadline() != clock.Never || p.l.Waiting() != 1 {
		t.Errorf("afterwards %d half open, deadline %v, %d waiting", p.l.SynCount(), p.l.Deadline(), p.l.Waiting())
	}
	p.l.Taken()
	if p.l.Waiting() != 0 {
		t.Error("a connection that was taken still waits")
	}
}

// TestListenerOptions has each option agreed on only if both sides offer it.
func TestListenerOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		syn  func(*Segment)
		want Accepted
	}{
		{"client offers nothing", Config{}, func(s *Segment) { s.Options = Options{WScale: -1} }, Accepted{MSS: DefaultMSS}},
		{"server offers nothing", Config{NoTimestamps: true, NoSACK: true, NoWindowScale: true}, func(*Segment) {}, Accepted{MSS: 1400}},
		{"no timestamps", Config{NoTimestamps: true}, func(*Segment) {},
			Accepted{MSS: 1400, HasWScale: true, SndWScale: 7, RcvWScale: 7, SACKPermitted: true}},
		{"client without window scale", Config{NoTimestamps: true}, func(s *Segment) { s.WScale = -1 },
			Accepted{MSS: 1400, SACKPermitted: true}},
		{"client's shift is 0", Config{NoTimestamps: true}, func(s *Segment) { s.WScale = 0 },
			Accepted{MSS: 1400, SACKPermitted: true, HasWScale: true, RcvWScale: 7}},
		{"client without SACK", Config{NoTimestamps: true}, func(s *Segment) { s.SACKPermitted = false },
			Accepted{MSS: 1400, HasWScale: true, SndWScale: 7, RcvWScale: 7}},
		{"tiny MSS", Config{NoTimestamps: true, NoSACK: true, NoWindowScale: true}, func(s *Segment) { s.MSS = 1 }, Accepted{MSS: MinMSS}},
	} {
		l, err := NewListener(newTestCore(t, c.cfg), ListenerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p := &handshakePeer{t: t, l: l, now: 1e9}
		s := syn(7)
		c.syn(&s)
		p.want(c.name, testFlow, s, VerdictReply)
		if p.out.HasTS != c.want.HasTS || p.out.SACKPermitted != c.want.SACKPermitted || p.out.WScale >= 0 != c.want.HasWScale {
			t.Errorf("%s: SYN-ACK has %+v", c.name, p.out.Options)
		}
		c.want.Flow, c.want.IRS, c.want.ISS, c.want.SentAt, c.want.RcvWnd = testFlow, 7, p.out.Seq, 1e9, 65535
		p.want(c.name, testFlow, ack(&p.out), VerdictAccept)
		if got := *l.Accepted(); got != c.want {
			t.Errorf("%s: accepted\n%+v, want\n%+v", c.name, got, c.want)
		}
	}
}

func TestListenerDuplicateSYN(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	first := p.out
	p.now += clock.Time(600 * ms)
	again := syn(clientISS)
	again.TSVal += 600
	p.want("the same SYN", testFlow, again, VerdictReply)
	p.wantHeader("the answer", FlagSYN|FlagACK, first.Seq, first.Ack)
	if p.out.TSEcr != 5600 {
		t.Errorf("the answer echoes timestamp %d, want the later SYN's", p.out.TSEcr)
	}
	if p.l.SynCount() != 1 || p.l.core.Stats.Listen.DuplicateSyns != 1 {
		t.Errorf("%d half open", p.l.SynCount())
	}
	p.want("ACK with a timestamp before the SYN's", testFlow, ack(&first), VerdictReply)
	p.wantHeader("the answer", FlagACK, first.Seq+1, first.Ack)
	late := ack(&first)
	late.TSVal = 5601
	p.want("ACK", testFlow, late, VerdictAccept)
}

// TestListenerRetransmits has SYN-ACKs come again with backoff until the peer is given up.
func TestListenerRetransmits(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	first, start := p.out, p.now
	var f Flow
	for i, want := range []time.Duration{1, 3, 7, 15, 31} {
		p.now = p.l.Deadline()
		if got := p.now.Sub(start); got != want*time.Second {
			t.Fatalf("repetition %d is due after %v, want %v s", i, got, int(want))
		}
		if p.l.NextOutput(p.now-1, &f, &p.out) {
			t.Fatalf("repetition %d comes early", i)
		}
		p.l.Expire(p.now)
		if !p.l.NextOutput(p.now, &f, &p.out) || f != testFlow {
			t.Fatalf("repetition %d does not come, or to %v", i, f)
		}
		p.wantHeader("repetition", FlagSYN|FlagACK, first.Seq, first.Ack)
		if p.out.TSVal != first.TSVal+uint32(want*1000) {
			t.Errorf("repetition %d has an old timestamp", i)
		}
		if p.l.NextOutput(p.now, &f, &p.out) {
			t.Fatalf("repetition %d comes twice", i)
		}
	}
	p.now = p.l.Deadline()
	if got := p.now.Sub(start); got != 63*time.Second {
		t.Errorf("the peer is given up after %v, want 63s", got)
	}
	p.l.Expire(p.now)
	if p.l.SynCount() != 0 || p.l.core.Stats.Listen.SynAckTimeouts != 1 || p.l.NextOutput(p.now, &f, &p.out) {
		t.Error("the record was not given up")
	}
	p.want("late ACK", testFlow, ack(&first), VerdictReset)
}

// TestListenerLostSYNACK has a connection whose SYN-ACK was lost: no measurement, and an initial window of one segment.
func TestListenerLostSYNACK(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	p.now = p.l.Deadline()
	var f Flow
	if !p.l.NextOutput(p.now, &f, &p.out) {
		t.Fatal("no repetition")
	}
	p.want("ACK", testFlow, ack(&p.out), VerdictAccept)
	if a := p.l.Accepted(); !a.SYNLost || a.SentAt != 0 {
		t.Errorf("accepted %+v", a)
	}
}

// TestListenerRetransmitsInOrder has records of different ages: each is repeated at its own time.
func TestListenerRetransmitsInOrder(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	start := p.now
	for i := range 20 {
		p.now = start.Add(time.Duration(i) * 100 * ms)
		p.want("SYN", flowNo(i), syn(clientISS), VerdictReply)
	}
	next := map[Flow]time.Duration{}
	sends := map[Flow]int{}
	var f Flow
	for p.now = start; p.l.SynCount() > 0; p.now = p.l.Deadline() {
		p.l.Expire(p.now)
		for p.l.NextOutput(p.now, &f, &p.out) {
			if last, ok := next[f]; ok && p.now.Sub(start)-last != time.Second<<sends[f] {
				t.Errorf("repetition %d comes %v after the last", sends[f], p.now.Sub(start)-last)
			}
			next[f] = p.now.Sub(start)
			sends[f]++
		}
	}
	for i := range 20 {
		if sends[flowNo(i)] != 5 {
			t.Errorf("record %d was repeated %d times", i, sends[flowNo(i)])
		}
	}
}

func TestListenerRefuses(t *testing.T) {
	irs := clientISS
	for _, c := range []struct {
		name     string
		seg      func(synAck *OutSegment) Segment
		want     Verdict
		flags    Flags
		seq, ack Seq // relative to ISS and IRS where the answer is an ACK; to 0 in a reset
		left     int // half-open connections afterwards
	}{
		{"ACK of nothing sent", func(o *OutSegment) Segment { s := ack(o); s.Ack++; return s }, VerdictReset, FlagRST, 2, 0, 1},
		{"old ACK", func(o *OutSegment) Segment { s := ack(o); s.Ack--; return s }, VerdictReset, FlagRST, 0, 0, 1},
		{"ACK before the window", func(o *OutSegment) Segment { s := ack(o); s.Seq--; return s }, VerdictReply, FlagACK, 1, 1, 1},
		{"ACK beyond the window", func(o *OutSegment) Segment { s := ack(o); s.Seq += 65535; return s }, VerdictReply, FlagACK, 1, 1, 1},
		{"SYN with another number", func(*OutSegment) Segment { return syn(irs + 50_000) }, VerdictReply, FlagACK, 1, 1, 1},
		{"SYN-ACK", func(o *OutSegment) Segment { s := ack(o); s.Flags |= FlagSYN; s.Seq--; return s }, VerdictReply, FlagACK, 1, 1, 1},
		{"no flags", func(o *OutSegment) Segment { s := ack(o); s.Flags = 0; return s }, VerdictDrop, 0, 0, 0, 1},
		{"reset", func(*OutSegment) Segment { return Segment{Seq: irs + 1, Flags: FlagRST} }, VerdictDrop, 0, 0, 0, 0},
		{"reset with ACK", func(*OutSegment) Segment { return Segment{Seq: irs + 1, Flags: FlagRST | FlagACK} }, VerdictDrop, 0, 0, 0, 0},
		{"reset in the window", func(*OutSegment) Segment { return Segment{Seq: irs + 2, Flags: FlagRST} }, VerdictReply, FlagACK, 1, 1, 1},
		{"reset outside", func(*OutSegment) Segment { return Segment{Seq: irs, Flags: FlagRST} }, VerdictDrop, 0, 0, 0, 1},
	} {
		p := newHandshakePeer(t, ListenerConfig{})
		p.want("SYN", testFlow, syn(irs), VerdictReply)
		synAck := p.out
		p.want(c.name, testFlow, c.seg(&synAck), c.want)
		switch c.want {
		case VerdictReply:
			p.wantHeader(c.name, c.flags, synAck.Seq+c.seq, irs+c.ack)
		case VerdictReset:
			p.wantHeader(c.name, c.flags, synAck.Seq+c.seq, 0)
		}
		if got := p.l.SynCount(); got != c.left {
			t.Errorf("%s: %d half open afterwards, want %d", c.name, got, c.left)
		}
		if c.left == 1 {
			p.want(c.name+", then the right ACK", testFlow, ack(&synAck), VerdictAccept)
		}
	}
}

func TestListenerStraySegments(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	p.want("ACK", testFlow, Segment{Seq: 5, Ack: 9, Flags: FlagACK}, VerdictReset)
	p.wantHeader("the answer", FlagRST, 9, 0)
	p.want("SYN-ACK", testFlow, Segment{Seq: 5, Ack: 9, Flags: FlagSYN | FlagACK}, VerdictReset)
	p.wantHeader("the answer", FlagRST, 9, 0)
	p.want("RST", testFlow, Segment{Seq: 5, Flags: FlagRST}, VerdictDrop)
	p.want("RST with SYN", testFlow, Segment{Seq: 5, Flags: FlagRST | FlagSYN}, VerdictDrop)
	p.want("FIN alone", testFlow, Segment{Seq: 5, Flags: FlagFIN}, VerdictDrop)
	p.want("SYN with FIN", testFlow, Segment{Seq: 5, Flags: FlagSYN | FlagFIN}, VerdictDrop)
	if p.l.SynCount() != 0 {
		t.Error("a stray segment left a record")
	}
}

// TestListenerDataOnHandshake has the ACK of the handshake come with data, a FIN, or not at all but the data after it.
func TestListenerDataOnHandshake(t *testing.T) {
	for name, change := range map[string]func(*Segment){
		"data":        func(s *Segment) { s.PayloadLen = 100; s.Flags |= FlagPSH },
		"FIN":         func(s *Segment) { s.Flags |= FlagFIN },
		"second data": func(s *Segment) { s.Seq += 100; s.PayloadLen = 100 },
	} {
		p := newHandshakePeer(t, ListenerConfig{})
		p.want("SYN", testFlow, syn(clientISS), VerdictReply)
		s := ack(&p.out)
		change(&s)
		p.want(name, testFlow, s, VerdictAccept)
	}
}

func TestListenerBacklog(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{Backlog: 2})
	p.want("SYN", flowNo(9), syn(clientISS), VerdictReply)
	third := p.out
	p.handshake(flowNo(1))
	p.handshake(flowNo(2))
	p.want("SYN while the backlog is full", flowNo(3), syn(clientISS), VerdictDrop)
	p.want("ACK while the backlog is full", flowNo(9), ack(&third), VerdictDrop)
	if p.l.SynCount() != 1 || p.l.core.Stats.Listen.DropAckBacklogFull != 1 || p.l.core.Stats.Listen.DropBacklogFull != 1 {
		t.Errorf("%d half open, counters %+v", p.l.SynCount(), p.l.core.Stats.Listen)
	}
	// The SYN-ACK that comes again asks for the ACK again; by then there is room.
	p.l.Taken()
	p.now = p.l.Deadline()
	var f Flow
	if !p.l.NextOutput(p.now, &f, &p.out) || f != flowNo(9) {
		t.Fatal("the SYN-ACK does not come again")
	}
	p.want("ACK", flowNo(9), ack(&p.out), VerdictAccept)
}

func TestListenerClose(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	synAck := p.out
	p.l.Close()
	var f Flow
	if p.l.SynCount() != 0 || p.l.Deadline() != clock.Never || p.l.NextOutput(p.now.Add(time.Hour), &f, &p.out) {
		t.Error("a closed listener has work left")
	}
	p.want("ACK", testFlow, ack(&synAck), VerdictDrop)
	p.want("SYN", testFlow, syn(clientISS), VerdictDrop)
	p.l.Close()
}

func TestListenerConfigErrors(t *testing.T) {
	for _, cfg := range []ListenerConfig{{Backlog: -1}, {SynBacklog: -1}, {SynBacklog: 1 << 30}, {Cookies: 9}} {
		if _, err := NewListener(newTestCore(t, Config{}), cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// TestListenerFlood has 20,000 SYNs that nobody follows up, and a client in the midst of them.
func TestListenerFlood(t *testing.T) {
	for _, c := range []struct {
		cookies CookieMode
		records int
	}{{CookiesAuto, 12288}, {CookiesAlways, 0}} {
		t.Run(fmt.Sprint(c.cookies), func(t *testing.T) {
			p := newHandshakePeer(t, ListenerConfig{Cookies: c.cookies})
			for i := range 20_000 {
				p.now += clock.Time(10 * time.Microsecond)
				p.want("flood", flowNo(i), syn(Seq(i)), VerdictReply)
			}
			if got := p.l.SynCount(); got != c.records {
				t.Errorf("%d half open, want %d", got, c.records)
			}
			p.handshake(testFlow)
			if got := *p.l.Accepted(); got.Flow != testFlow || !got.HasTS || !got.HasWScale || got.SndWScale != 7 || !got.SACKPermitted {
				t.Errorf("the client got %+v", got)
			}
			if size := uintptr(len(p.l.syns.slots)) * unsafe.Sizeof(*p.l.syns.slots[0]); size > 1<<20 {
				t.Errorf("the records take %d bytes", size)
			}
			var f Flow
			for range 7 {
				p.now = p.now.Add(32 * time.Second)
				p.l.Expire(p.now)
				for p.l.NextOutput(p.now, &f, &p.out) {
				}
			}
			if got := p.l.SynCount(); got != 0 {
				t.Errorf("%d half open after all timeouts", got)
			}
		})
	}
}

func TestListenerWithoutCookies(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{Cookies: CookiesNever, SynBacklog: 100})
	for i := range 100 {
		p.want("SYN", flowNo(i), syn(clientISS), VerdictReply)
	}
	p.want("SYN too many", flowNo(100), syn(clientISS), VerdictDrop)
	if p.l.core.Stats.Listen.DropSynTableFull != 1 {
		t.Error("the drop is not counted")
	}
}

func TestListenerReopen(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{SynBacklog: 8})
	isn := p.l.core.Keys.ISN(testFlow, p.now)
	for i := range 6 { // as many as are remembered without need
		p.want("SYN", flowNo(i), syn(clientISS), VerdictReply)
	}
	s := syn(clientISS)
	if v := p.l.Reopen(testFlow, &s, isn+70_000, p.now, &p.out); v != VerdictReply || p.out.Seq != isn+70_000 {
		t.Errorf("verdict %d, initial number %d; want %d", v, p.out.Seq, isn+70_000)
	}
	if p.l.SynCount() != 7 {
		t.Errorf("%d half open: the SYN was answered with a cookie, which cannot promise the number", p.l.SynCount())
	}
	if v := p.l.Reopen(flowNo(6), &s, p.l.core.Keys.ISN(flowNo(6), p.now)-5, p.now, &p.out); v != VerdictReply ||
		p.out.Seq != p.l.core.Keys.ISN(flowNo(6), p.now) {
		t.Error("the clock's number is not used although it is beyond the old connection's")
	}
}

func TestListenerDoesNotAllocate(t *testing.T) {
	for _, mode := range []CookieMode{CookiesNever, CookiesAlways} {
		p := newHandshakePeer(t, ListenerConfig{Cookies: mode})
		i := 0
		run := func() {
			p.now += clock.Time(ms)
			p.handshake(flowNo(i))
			p.l.Taken()
			i++
		}
		if n := testing.AllocsPerRun(1000, run); n != 0 {
			t.Errorf("cookie mode %d: %v allocations per handshake", mode, n)
		}
	}
}

func TestSynRecordSize(t *testing.T) {
	if got := unsafe.Sizeof(flowSlot[synRecord]{}); got != 64 {
		t.Errorf("a half-open connection takes %d bytes, want 64", got)
	}
	if got := unsafe.Sizeof(flowSlot[timeWaitEntry]{}); got != 64 {
		t.Errorf("a connection in TIME-WAIT takes %d bytes, want 64", got)
	}
}

func BenchmarkHandshake(b *testing.B) {
	for _, mode := range []CookieMode{CookiesNever, CookiesAlways} {
		b.Run(fmt.Sprint(mode), func(b *testing.B) {
			p := newHandshakePeer(b, ListenerConfig{Cookies: mode})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.handshake(flowNo(i))
				p.l.Taken()
			}
		})
	}
}
