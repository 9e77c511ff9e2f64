package tcp

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// connect begins an active open whose ISN is iss, by choice of the time, and expects the SYN.
func connect(t *testing.T, o scriptOptions) (*script, OutSegment) {
	t.Helper()
	s := newScript(t, o)
	s.now = clock.Time(uint64(o.iss-s.k.Keys.ISN(s.flow, 0)) * 4000)
	s.now += clock.Time(5 * time.Hour) // some times around of the ISN's clock, so that the time is never small
	s.now += clock.Time(uint64(o.iss-s.k.Keys.ISN(s.flow, s.now)) * 4000)
	s.k.BeginBatch(s.now)
	s.c.Connect(s.k, s.flow, nil, s.now)
	s.wantState(StateSynSent)
	syn := s.want(seg{flags: FlagSYN})
	if syn.Seq != o.iss {
		t.Fatalf("the SYN has number %d, want %d", syn.Seq, o.iss)
	}
	return s, syn
}

// synAckOptions are those of a Linux server's SYN-ACK.
func (s *script) injectSYNACK(flags Flags, ackNo uint32, opt Options) {
	s.t.Helper()
	s.k.BeginBatch(s.now)
	p := s.k.Pool
	f := p.Alloc()
	var o OutSegment
	s.fill(&o, seg{flags: flags, ack: ackNo})
	o.Options = opt
	m := p.Meta(f)
	m.Off = 54
	m.Len = uint32(o.Marshal(p.Chunk(f)[m.Off:], s.flow.RemotePort, s.flow.LocalPort))
	s.c.Enqueue(f)
	for s.c.Process(s.now) {
	}
	s.takeEvents()
}

// TestActiveOpen has a handshake with all options, its numbers about to wrap on both sides.
func TestActiveOpen(t *testing.T) {
	s, syn := connect(t, scriptOptions{iss: 1<<32 - 1, irs: 1<<32 - 1, wscale: 7, ts: true})
	want := Options{MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: s.c.tsValue(s.now)}
	if syn.Options != want || syn.Window != 65535 || syn.Ack != 0 {
		t.Errorf("SYN: %+v, want %+v", syn, want)
	}
	s.now = s.now.Add(20 * ms)
	s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1400, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 900, TSEcr: syn.TSVal})
	s.wantState(StateEstablished)
	s.wantEvents(EventEstablished)
	got := s.want(seg{flags: fA, seq: 1, ack: 1})
	if !got.HasTS || got.TSEcr != 900 {
		t.Errorf("the ACK has %+v", got.Options)
	}
	s.wantNothing()
	i := s.c.Info()
	if i.SendMSS != 1388 || i.SendScale != 7 || i.RecvScale != 7 || !i.SACK || !i.Timestamps || i.RTT != 20*ms || i.CWnd != 13880 {
		t.Errorf("%+v", i)
	}
}

// TestActiveOpenWithoutOptions has a peer that knows no options.
func TestActiveOpenWithoutOptions(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 5})
	s.injectSYNACK(FlagSYN|FlagACK, 1, Options{WScale: -1})
	s.wantState(StateEstablished)
	if got := s.want(seg{flags: fA, seq: 1, ack: 1}); got.HeaderLen() != MinHeaderLen {
		t.Errorf("the ACK has %+v", got.Options)
	}
	if i := s.c.Info(); i.SendMSS != DefaultMSS || i.SendScale != 0 || i.RecvScale != 0 || i.SACK || i.Timestamps {
		t.Errorf("%+v", i)
	}
}

// TestLostSYN has the SYN come again after 1, 2, 4 … s with the same number, and the open end with a timeout.
func TestLostSYN(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 77})
	start := s.now
	for _, at := range []time.Duration{1, 3, 7, 15, 31, 63, 127} {
		s.expire()
		if got := s.now.Sub(start); got != at*time.Second {
			t.Fatalf("the SYN comes again after %v, want %v s", got, int(at))
		}
		s.want(seg{flags: FlagSYN})
		s.wantNothing()
	}
	s.expire()
	if got := s.now.Sub(start); got != 247*time.Second {
		t.Errorf("the open ends after %v, want 247 s", got)
	}
	s.wantState(StateClosed)
	s.wantEvents(EventUnanswered | EventClosed)
	s.wantNothing()
	if err := s.c.Err(); !errors.Is(err, ErrTimeout) || !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("error %v", err)
	}
}

// TestLateSYNACK has the second SYN be answered: no measurement without timestamps, and an initial window of one segment.
func TestLateSYNACK(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 77})
	s.expire()
	s.want(seg{flags: FlagSYN})
	s.now = s.now.Add(5 * ms)
	s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1460, WScale: -1})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	if i := s.c.Info(); i.RTT != 0 || i.RTO != 3*time.Second || i.CWnd != 1460 {
		t.Errorf("RTT %v, RTO %v, window %d; want none, 3s, 1460 (Karn, RFC 6298 section 5.7, RFC 5681 section 3.1)", i.RTT, i.RTO, i.CWnd)
	}
}

func TestSYNSentAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags Flags
		ack   uint32
		state State
		err   error
		reset bool // answered with a reset at the number that was acknowledged
	}{
		{"reset", FlagRST | FlagACK, 1, StateClosed, ErrRefused, false},
		{"reset without ACK", FlagRST, 0, StateSynSent, nil, false},
		{"reset that acknowledges something else", FlagRST | FlagACK, 9, StateSynSent, nil, false},
		{"ACK of something else", FlagACK, 9, StateSynSent, nil, true},
		{"ACK of the SYN's own number", FlagACK, 0, StateSynSent, nil, true},
		{"SYN-ACK of something else", FlagSYN | FlagACK, 2, StateSynSent, nil, true},
		{"ACK without SYN", FlagACK, 1, StateSynSent, nil, false},
		{"FIN", FlagFIN, 0, StateSynSent, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := connect(t, scriptOptions{iss: 1<<32 - 1, irs: 40})
			s.inject(seg{flags: c.flags, ack: c.ack})
			s.wantState(c.state)
			if c.err != nil && !errors.Is(s.c.Err(), c.err) {
				t.Errorf("error %v, want %v", s.c.Err(), c.err)
			}
			if c.reset {
				s.want(seg{flags: FlagRST, seq: c.ack})
			}
			s.wantNothing()
			if c.state == StateSynSent {
				s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1460, WScale: -1})
				s.wantState(StateEstablished)
			}
		})
	}
}

// TestSimultaneousOpen is RFC 9293 figure 8, with the SYN-ACKs of both sides, or an ACK from a peer that is content with one.
func TestSimultaneousOpen(t *testing.T) {
	for _, last := range []Flags{FlagSYN | FlagACK, FlagACK} {
		s, _ := connect(t, scriptOptions{iss: 1<<32 - 1, irs: 1<<32 - 1})
		s.injectSYNACK(FlagSYN, 0, Options{MSS: 1400, WScale: -1})
		s.wantState(StateSynReceived)
		s.want(seg{flags: FlagSYN | FlagACK, ack: 1})
		s.wantNothing()
		if last&FlagSYN != 0 {
			s.injectSYNACK(last, 1, Options{MSS: 1400, WScale: -1})
		} else {
			s.inject(seg{flags: last, seq: 1, ack: 1})
		}
		s.wantState(StateEstablished)
		s.wantEvents(EventEstablished)
		s.drain(1)
		s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
		s.wantRead(100)
		s.write(50)
		s.want(seg{flags: fA, seq: 1, len: 50, ack: 101})
	}
}

// TestSimultaneousOpenLost has the SYN-ACK of a simultaneous open come again until it is answered.
func TestSimultaneousOpenLost(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 10, irs: 20})
	s.injectSYNACK(FlagSYN, 0, Options{MSS: 1400, WScale: -1})
	s.want(seg{flags: FlagSYN | FlagACK, ack: 1})
	for _, d := range []time.Duration{1, 2, 4} {
		s.wantTimer(d * time.Second)
		s.expire()
		s.want(seg{flags: FlagSYN | FlagACK, ack: 1})
		s.wantNothing()
	}
	s.inject(seg{flags: FlagRST, seq: 1})
	s.wantState(StateClosed)
	if !errors.Is(s.c.Err(), ErrRefused) {
		t.Errorf("error %v", s.c.Err())
	}
}

// TestDataBeforeEstablished has what was written, and the close, wait for the handshake.
func TestDataBeforeEstablished(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 10, irs: 20})
	s.write(3000)
	s.c.CloseWrite(s.now)
	s.wantNothing()
	s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1000, WScale: -1})
	s.wantState(StateFinWait1)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.want(seg{flags: fA, seq: 1001, len: 460, ack: 1}) // what was written was cut for the device's MSS
	s.want(seg{flags: fA, seq: 1461, len: 1000, ack: 1})
	s.want(seg{flags: fA, seq: 2461, len: 460, ack: 1})
	s.want(seg{flags: fA | FlagFIN, seq: 2921, len: 80, ack: 1})
	s.wantNothing()
}

// TestSYNACKWithData has the SYN-ACK carry data and a FIN.
func TestSYNACKWithData(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 10, irs: 20})
	s.enqueueSYNData(100)
	s.wantState(StateCloseWait)
	s.wantEvents(EventEstablished | EventReadable | EventPeerClosed)
	s.want(seg{flags: fA, seq: 1, ack: 102})
	s.wantRead(100)
}

func (s *script) enqueueSYNData(n uint32) {
	p := s.k.Pool
	f := p.Alloc()
	var o OutSegment
	s.fill(&o, seg{flags: FlagSYN | FlagACK | FlagFIN, ack: 1})
	m := p.Meta(f)
	m.Off = 54
	h := o.Marshal(p.Chunk(f)[m.Off:], s.flow.RemotePort, s.flow.LocalPort)
	m.Len = uint32(h) + n
	for i := range n {
		p.Data(f)[uint32(h)+i] = pattern(1 + i)
	}
	s.c.Enqueue(f)
	s.c.Process(s.now)
	s.takeEvents()
}

// TestListenerToConn has a real listener hand over to a connection, with its SYN-ACK lost once.
func TestListenerToConn(t *testing.T) {
	s := newScript(t, scriptOptions{irs: 1<<32 - 1, ts: true, wscale: 7})
	l, err := NewListener(s.k, ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := &handshakePeer{t: t, l: l, now: s.now}
	p.want("SYN", s.flow, syn(s.irs), VerdictReply)
	p.now = l.Deadline()
	var f Flow
	if !l.NextOutput(p.now, &f, &p.out) || f != s.flow {
		t.Fatal("the SYN-ACK does not come again")
	}
	s.iss, s.now, s.tsBase = p.out.Seq, p.now, 5001-p.now.Millis()
	s.k.BeginBatch(s.now)
	p.want("ACK with data", s.flow, ack(&p.out), VerdictAccept)
	s.c.Accept(s.k, l.Accepted(), nil, s.now)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
	s.wantState(StateEstablished)
	s.wantEvents(EventEstablished | EventReadable)
	s.wantRead(1000)
	s.write(1000)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1001})
	if i := s.c.Info(); i.SendScale != 7 || i.RecvScale != 7 || !i.SACK || !i.Timestamps || i.CWnd != uint32(i.SendMSS) {
		t.Errorf("%+v", i)
	}
}
