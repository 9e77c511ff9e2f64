package tcp

import (
	"fmt"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// checkInvariants returns an error if the parts of a connection contradict each other.
func checkInvariants(c *Conn) error {
	if c.core == nil {
		return nil
	}
	var resting rare
	if resting.rest(0); *c.core.rares.at(0) != resting {
		return fmt.Errorf("the record at rest is %+v", *c.core.rares.at(0))
	}
	if err := checkSendQueue(c); err != nil {
		return err
	}
	return checkReceiveQueues(c)
}

func checkSendQueue(c *Conn) error {
	d, p := &c.snd, c.core.Pool
	if c.state == StateClosed {
		if !d.queue.Empty() || d.lost != 0 || d.sacked != 0 {
			return fmt.Errorf("closed with %d frames to send, %d bytes lost, %d SACKed", d.queue.Len(), d.lost, d.sacked)
		}
		return nil
	}
	var lost, sacked, arrived, resent, probes uint32
	sent, hinted := true, false
	for f := d.queue.Front(); f != frame.None; f = p.Meta(f).Next {
		m := p.Meta(f)
		end := Seq(m.Seq).Add(m.Len)
		if f == d.unsent {
			sent = false
			if Seq(m.Seq) != d.nxt {
				return fmt.Errorf("the first unsent frame is at %d, SND.NXT is %d", m.Seq, d.nxt)
			}
		}
		if f == d.queue.Front() && c.state >= StateEstablished && Seq(m.Seq) != d.una {
			return fmt.Errorf("the first frame is at %d, SND.UNA is %d", m.Seq, d.una)
		}
		next := d.end
		if m.Next != frame.None {
			next = Seq(p.Meta(m.Next).Seq)
		}
		if end != next || m.Len == 0 {
			return fmt.Errorf("a frame of %d bytes ends at %d, what follows begins at %d", m.Len, end, next)
		}
		hinted = hinted || f == c.rare().lostHint
		if m.Flags&metaLost != 0 {
			lost += m.Len
			if !sent || m.Flags&metaSACKed != 0 || (c.rare().lostHint != frame.None && !hinted) {
				return fmt.Errorf("frame at %d is lost, but unsent, SACKed or before the hint", m.Seq)
			}
		}
		if m.Flags&metaProbe != 0 {
			probes++
			if _, n := c.segmentEnd(f); !sent || m.Flags&^(metaProbe|metaLimited) != 0 || n != uint32(d.path.probe) {
				return fmt.Errorf("frame at %d with %d bytes is a probe of %d, wrongly", m.Seq, m.Len, d.path.probe)
			}
		}
		if m.Flags&metaSACKed != 0 {
			sacked += m.Len
			if m.Flags&metaFollows == 0 {
				arrived++
			}
		}
		if m.Flags&metaResent != 0 {
			resent++
			if !sent || m.Flags&(metaLost|metaSACKed) != 0 {
				return fmt.Errorf("frame at %d was sent again, but is unsent, lost or SACKed", m.Seq)
			}
		}
	}
	if probing := d.path.probe != 0 && c.state != StateSynSent; probes > 1 || probing != (probes == 1) {
		return fmt.Errorf("%d probes are out, one of %d bytes should be", probes, d.path.probe)
	}
	if d.mss > d.path.most && c.state >= StateEstablished || d.path.high > d.path.most {
		return fmt.Errorf("segments have %d bytes, may have %d, at most %d", d.mss, d.path.high, d.path.most)
	}
	if d.unsent != frame.None && sent {
		return fmt.Errorf("the first unsent frame is not in the queue")
	}
	if c.rare().lostHint != frame.None && !hinted {
		return fmt.Errorf("the hint is not in the queue")
	}
	if lost != d.lost || (c.is(flagSACK) && sacked != d.sacked) {
		return fmt.Errorf("%d bytes are lost and %d SACKed, the counts say %d and %d", lost, sacked, d.lost, d.sacked)
	}
	if arrived != c.rare().arrived {
		return fmt.Errorf("%d segments are SACKed, the count says %d", arrived, c.rare().arrived)
	}
	if err := checkResent(c, resent); err != nil {
		return err
	}
	if d.lost+d.sacked > c.outstanding() {
		return fmt.Errorf("%d bytes lost and %d SACKed of %d outstanding", d.lost, d.sacked, c.outstanding())
	}
	return nil
}

// checkResent returns an error unless the list of what was sent again has just these frames, in the order of sending.
func checkResent(c *Conn, want uint32) error {
	r, p := &c.rare().rack, c.core.Pool
	prev := frame.None
	for f := r.oldest; f != frame.None; f = p.Meta(f).Newer {
		m := p.Meta(f)
		if m.Older != prev || m.Flags&metaResent == 0 || want == 0 {
			return fmt.Errorf("frame at %d is in the list of what was sent again, wrongly", m.Seq)
		}
		if prev != frame.None && p.Meta(prev).SentAt > m.SentAt {
			return fmt.Errorf("frame at %d was sent again before one that is older in the list", m.Seq)
		}
		prev = f
		want--
	}
	if prev != r.newest || want != 0 {
		return fmt.Errorf("the list of what was sent again lacks %d frames, or its end is wrong", want)
	}
	return nil
}

func checkReceiveQueues(c *Conn) error {
	r, k := &c.rcv, c.core
	var slack uint32
	for f := r.queue.Front(); f != frame.None; f = k.Pool.Meta(f).Next {
		slack += k.charge(k.Pool.Meta(f).Len)
	}
	at := r.nxt
	for f := c.rare().ooo.Front(); f != frame.None; f = k.Pool.Meta(f).Next {
		m := k.Pool.Meta(f)
		slack += k.charge(m.Len)
		if m.Len == 0 || Seq(m.Seq).Less(at) || (f == c.rare().ooo.Front() && Seq(m.Seq) == at) {
			return fmt.Errorf("out-of-order frame of %d bytes at %d, but %d comes first", m.Len, m.Seq, at)
		}
		at = Seq(m.Seq).Add(m.Len)
	}
	if at.Greater(r.adv) {
		return fmt.Errorf("received to %d, the window ends at %d", at, r.adv)
	}
	if slack != r.slack {
		return fmt.Errorf("slack is %d, the count says %d", slack, r.slack)
	}
	for i, b := range c.rare().sackList[:c.rare().sackLen] {
		if !b.Start.Less(b.End) || !b.Start.Greater(r.nxt) || b.End.Greater(at) {
			return fmt.Errorf("SACK block %d is %v, received is from %d to %d", i, b, r.nxt, at)
		}
	}
	if n := uint32(r.nxt - r.read); n > 1<<30 {
		return fmt.Errorf("%d bytes are unread", n)
	}
	return nil
}

// checkLiveness returns an error if a connection that has sent all it may now waits for something that no timer would bring about,
// should the peer be silent.
func checkLiveness(c *Conn) error {
	if c.core == nil || c.state == StateClosed || c.is(flagHeld) {
		return nil
	}
	d, t := &c.snd, &c.timers
	if d.nxt.Less(d.una) || d.nxt.Greater(d.end+1) {
		return fmt.Errorf("SND.UNA %d, SND.NXT %d, written to %d", d.una, d.nxt, d.end)
	}
	switch {
	case c.outstanding() != 0 && t.rtx == clock.Never:
		return fmt.Errorf("%v: %d bytes are outstanding and no timer runs for them", c.state, c.outstanding())
	case d.unsent != frame.None && t.rtx == clock.Never && c.rare().pool == clock.Never && (!c.is(flagPaced) || c.paceDeadline() == clock.Never):
		return fmt.Errorf("%v: something is to be sent and no timer runs for it", c.state)
	case c.state >= StateEstablished && c.rcv.nxt != c.rcv.acked && t.ack == clock.Never:
		return fmt.Errorf("%v: %d bytes are to be acknowledged and no timer runs for it", c.state, c.rcv.nxt-c.rcv.acked)
	case c.state == StateTimeWait && t.slow == clock.Never:
		return fmt.Errorf("TIME-WAIT has no end")
	}
	return nil
}
