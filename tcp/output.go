package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// action is what a connection has to send next.
type action uint8

const (
	sendNothing action = iota
	sendReset
	sendBareReset
	sendSYN
	sendDuplicateACK
	sendLost
	sendData
	sendFIN
	sendKeepAlive
	sendACK
)

// Wants reports whether Output would give a segment.
func (c *Conn) Wants(now clock.Time) bool {
	a, _ := c.next(now)
	return a != sendNothing
}

// Output fills in the next segment that is due and commits the connection to having sent it, or reports false if nothing is due.
// Data goes first; an ACK goes alone only if no data carried it.
func (c *Conn) Output(now clock.Time, o *OutSegment) bool {
	what, n := c.next(now)
	switch what {
	case sendNothing:
		return false
	case sendData:
		if !c.outData(now, o, n) {
			return c.Output(now, o) // It is starved of frames now. What needs none may go.
		}
	case sendACK:
		c.outHeader(now, o, c.ackSeq(), FlagACK)
		c.outSACK(o, 0)
	case sendLost:
		if !c.outLost(now, o) {
			return c.Output(now, o)
		}
	case sendDuplicateACK:
		c.outDuplicateACK(now, o)
	case sendFIN:
		c.outFIN(now, o)
	case sendKeepAlive:
		// RFC 9293 section 3.8.4: SEG.SEQ = SND.NXT-1, so that the peer has to answer.
		c.outHeader(now, o, c.snd.nxt-1, FlagACK)
		c.due &^= dueKeepAlive
		c.core.Stats.KeepAlives++
	case sendSYN:
		o.Clear()
		c.outSYN(now, o)
	case sendReset:
		o.Clear()
		o.Seq, o.Ack, o.Flags = c.snd.nxt, c.rcv.nxt, FlagRST|FlagACK
		if c.is(flagECT) && c.exact() {
			o.ECN = ECT0 // RFC 8257 section 3.6
		}
		c.due &^= dueReset
		c.core.Stats.ResetsOut++
	case sendBareReset:
		o.Clear()
		o.Seq, o.Flags = c.rare().resetSeq, FlagRST
		c.due &^= dueBareReset
		c.core.Stats.ResetsOut++
	}
	if c.snd.retries >= thresholdR1 {
		c.noteUnanswered(o)
	}
	c.core.Stats.SegmentsOut++
	c.segsOut++
	return true
}

// next decides what is due, and if it is new data how many bytes of it. It changes nothing, so Wants and Output cannot disagree.
func (c *Conn) next(now clock.Time) (what action, n uint32) {
	if c.due&(dueReset|dueBareReset|dueSYN) != 0 {
		switch {
		case c.due&dueReset != 0:
			return sendReset, 0
		case c.due&dueBareReset != 0:
			return sendBareReset, 0
		}
		return sendSYN, 0
	}
	if c.state < StateEstablished {
		return c.nextUnsynchronized(now)
	}
	if c.rcv.dupACKs != 0 {
		return sendDuplicateACK, 0
	}
	d := &c.snd
	if !c.is(flagStarved) {
		if d.lost != 0 && c.mayResend() && (c.is(flagForceLost) || c.mayPace(now)) {
			return sendLost, 0
		}
		if n := c.newData(); n != 0 && (c.flags&(flagOverride|flagTailProbe) != 0 || c.mayPace(now)) {
			return sendData, n
		}
	}
	if c.due&dueFIN != 0 || (c.flags&(flagFINQueued|flagFINSent) == flagFINQueued && d.unsent == frame.None) {
		return sendFIN, 0
	}
	if c.due&dueKeepAlive != 0 {
		return sendKeepAlive, 0
	}
	if c.due&dueACK != 0 {
		return sendACK, 0
	}
	return sendNothing, 0
}

// maySendData reports whether the state allows new data.
func (c *Conn) maySendData() bool {
	switch c.state {
	case StateEstablished, StateCloseWait, StateFinWait1, StateClosing, StateLastAck:
		return true
	}
	return false
}

// newData returns how many bytes of new data may go out in one segment, as far as the state and the windows are concerned; 0 is none.
func (c *Conn) newData() uint32 {
	if c.snd.unsent == frame.None || !c.maySendData() {
		return 0
	}
	return c.sendable()
}

// sendable returns how many bytes of the first unsent frame, or of as many as a segment has, may go out now; 0 is none. This is the
// sender's side of silly window avoidance (RFC 9293 section 3.8.6.2.1) and the Nagle algorithm (section 3.7.4).
func (c *Conn) sendable() uint32 {
	d := &c.snd
	m := c.core.Pool.Meta(d.unsent)
	override := c.is(flagOverride)
	usable := d.una.Add(d.wnd).Sub(d.nxt)
	mss := uint32(d.mss)
	n := min(m.Len, mss)
	if mss > c.core.frameRoom {
		mss = c.limit()
		n, m = c.run(mss)
	}
	outstanding := uint32(d.nxt - d.una)
	if flight := outstanding - d.sacked - d.lost; flight != 0 && flight+n > c.sendWindow() && !c.is(flagTailProbe) {
		return 0
	}
	if int32(n) > usable {
		switch {
		case override:
			return uint32(max(usable, 1))
		case outstanding == 0 && usable > 0 && uint32(usable) >= d.maxWnd/2:
			return uint32(usable)
		}
		return 0
	}
	switch {
	case n >= mss:
		return n
	case m.Next != frame.None: // full but for how it was written
		if uint32(usable) >= mss || c.mayBeSmall(uint32(usable)) {
			return n
		}
		return 0
	case c.flags&(flagOverride|flagTailProbe|flagFINQueued) != 0:
		return n
	case c.is(flagCork):
		return 0
	case c.is(flagNoDelay) || outstanding == 0:
		return n
	}
	return 0
}

// mayBeSmall reports whether a window that has room for less than a segment is used for one that is not full: if it takes all that is
// to be sent, if it is half of the largest that there was and nothing is outstanding, or if a timer says so.
func (c *Conn) mayBeSmall(usable uint32) bool {
	d := &c.snd
	if c.flags&(flagOverride|flagTailProbe) != 0 || uint32(d.end.Sub(d.nxt)) <= usable {
		return true
	}
	return d.nxt == d.una && usable >= d.maxWnd/2
}

// outHeader fills in a segment without payload. Whatever is sent acknowledges what was received.
func (c *Conn) outHeader(now clock.Time, o *OutSegment, seq Seq, flags Flags) {
	o.Seq, o.Ack, o.Flags, o.Urgent, o.ECN, o.Copy = seq, c.rcv.nxt, flags, 0, 0, false
	o.MSS, o.WScale, o.SACKPermitted, o.NumSACK = 0, -1, false, 0
	o.Frame, o.Off, o.Len, o.Sum, o.More = frame.None, 0, 0, 0, 0
	o.HasTS = c.is(flagTS)
	if o.HasTS {
		o.TSVal, o.TSEcr = c.tsValue(now), c.ts.recent
	}
	o.Window = c.advertise()
	if c.snd.urgent {
		c.outUrgent(o)
	}
	if c.is(flagECE | flagECT) {
		c.outECN(o)
	}
	c.rcv.acked = c.rcv.nxt
	c.timers.ack = clock.Never
	c.due &^= dueACK
}

// ackSeq returns the sequence number of a bare ACK. That is SND.NXT (RFC 9293 section 3.10.7.4), unless a probe of a closed window, or a
// window that shrank, has put SND.NXT beyond the peer's window: the peer would find the ACK outside it and drop it with the window
// update that it carries. When both windows are closed, neither end would ever learn that the other's has opened.
func (c *Conn) ackSeq() Seq {
	d := &c.snd
	if edge := d.una.Add(d.wnd); edge.Less(d.nxt) && c.state != StateSynReceived { // In which the SYN, outstanding, needs no window.
		return edge
	}
	return d.nxt
}

// outSACK adds SACK blocks, if there are any, beginning with the one that is first-th in the list. A D-SACK goes before them, once,
// and only where the first block of the list follows: that is the one that a duplicate above SND.UNA lies in (RFC 2883 section 4).
func (c *Conn) outSACK(o *OutSegment, first uint8) {
	if !c.reports() {
		return
	}
	x := c.rare()
	n := uint8(0)
	if first == 0 && x.again.Start != x.again.End {
		o.SACK[0], x.again = x.again, SACKBlock{}
		n = 1
		c.core.Stats.DSACKsOut++
	}
	for i := uint8(0); i < x.sackLen && int(n) < len(o.SACK); i++ {
		o.SACK[n] = x.sackList[(first+i)%x.sackLen]
		n++
	}
	o.NumSACK = n
}

// outDuplicateACK sends one of the duplicate ACKs. If something in order came before what came out of order, an ACK of that goes
// first, or the peer would count one duplicate less. Of the duplicates that a batch of segments caused, the last begins with the
// block that grew last and those before it with older ones: together they report more blocks than one has room for.
func (c *Conn) outDuplicateACK(now clock.Time, o *OutSegment) {
	r := &c.rcv
	if r.acked == r.nxt {
		r.dupACKs--
		c.core.Stats.DuplicateACKsOut++
	}
	c.outHeader(now, o, c.ackSeq(), FlagACK)
	c.outSACK(o, min(r.dupACKs, max(c.rare().sackLen, 1)-1))
}

// outPayload fills in a segment with the payload of frame f and so many more behind it. It returns the record of the last.
func (c *Conn) outPayload(now clock.Time, o *OutSegment, f frame.Index, m *frame.Meta, more uint8) (last *frame.Meta) {
	c.outHeader(now, o, Seq(m.Seq), FlagACK)
	o.Frame, o.Off, o.Len, o.Sum = f, m.Off, m.Len, m.Sum
	o.Copy = c.core.Pool.InTransmission(f)
	m.SentAt = now
	if m.Sends < 255 {
		m.Sends++
	}
	m.Flags &^= metaFollows
	if more != 0 {
		m = c.outMore(now, o, m, more)
	}
	if m.Next == frame.None {
		// The last of what was written: nothing follows that would make the peer deliver it (RFC 9293 section 3.9.1.2).
		o.Flags |= FlagPSH
		if c.is(flagFINQueued) && c.state != StateSynReceived && Seq(m.Seq).Add(m.Len) == c.snd.end {
			o.Flags |= FlagFIN
		}
	}
	if c.reports() {
		c.outSACK(o, 0)
		for o.NumSACK > 0 && o.Len+4+8*uint32(o.NumSACK) > uint32(c.snd.mss) {
			o.NumSACK--
		}
	}
	if c.is(flagPaced) {
		c.pace(o.Len, now)
	}
	c.snd.sentAt = now
	return m
}

// noteFIN notes that the segment that was just filled in carries the FIN.
func (c *Conn) noteFIN(o *OutSegment) {
	if o.Flags&FlagFIN != 0 && !c.is(flagFINSent) {
		c.set(flagFINSent)
		c.snd.nxt++
	}
}

// outData sends the first unsent frames, or as much of them as sendable says: n bytes.
func (c *Conn) outData(now clock.Time, o *OutSegment, n uint32) bool {
	d, p := &c.snd, c.core.Pool
	f := d.unsent
	probe := false
	if d.mss < d.path.most {
		if size := c.probeSize(now); size != 0 && c.gather(size) {
			n, probe = size, true
		}
	}
	m := p.Meta(f)
	if n < m.Len {
		var ok bool
		if f, ok = c.split(f, n); !ok {
			return false
		}
		m = p.Meta(f)
	}
	more := uint8(0)
	if n != m.Len {
		more = c.cut(f, &n)
	}
	idle := d.nxt == d.una
	if idle {
		d.progressAt = now
		c.cc.OnIdle(now, now.Sub(d.sentAt) > c.rto())
	}
	if c.rcv.quick != 0 && c.rcv.acked != c.rcv.nxt {
		c.rcv.quick = 0 // The application answers, and its answers carry ACKs.
	}
	if probe {
		c.noteProbe(m, n)
	}
	for i, g := uint8(0), m; ; g = p.Meta(g.Next) {
		c.stamp(g, now)
		if i == more {
			break
		}
		i++
	}
	m = c.outPayload(now, o, f, m, more)
	if c.is(flagECT) {
		c.newDataECN(o)
	}
	d.unsent = m.Next
	d.nxt = d.nxt.Add(n)
	if d.recovery == recoveryFast {
		c.rare().prr.out += n
	}
	c.noteFIN(o)
	c.clear(flagOverride | flagTailProbe)
	c.core.Stats.BytesOut += uint64(n)
	c.count.dataOut++
	if c.cfg.NotSentLowat != 0 && c.is(flagWantWrite) {
		c.maybeWritable()
	}
	c.cc.OnSent(c.inFlight(), d.una, d.nxt)
	if idle || c.timers.rtx == clock.Never {
		c.armRetransmit(now)
	}
	c.armProbe(now)
	return true
}

// outFIN sends the FIN alone, for the first time or again.
func (c *Conn) outFIN(now clock.Time, o *OutSegment) {
	d := &c.snd
	c.outHeader(now, o, d.end, FlagFIN|FlagACK)
	c.due &^= dueFIN
	if c.is(flagFINSent) {
		c.needHistory().resent++
	}
	d.sentAt = now
	if d.nxt == d.una {
		d.progressAt = now
	}
	c.noteFIN(o)
	c.armRetransmit(now)
}
