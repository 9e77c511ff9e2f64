package tcp

import (
	"fmt"
	"slices"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Explicit congestion notification (RFC 3168). A router whose queue grows sets CE in the IP header of a packet, if that says ECT,
// instead of dropping it. The receiver tells the sender by ECE in its ACKs, all of them, until the sender says with CWR that it
// has reduced its window:
//
//	sender                            router                       receiver
//	  │ ──── data, ECT(0) ───────────── CE ───────────────────────► │ flagECE is set
//	  │ ◄────────────────────────────────────────────── ACK, ECE ── │
//	  │ OnECE; flagCWR is set                                       │
//	  │ ──── new data, ECT(0), CWR ───────────────────────────────► │ flagECE is cleared
//
// In SYN-SENT flagECN means that a SYN that asks for ECN was sent, and flagECT that no other was.

// The ECN field of the IP header, the lower two bits of what was the type of service (RFC 3168 section 5). 0 is "not ECN-capable".
const (
	ECNMask uint8 = 3
	ECT1    uint8 = 1 // ECN-capable, of other meaning than ECT0 for experiments only (RFC 8311 section 5.1)
	ECT0    uint8 = 2 // ECN-capable: a router may set CE instead of dropping the packet
	CE      uint8 = 3 // congestion experienced
)

// MetaCE in the flags of a received frame's record says that its packet came with CE. Whoever takes segments from a device sets it
// before Enqueue, because the IP header is no longer in the frame's range then.
const MetaCE = 1 << 15

// ECNMode says when connections use ECN.
type ECNMode uint8

// The modes.
const (
	ECNPassive ECNMode = iota // when the peer asks for it
	ECNOn                     // ask for it too
	ECNOff                    // never
)

var ecnNames = [...]string{ECNPassive: "passive", ECNOn: "on", ECNOff: "off"}

// String returns the mode's name.
func (m ECNMode) String() string {
	if int(m) < len(ecnNames) {
		return ecnNames[m]
	}
	return fmt.Sprintf("ECNMode(%d)", uint8(m))
}

// MarshalText returns the mode's name.
func (m ECNMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText takes "passive", "on" or "off".
func (m *ECNMode) UnmarshalText(text []byte) error {
	i := slices.Index(ecnNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("tcp: no ECN mode %q: there are passive, on, off", text)
	}
	*m = ECNMode(i)
	return nil
}

// The flags that ask for ECN in a SYN. A SYN-ACK agrees with ECE alone: some old hosts send back whatever flags they get (RFC 3168
// section 6.1.1).
const ecnSetup = FlagECE | FlagCWR

// asksECN reports whether a SYN asks for ECN.
func (s *Segment) asksECN() bool { return s.Has(ecnSetup) }

// plainSYN has the SYN sent again, without ECN from now on, after the one that asked for it was not answered or was refused: there
// are hosts and firewalls that do not take it (RFC 3168 section 6.1.1.1). It reports false if that was done before.
func (c *Conn) plainSYN() bool {
	if c.state != StateSynSent || !c.is(flagECT) {
		return false
	}
	c.clear(flagECT)
	c.due |= dueSYN
	c.core.Stats.ECNFallbacks++
	return true
}

// agreeECN takes the peer's SYN or SYN-ACK, which agrees to ECN or not.
func (c *Conn) agreeECN(s *Segment) {
	want := FlagECE
	if s.Flags&FlagACK == 0 {
		want = ecnSetup
	}
	if got := s.Flags & ecnSetup; c.is(flagECN) && got != want {
		if got == ecnSetup {
			c.core.Stats.ECNReflected++
		}
		c.clear(flagECN | flagECT)
	}
}

// usesECN reports whether both sides have agreed to.
func (c *Conn) usesECN() bool { return c.state >= StateEstablished && c.is(flagECN) }

// synECN fills in what the SYN, or the SYN-ACK of a simultaneous open, says about ECN.
func (c *Conn) synECN(o *OutSegment) {
	switch {
	case c.state == StateSynReceived && c.is(flagECN):
		c.cfg.agreeECN(o)
	case c.state == StateSynSent && c.is(flagECT):
		c.cfg.agreeECN(o)
		o.Flags |= ecnSetup
	}
}

// agreeECN has a SYN-ACK agree to ECN.
func (cfg *Config) agreeECN(o *OutSegment) {
	o.Flags |= FlagECE
	if cfg.algorithm == DCTCP {
		o.ECN = ECT0 // RFC 8257 section 3.6
	}
}

// outECN fills in what a segment of a connection with ECN says about marks. With DCTCP every segment is ECN-capable: in a network
// where routers drop what is not at a short queue, ACKs and retransmissions would suffer (RFC 8257 section 3.6 for SYNs).
func (c *Conn) outECN(o *OutSegment) {
	if c.is(flagECE) {
		o.Flags |= FlagECE
	}
	if c.is(flagECT) && c.exact() {
		o.ECN = ECT0
	}
}

// ecnState is how far two ends agree about ECN.
type ecnState uint8

const (
	ecnNone ecnState = iota
	ecnBoth          // both ends use it
	// ecnEcho: the peer asked for it and then did not, so it may have given it up. What it sends with ECT is watched, but nothing is
	// sent so: RFC 3168 section 6.1.1 asks that neither end has sent a SYN without ECN.
	ecnEcho
)

// ecnAnswer returns what a SYN is answered with.
func (cfg *Config) ecnAnswer(s *Segment) ecnState {
	if s.asksECN() && cfg.ECN != ECNOff {
		return ecnBoth
	}
	return ecnNone
}

// arrivedWith takes the mark, or that there is none, on payload that lies in the window; outside it a mark counts for nothing (RFC 3168
// section 6.1.5). The first one is told at once: the sender may have few segments in flight. For DCTCP so is the first segment
// without one: each ACK says whether what it acknowledges was marked (RFC 8257 section 3.2).
func (c *Conn) arrivedWith(m *frame.Meta) {
	ce := m.Flags&MetaCE != 0
	switch {
	case !c.is(flagECN):
		c.core.Stats.CEIgnored++
		return
	case ce:
		c.core.Stats.CEIn++
	case !c.exact():
		return
	}
	if ce != c.is(flagECE) {
		c.setFlag(flagECE, ce)
		c.due |= dueACK
	}
}

// heedsMarks reports whether a mark slows the algorithm down. Who does not may not say ECT: a router would go on marking, and all others
// would have to give way (RFC 3168 section 6.1.2).
func (a CongestionAlgorithm) heedsMarks() bool { return a != BBR }

// exact reports whether ACKs say of what they acknowledge whether it was marked, rather than repeating a mark until CWR.
func (c *Conn) exact() bool { return c.cc.Algorithm() == DCTCP }

// reducedByPeer takes CWR on new data: the sender knows (RFC 3168 section 6.1.3). Its window may be so small now that it waits for the
// ACK.
func (c *Conn) reducedByPeer() {
	if c.is(flagECE) && !c.exact() {
		c.clear(flagECE)
		c.due |= dueACK
	}
}

// echoTurns reports whether the next queued segment will change what ACKs echo while something before it is not acknowledged. That has to
// go out first: one ACK for both would tell too little, or too much, of the marks on either.
func (c *Conn) echoTurns() bool {
	r, f := &c.rcv, c.in.Front()
	if f == frame.None || (r.nxt == r.acked && r.dupACKs == 0) {
		return false
	}
	if b := c.core.Pool.Data(f); c.exact() {
		payload := len(b) > int(b[12]>>4)*4
		return payload && (c.core.Pool.Meta(f).Flags&MetaCE != 0) != c.is(flagECE)
	} else {
		return c.is(flagECE) && Flags(b[13])&FlagCWR != 0
	}
}

// echoed takes ECE in an acceptable ACK. The window is reduced once in each round trip: what is said about data that was sent before
// the last reduction is no news (RFC 3168 section 6.1.2). The ACK has already been taken otherwise; una is what was acknowledged
// before it.
func (c *Conn) echoed(s *Segment, una Seq, now clock.Time) {
	d, st := &c.snd, &c.core.Stats
	if !c.is(flagECT) || !c.cc.Algorithm().heedsMarks() {
		st.ECEIgnored++
		return
	}
	st.ECEIn++
	if d.recovery != recoveryNone || c.reducedAfter(s.Ack) {
		return
	}
	c.cc.OnECE(&Loss{Now: now, InFlight: uint32(d.nxt - una), Una: d.una, Nxt: d.nxt})
	st.ECEReductions++
	c.reduced()
}

// reduceForLoss reduces the window for a loss that was found, unless it was reduced for a mark since what is lost was sent, and reports
// whether it did. inFlight is what was in flight then, bytes.
func (c *Conn) reduceForLoss(inFlight uint32, now clock.Time) bool {
	d := &c.snd
	if c.reducedAfter(d.una + 1) {
		return false
	}
	c.cc.OnLoss(&Loss{Now: now, InFlight: inFlight, Una: d.una, Nxt: d.nxt})
	c.reduced()
	return true
}

// reduced notes that the window was just reduced, for whatever reason: the next new data says so.
func (c *Conn) reduced() {
	if c.is(flagECT) {
		c.set(flagCWR)
		c.needRare().cwrEnd = c.snd.nxt
	}
}

// unreduced notes that the last reduction was taken back.
func (c *Conn) unreduced() {
	c.clear(flagCWR)
	c.needRare().cwrEnd = c.snd.una
}

// reducedAfter reports whether the window was reduced since the outstanding byte seq was sent, or all before it were. RFC 3168 section
// 6.1.2 has one reduction in a window of data, be it for a mark or for a loss.
func (c *Conn) reducedAfter(seq Seq) bool {
	d := &c.snd
	return c.is(flagECT) && c.hasRare() && uint32(c.rare().cwrEnd-seq) <= uint32(d.nxt-seq)
}

// newDataECN marks new data as ECN-capable. Nothing else is: neither what is sent again, whose loss or mark would say nothing that is
// not known (RFC 3168 section 6.1.5), nor probes of a closed window (section 6.1.6), nor ACKs (section 6.1.4).
func (c *Conn) newDataECN(o *OutSegment) {
	if c.is(flagProbing) || !c.cc.Algorithm().heedsMarks() {
		return
	}
	o.ECN = ECT0
	if c.is(flagCWR) {
		c.clear(flagCWR)
		o.Flags |= FlagCWR
		c.core.Stats.CWROut++
	}
}
