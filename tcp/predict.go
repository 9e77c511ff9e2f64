package tcp

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// predicted reports whether a segment is what nearly every segment of an established connection is (header prediction): nothing but ACK
// and perhaps PSH is set, it is the next one in sequence, and no loss is being repaired on either side.
func (c *Conn) predicted(s *Segment) bool {
	r := &c.rcv
	if c.state != StateEstablished || s.Flags&^FlagPSH != FlagACK || s.Seq != r.nxt || s.NumSACK != 0 || s.BadOptions {
		return false
	}
	if s.HasTS != c.is(flagTS) || (s.HasTS && tsLess(s.TSVal, c.ts.recent)) {
		return false
	}
	acked := uint32(s.Ack - c.snd.una)
	if acked > uint32(c.snd.nxt-c.snd.una) || c.snd.troubled() || (acked != 0 && c.snd.probe != probeNone) {
		return false
	}
	if s.PayloadLen == 0 {
		return acked != 0 && s.Window != 0 // A duplicate ACK or a window update: they have rules of their own.
	}
	return !c.hasHole() && s.PayloadLen <= uint32(r.adv-r.nxt) && c.flags&(flagPeerFIN|flagAppClosed) == 0 && !c.pressed()
}

// takePredicted does with a predicted segment, without the checks that such a segment passes anyway, what segment would do, and the same
// with queued ones that go on with it, at most so many. It returns their number.
func (c *Conn) takePredicted(f frame.Index, s *Segment, most int, now clock.Time) (more int) {
	if s.PayloadLen == 0 {
		more = c.mergeACKs(s, most)
	}
	if s.HasTS && s.Seq.LessEq(c.rcv.acked) {
		c.ts.recent, c.ts.recentAt = s.TSVal, seconds(now)
	}
	if c.is(flagProbing) || s.Window == 0 {
		c.updateWindow(s, now)
	} else {
		c.snd.wnd, c.snd.wl1, c.snd.wl2 = uint32(s.Window)<<c.snd.scale, s.Seq, s.Ack
		c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	}
	if acked := uint32(s.Ack - c.snd.una); acked != 0 {
		c.beginSample()
		c.core.sample.acks = uint8(1 + more)
		c.newACK(s, now)
		c.sampleRate(acked, now)
	}
	if s.PayloadLen == 0 {
		return more
	}
	m := c.core.Pool.Meta(f)
	m.Seq = uint32(s.Seq)
	m.Off += uint32(s.HeaderLen)
	m.Len -= uint32(s.HeaderLen)
	if m.Flags&MetaCE != 0 || c.is(flagECE) {
		c.arrivedWith(m)
	}
	if m.Len != s.PayloadLen {
		c.deliverPieces(s)
		return 0
	}
	c.deliver(f, m, s.PayloadLen)
	return c.mergeData(s, most)
}

// Queued segments of a run say the same, but that each brings the next data, or acknowledges more. The first one was predicted, and
// everything that let it pass holds for the others; so they are taken with it, as if one segment had brought all of it, which is what a
// network card that merges received segments makes of them. A segment that says anything else ends the run: a duplicate ACK, a mark, an
// older timestamp.

// runner is what may differ in the headers of a run.
type runner struct {
	seq, ack     Seq
	tsVal, tsEcr uint32
	window       uint16
	payload      uint32 // bytes
}

// read takes the header of the queued frame f, and reports whether it is like that of s: of the same length, with nothing set but ACK and
// perhaps PSH, and no option but the timestamps, where they belong, in one frame.
func (x *runner) read(p *frame.Pool, f frame.Index, s *Segment) bool {
	b := p.Data(f)
	n := uint32(s.HeaderLen)
	if p.Meta(f).Flags&MetaMore != 0 || uint32(len(b)) < n || n != MinHeaderLen && (n != MinHeaderLen+timestampsLen || !s.HasTS) {
		return false
	}
	h := (*[MinHeaderLen]byte)(b)
	if uint32(binary.BigEndian.Uint16(h[12:14]))&^uint32(FlagPSH) != n/4<<12|uint32(FlagACK) {
		return false
	}
	x.seq, x.ack = Seq(binary.BigEndian.Uint32(h[4:8])), Seq(binary.BigEndian.Uint32(h[8:12]))
	x.window, x.payload = binary.BigEndian.Uint16(h[14:16]), uint32(len(b))-n
	if n == MinHeaderLen {
		return true
	}
	t := (*[timestampsLen]byte)(b[MinHeaderLen:])
	x.tsVal, x.tsEcr = binary.BigEndian.Uint32(t[4:8]), binary.BigEndian.Uint32(t[8:12])
	return binary.BigEndian.Uint32(t[0:4]) == fastTimestamps
}

// mergeData takes queued segments, at most so many, that go on with the data of s, which was just delivered. It returns their number.
func (c *Conn) mergeData(s *Segment, most int) int {
	k, r := c.core, &c.rcv
	p := k.Pool
	if c.flags&(flagECE|flagProbing) != 0 || s.Window == 0 {
		return 0
	}
	var x runner
	n, begin, last := 0, r.nxt, frame.None
	for f := c.in.Front(); f != frame.None && n < most && x.read(p, f, s); {
		m := p.Meta(f)
		if x.seq != r.nxt || x.ack != s.Ack || x.window != s.Window || x.payload <= smallPayload || x.payload > uint32(r.adv-r.nxt) ||
			m.Flags&MetaCE != 0 || r.slack > r.buffer/4 || k.unread >= k.MaxUnread {
			break
		}
		if s.HasTS && (tsLess(x.tsVal, c.ts.recent) || x.tsEcr != s.TSEcr) {
			break
		}
		m.Seq, m.Off, m.Len = uint32(x.seq), m.Off+uint32(s.HeaderLen), x.payload
		r.nxt = r.nxt.Add(x.payload)
		r.slack += k.charge(x.payload)
		r.seen(x.payload)
		k.unread += uint64(x.payload)
		s.Seq, s.TSVal, s.PayloadLen = x.seq, x.tsVal, x.payload
		n, last, f = n+1, f, m.Next
	}
	if n != 0 {
		r.queue.TakeFront(p, &c.in, last)
		c.snd.wl1 = s.Seq
		k.held += uint32(n) * uint32(p.ChunkSize())
		k.Stats.BytesIn += uint64(uint32(r.nxt - begin))
	}
	return n
}

// mergeACKs puts queued ACKs, at most so many, that acknowledge more than s does in the place of s, and returns their number. An
// algorithm that measures what each ACK delivers gets to see them all.
func (c *Conn) mergeACKs(s *Segment, most int) int {
	d, p := &c.snd, c.core.Pool
	if c.is(flagProbing) || c.cc.Algorithm().wantsDeliveries() {
		return 0
	}
	var x runner
	n, limit := 0, uint32(d.nxt-d.una)
	for f := c.in.Front(); f != frame.None && n < most && x.read(p, f, s); f = c.in.Front() {
		acked := uint32(x.ack - d.una)
		if x.payload != 0 || x.seq != s.Seq || acked <= uint32(s.Ack-d.una) || acked > limit || x.window == 0 ||
			s.HasTS && tsLess(x.tsVal, s.TSVal) {
			break
		}
		d.maxWnd = max(d.maxWnd, uint32(s.Window)<<d.scale)
		s.Ack, s.Window, s.TSVal, s.TSEcr = x.ack, x.window, x.tsVal, x.tsEcr
		c.in.PopFront(p)
		p.Release(f)
		n++
	}
	return n
}
