package observe

import (
	"bytes"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// end is one end of a connection: what it sent, and what it has been told.
type end struct {
	End
	key   key
	other *end

	// What it sent.
	opened  bool    // its SYN was seen
	syn     tcp.Seq // where that is
	mss     uint16  // that it announced
	scale   int8    // that it announced, -1: none
	sack    bool
	stamps  bool
	next    tcp.Seq // after the last byte or FIN that it sent
	fin     tcp.Seq // where its FIN is
	ended   bool    // a FIN was sent
	reset   bool    // a RST was sent or received: the connection is over
	stream  []byte  // the bytes sent from base on
	base    tcp.Seq
	began   clock.Time // when it sent the first
	acking  bool       // it sent an ACK
	ack     tcp.Seq    // the last one
	edge    tcp.Seq    // the right edge of its window
	lastVal uint32     // its last timestamp

	// What it received.
	met      bool    // the peer's SYN
	told     bool    // an ACK
	nudged   bool    // a duplicate ACK, or SACK blocks: more may be sent than the initial window
	acked    tcp.Seq // the highest ACK
	allowed  tcp.Seq // the highest right edge of the peer's window
	got      ranges  // of the peer's sequence space
	firm     tcp.Seq // so much it has taken in any case: it acknowledged it, or it came in order after what was acknowledged
	full     uint32  // the longest payload
	newest   uint32  // the highest timestamp
	recent   uint32  // TS.Recent (RFC 7323 section 4.3)
	waiting  uint32  // bytes of firm data that are not acknowledged
	owed     clock.Time
	owedSoon clock.Time // since when an ACK is due at once, 0: none is
	excused  bool       // it asks for the peer's hardware address
}

// maxStream bounds how many bytes are kept for comparison with what is sent again.
const maxStream = 4 << 20

// both reports whether both ends announced something.
func (e *end) both(what func(*end) bool) bool { return e.other != nil && what(e) && what(e.other) }

func hasStamps(e *end) bool { return e.stamps }
func hasSACK(e *end) bool   { return e.sack }
func hasScale(e *end) bool  { return e.scale >= 0 }

// shift returns the shift of the windows that the end sends.
func (e *end) shift() uint8 {
	if !e.both(hasScale) {
		return 0
	}
	return uint8(e.scale)
}

// sends checks a segment that the end sends.
func (e *end) sends(o *Observer, s *tcp.Segment, payload []byte) {
	e.Segments++
	e.excused = false
	if s.BadOptions {
		o.violated(e.key, "sends a malformed option")
	}
	if s.Flags&tcp.FlagRST != 0 {
		e.Resets++
		e.over()
		return
	}
	if s.Flags&tcp.FlagSYN != 0 {
		e.sendsSYN(s)
	}
	if !e.opened || e.reset {
		return // What was begun before the observer watched, or goes on after a reset, cannot be judged.
	}
	e.sendsOptions(o, s)
	e.sendsText(o, s, payload)
	if s.Flags&tcp.FlagACK == 0 {
		if s.Flags&tcp.FlagSYN == 0 {
			o.violated(e.key, "sends a segment without ACK")
		}
		return
	}
	if s.Len() == 0 {
		e.ACKs++
	}
	if e.other != nil && e.other.opened {
		e.sendsACK(o, s)
		e.sendsSACK(o, s)
	}
}

// over notes that the connection is reset.
func (e *end) over() {
	e.reset, e.owed, e.owedSoon = true, 0, 0
}

// sendsSYN takes a SYN: the first, the same again, or that of a new connection.
func (e *end) sendsSYN(s *tcp.Segment) {
	if e.opened && e.syn == s.Seq {
		return
	}
	passive := s.Flags&tcp.FlagACK != 0
	fresh := end{
		End: e.End, key: e.key, other: e.other, opened: true, syn: s.Seq, next: s.Seq, base: s.Seq + 1, lastVal: s.TSVal,
		mss: s.MSS, scale: s.WScale, sack: s.SACKPermitted, stamps: s.HasTS,
	}
	if fresh.mss == 0 {
		fresh.mss = tcp.DefaultMSS
	}
	if passive { // The peer's SYN came before.
		fresh.met, fresh.got, fresh.firm, fresh.newest, fresh.recent = e.met, e.got, e.firm, e.newest, e.recent
	}
	*e = fresh
}

// sendsOptions checks the length and the timestamp.
func (e *end) sendsOptions(o *Observer, s *tcp.Segment) {
	if e.other != nil && e.other.opened && e.met {
		if n := uint32(s.HeaderLen) - tcp.MinHeaderLen + s.PayloadLen; n > uint32(max(e.other.mss, tcp.MinMSS)) {
			o.violated(e.key, "sends %d bytes of options and payload, the peer's MSS is %d", n, e.other.mss)
		}
	}
	if s.Flags&tcp.FlagSYN == 0 {
		if use := e.both(hasStamps); use != s.HasTS {
			o.violated(e.key, "sends a timestamp: %v, both ends announced them: %v", s.HasTS, use)
		}
	}
	if !s.HasTS {
		return
	}
	if int32(s.TSVal-e.lastVal) < 0 {
		o.violated(e.key, "sends timestamp %d after %d", s.TSVal, e.lastVal)
	}
	e.lastVal = s.TSVal
	if s.Flags&tcp.FlagACK != 0 && e.met && int32(s.TSEcr-e.newest) > 0 {
		o.violated(e.key, "echoes timestamp %d, the highest that arrived is %d", s.TSEcr, e.newest)
	}
}

// sendsText checks what of the sequence space a segment covers.
func (e *end) sendsText(o *Observer, s *tcp.Segment, payload []byte) {
	from, to := s.Seq, s.End()
	if s.Flags&tcp.FlagSYN != 0 {
		from++
	}
	e.next = later(e.next, e.syn+1)
	end := from.Add(s.PayloadLen)
	e.Bytes += uint64(s.PayloadLen)
	switch {
	case from.Greater(e.next):
		o.violated(e.key, "sends what begins at %d, what was sent before ends at %d", e.rel(from), e.rel(e.next))
		return
	case e.ended && to.Greater(e.fin+1):
		o.violated(e.key, "sends to %d after the FIN at %d", e.rel(to), e.rel(e.fin))
		return
	}
	if s.Flags&tcp.FlagFIN != 0 {
		if e.ended && end != e.fin || end.Less(e.next) && !e.ended {
			o.violated(e.key, "sends a FIN at %d, what was sent before ends at %d", e.rel(end), e.rel(e.next))
		}
		e.ended, e.fin = true, end
	}
	if s.PayloadLen == 0 {
		e.next = later(e.next, to)
		return
	}
	if end.Greater(e.next) {
		e.sendsNew(o, s, end)
	}
	e.compare(o, from, payload)
	e.next = later(e.next, to)
}

// sendsNew checks that new data is within the windows.
func (e *end) sendsNew(o *Observer, s *tcp.Segment, end tcp.Seq) {
	e.Stream += uint64(end - e.next)
	if end.Greater(e.allowed) && e.told {
		if s.PayloadLen != 1 || e.next.Less(e.allowed) {
			o.violated(e.key, "sends to %d, the peer's window ends at %d", e.rel(end), e.rel(e.allowed))
		} else {
			e.Probes++
		}
	}
	if e.Stream == uint64(end-e.next) {
		e.began = o.now
	}
	limit := o.InitialSegments
	if limit == 0 {
		limit = 10
	}
	if o.now > e.began && limit > 0 {
		limit++ // a tail loss probe (RFC 8985 section 7.3)
	}
	if first := e.syn + 1; limit > 0 && !e.nudged && !e.acked.Greater(first) && e.other != nil {
		if n := uint32(end - first); n > uint32(limit)*uint32(max(e.other.mss, tcp.MinMSS)) {
			o.violated(e.key, "sends %d bytes before the first acknowledgement", n)
		}
	}
}

// compare checks that what is sent again is what was sent before, and keeps what is new.
func (e *end) compare(o *Observer, from tcp.Seq, b []byte) {
	if old := e.base.Sub(from); old > 0 { // not kept any more
		if int(old) >= len(b) {
			return
		}
		from, b = e.base, b[old:]
	}
	at := int(from - e.base)
	if at > len(e.stream) {
		return
	}
	again := min(len(e.stream)-at, len(b))
	if !bytes.Equal(e.stream[at:at+again], b[:again]) {
		o.violated(e.key, "sends other bytes from %d to %d than before", e.rel(from), e.rel(from)+at+again)
	}
	e.stream = append(e.stream, b[again:]...)
	if n := int(e.acked.Sub(e.base)); len(e.stream) > maxStream && n > len(e.stream)/2 && e.told {
		e.stream = append(e.stream[:0], e.stream[n:]...)
		e.base = e.base.Add(uint32(n))
	}
}

// rel returns a sequence number relative to the SYN's.
func (e *end) rel(s tcp.Seq) int { return int(s.Sub(e.syn)) }

func later(a, b tcp.Seq) tcp.Seq {
	if b.Greater(a) {
		return b
	}
	return a
}
