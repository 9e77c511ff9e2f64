package tcp

import (
	"errors"
	"testing"

	"github.com/xdpstack/xdpstack/frame"
)

const (
	fE = FlagECE
	fW = FlagCWR
)

// ecnScript is a connection of full segments of 1000 bytes that uses ECN.
func ecnScript(t *testing.T, o scriptOptions) *script {
	t.Helper()
	o.mss, o.ecn = 1000, true
	return established(t, o)
}

// TestMarkIsNotMergedAway has a batch tell the sender of each mark, in the ACK that a receiver would send that takes the segments one by
// one: what is marked before the sender says CWR belongs to the window that it has reduced already.
func TestMarkIsNotMergedAway(t *testing.T) {
	s := ecnScript(t, scriptOptions{})
	// The first mark in the middle of a batch: one ACK tells of it.
	s.batch(seg{flags: fA, seq: 1, ack: 1, len: 1000}, seg{flags: fA, seq: 1001, ack: 1, len: 1000, ce: true},
		seg{flags: fA, seq: 2001, ack: 1, len: 1000})
	s.want(seg{flags: fA | fE, seq: 1, ack: 3001})
	s.wantNothing()
	// Marks before CWR and none behind it: two ACKs.
	s.batch(seg{flags: fA, seq: 3001, ack: 1, len: 1000, ce: true}, seg{flags: fA | fW, seq: 4001, ack: 1, len: 1000},
		seg{flags: fA, seq: 5001, ack: 1, len: 1000})
	s.want(seg{flags: fA | fE, seq: 1, ack: 4001})
	s.want(seg{flags: fA, seq: 1, ack: 6001})
	s.wantNothing()
	if st := s.k.Stats; st.CEIn != 2 {
		t.Errorf("%d marks counted, want 2", st.CEIn)
	}
}

// TestMarkBehindHole has a batch with a hole tell of the mark in each duplicate ACK until CWR.
func TestMarkBehindHole(t *testing.T) {
	s := ecnScript(t, scriptOptions{sack: true})
	s.batch(seg{flags: fA, seq: 1001, ack: 1, len: 1000, ce: true}, seg{flags: fA, seq: 2001, ack: 1, len: 1000},
		seg{flags: fA | fW, seq: 3001, ack: 1, len: 1000})
	s.want(seg{flags: fA | fE, seq: 1, ack: 1})
	s.want(seg{flags: fA | fE, seq: 1, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	s.wantNothing()
}

// TestMarksWithoutAgreement are counted and nothing else.
func TestMarksWithoutAgreement(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000})
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000, ce: true}, seg{flags: fA | fE | fW, seq: 1001, ack: 1, len: 1000, ce: true})
	s.want(seg{flags: fA, seq: 1, ack: 2001})
	if st := s.k.Stats; st.CEIgnored != 2 || st.CEIn != 0 || st.ECEIgnored != 1 || st.ECEIn != 0 {
		t.Errorf("%+v", st)
	}
}

// TestSpuriousReductionIsNotTold has CWR withdrawn with a reduction that is taken back, and the next ECE count.
func TestSpuriousReductionIsNotTold(t *testing.T) {
	o := sends
	o.ts, o.ecn = true, true
	s := established(t, o)
	s.write(5 * 988)
	s.wantData(1, 4941, 988, 1)
	echo := s.c.tsValue(s.now)
	s.expire()
	s.want(seg{flags: fA, seq: 3953, len: 988, ack: 1}) // the tail loss probe
	s.inject(seg{flags: fA, seq: 1, ack: 4941, tsEcr: echo})
	s.write(5 * 988)
	s.wantData(4941, 9881, 988, 1)
	echo = s.c.tsValue(s.now)
	s.expire()
	s.want(seg{flags: fA, seq: 4941, len: 988, ack: 1})
	s.advance(5 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 5929, tsEcr: echo})
	if n := s.k.Stats.SpuriousTimeouts; n != 1 {
		t.Fatalf("%d spurious timeouts", n)
	}
	s.write(988)
	s.want(seg{flags: fA, seq: 9881, len: 988, ack: 1})
	s.inject(seg{flags: fA | fE, seq: 1, ack: 6917, tsEcr: echo})
	s.inject(seg{flags: fA, seq: 1, ack: 10_869, tsEcr: echo})
	s.write(988)
	s.want(seg{flags: fA | fW, seq: 10_869, len: 988, ack: 1})
	if st := s.k.Stats; st.ECEReductions != 1 || st.CWROut != 1 {
		t.Errorf("%d reductions by marks, %d CWR, want one each", st.ECEReductions, st.CWROut)
	}
}

// TestMarkAndTimeout has a mark and a timeout in one window of data reduce the threshold once.
func TestMarkAndTimeout(t *testing.T) {
	s := ecnScript(t, scriptOptions{cfg: Config{Congestion: "newreno", NoDelay: true}})
	s.write(10_000)
	s.wantData(1, 10_001, 1000, 1)
	s.inject(seg{flags: fA | fE, seq: 1, ack: 1001})
	if i := s.c.Info(); i.SSThresh != 5000 || i.CWnd != 5000 {
		t.Fatalf("after the mark %+v", i)
	}
	s.expire()
	s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
	if i := s.c.Info(); i.SSThresh != 5000 || i.CWnd != 1000 {
		t.Errorf("after the timeout %+v", i)
	}
	// The next window of data has a reduction of its own again.
	s.inject(seg{flags: fA, seq: 1, ack: 10_001})
	s.write(2000)
	s.want(seg{flags: fA | fW, seq: 10_001, len: 1000, ack: 1})
	s.drain(1)
	s.inject(seg{flags: fA | fE, seq: 1, ack: 11_001})
	if n := s.k.Stats.ECEReductions; n != 2 {
		t.Errorf("%d reductions by marks, want 2", n)
	}
}

// TestECNNumbersFarApart has marks count on a connection that has sent more than half the sequence space without one.
func TestECNNumbersFarApart(t *testing.T) {
	s := ecnScript(t, scriptOptions{iss: 100})
	x := s.c.needRare()
	x.cwrEnd -= 1<<31 + 5
	s.write(2000)
	s.wantData(1, 2001, 1000, 1)
	s.inject(seg{flags: fA | fE, seq: 1, ack: 1001})
	if n := s.k.Stats.ECEReductions; n != 1 {
		t.Errorf("%d reductions, want 1", n)
	}
}

func TestECNMode(t *testing.T) {
	for m := ECNPassive; m <= ECNOff; m++ {
		text, _ := m.MarshalText()
		var got ECNMode
		if err := got.UnmarshalText(text); err != nil || got != m {
			t.Errorf("%v came back as %v, %v", m, got, err)
		}
	}
	var m ECNMode
	if m.UnmarshalText([]byte("perhaps")) == nil {
		t.Error("a mode that does not exist was taken")
	}
	if _, err := (Config{ECN: 3}).withDefaults(1460); !errors.Is(err, ErrConfig) {
		t.Errorf("ECNMode(3) in a configuration: %v", err)
	}
}

// batch has the connection take segments in one batch, and pulls what it sends whenever it stops.
func (s *script) batch(segs ...seg) {
	s.t.Helper()
	s.k.BeginBatch(s.now)
	for _, g := range segs {
		s.enqueue(g)
	}
	for more := true; more; {
		more = s.c.Process(s.now)
		var o OutSegment
		for more && s.c.Output(s.now, &o) {
			if o.Frame != frame.None {
				s.t.Fatal("data was sent")
			}
			s.pulled = append(s.pulled, o)
		}
	}
	s.takeEvents()
}
