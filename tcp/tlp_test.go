package tcp

import (
	"testing"
	"time"
)

// tailLost is a connection of whose five segments the last n were lost, after the ACK of the others.
func tailLost(t *testing.T, n uint32) *script {
	t.Helper()
	s := established(t, sends)
	s.write(5000)
	s.wantData(1, 5001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 5001 - n*1000})
	s.wantNothing()
	return s
}

// TestTailLossProbe has the last segment go out again after two round trips; the SACK of it shows what else is missing.
func TestTailLossProbe(t *testing.T) {
	s := tailLost(t, 3)
	s.wantTimer(22 * ms)
	s.expire()
	s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
	s.wantNothing()
	s.wantTimer(200 * ms)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 2001, sack: []SACKBlock{{4001, 5001}}})
	s.want(seg{flags: fA, seq: 2001, len: 1000, ack: 1})
	s.wantNothing()
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 3001, sack: []SACKBlock{{4001, 5001}}})
	s.want(seg{flags: fA, seq: 3001, len: 1000, ack: 1})
	s.wantNothing()
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 5001})
	s.wantNothing()
	if st := s.k.Stats; st.TailProbes != 1 || st.FastRecoveries != 1 || st.Timeouts != 0 || st.Retransmits != 3 {
		t.Errorf("%+v", st)
	}
}

// TestTailLossProbeGoesFirst has the probe of a single segment, whose ACK the peer may delay, be sent when the retransmission timer
// expires, instead of what that would do.
func TestTailLossProbeGoesFirst(t *testing.T) {
	s := tailLost(t, 1)
	s.wantTimer(200 * ms)
	s.expire()
	s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
	s.wantTimer(200 * ms)
	if st := s.k.Stats; st.TailProbes != 1 || st.Timeouts != 0 || s.c.Info().CWnd < 10_000 {
		t.Errorf("%+v", st)
	}
	s.expire()
	s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
	if st := s.k.Stats; st.TailProbes != 1 || st.Timeouts != 1 || s.c.Info().CWnd != 1000 {
		t.Errorf("the timeout: %+v", st)
	}
}

// TestTailLossProbeAnswers has a probe that repaired the only loss count as a loss for the window, and one that was superfluous
// not (RFC 8985 section 7.4.2).
func TestTailLossProbeAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []seg
		losses uint64
	}{
		{"repaired", nil, 1},
		{"D-SACK", []seg{{flags: fA, seq: 1, ack: 5001, sack: []SACKBlock{{4001, 5001}}}}, 0},
		{"duplicate ACK", []seg{{flags: fA, seq: 1, ack: 5001}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := tailLost(t, 2)
			s.expire()
			s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
			s.inject(seg{flags: fA, seq: 1, ack: 5001})
			s.inject(c.answer...)
			s.write(1000)
			s.want(seg{flags: fA, seq: 5001, len: 1000, ack: 1})
			s.advance(10 * ms)
			s.inject(seg{flags: fA, seq: 1, ack: 6001})
			if i := s.c.Info(); s.k.Stats.TailLosses != c.losses || (i.CWnd < 10_000) != (c.losses != 0) || i.Recovery != "open" {
				t.Errorf("%d losses, %+v", s.k.Stats.TailLosses, i)
			}
			s.write(2000)
			s.wantData(6001, 8001, 1000, 1)
			s.wantTimer(22 * ms) // the next probe may go out
		})
	}
}

// TestTailLossProbeSendsNewData has new data be the probe if there is some, whatever the congestion window and Nagle say, but not
// beyond the peer's window.
func TestTailLossProbeSendsNewData(t *testing.T) {
	s := established(t, sends)
	s.write(10_300)
	s.wantData(1, 10_001, 1000, 1)
	s.wantNothing()
	s.expire()
	s.want(seg{flags: fA, seq: 10_001, len: 300, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 10_301})
	s.inject(seg{flags: fA, seq: 1, ack: 10_301, wnd: 5000})
	s.write(10_000)
	s.wantData(10_301, 15_301, 1000, 1)
	s.wantNothing()
	s.expire()
	s.want(seg{flags: fA, seq: 14_301, len: 1000, ack: 1})
	s.wantNothing()
	if st := s.k.Stats; st.TailProbes != 2 || st.Timeouts != 0 || st.Retransmits != 1 {
		t.Errorf("%+v", st)
	}
}

// TestTailLossProbeOfTheFIN has a FIN that was sent alone be probed for.
func TestTailLossProbeOfTheFIN(t *testing.T) {
	s := established(t, sends)
	s.write(2000)
	s.wantData(1, 2001, 1000, 1)
	s.c.CloseWrite(s.now)
	s.want(seg{flags: fA | FlagFIN, seq: 2001, ack: 1})
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 2001})
	s.expire()
	s.want(seg{flags: fA | FlagFIN, seq: 2001, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 2002})
	s.wantState(StateFinWait2)
	if st := s.k.Stats; st.TailProbes != 1 || st.Timeouts != 0 {
		t.Errorf("%+v", st)
	}
}

// TestTailLossProbeNeedsMeasurement has no second probe go out before the round trip was measured since the first (RFC 8985 section 7.3),
// and none at all before it ever was.
func TestTailLossProbeNeedsMeasurement(t *testing.T) {
	s := tailLost(t, 2)
	s.expire()
	s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 5001, sack: []SACKBlock{{4001, 5001}}})
	s.write(2000)
	s.wantData(5001, 7001, 1000, 1)
	s.wantTimer(200 * ms)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 6001})
	s.write(1000)
	s.want(seg{flags: fA, seq: 7001, len: 1000, ack: 1})
	s.wantTimer(22 * ms)

	s = newScript(t, sends)
	a := Accepted{Flow: s.flow, IRS: s.irs, ISS: s.iss, MSS: 1000, RcvWnd: 65535, SACKPermitted: true}
	s.c.Accept(s.k, &a, nil, s.now)
	s.inject(seg{flags: fA, seq: 1, ack: 1})
	s.write(2000)
	s.wantData(1, 2001, 1000, 1)
	s.wantTimer(time.Second)
	s.expire()
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	if st := s.k.Stats; st.TailProbes != 0 || st.Timeouts != 1 {
		t.Errorf("%+v", st)
	}
}

// TestTailLossProbeOtherDSACK has a report that something else arrived twice be no answer to the probe (RFC 8985 section 7.4.2).
func TestTailLossProbeOtherDSACK(t *testing.T) {
	s := tailLost(t, 2)
	s.expire()
	s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 5001, sack: []SACKBlock{{1, 1001}}})
	s.write(1000)
	s.want(seg{flags: fA, seq: 5001, len: 1000, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 6001})
	if i := s.c.Info(); s.k.Stats.TailLosses != 1 || i.CWnd >= 10_000 {
		t.Errorf("%+v", i)
	}
}
