package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// open answers a SYN (RFC 9293 section 3.10.7.2). A SYN that reopens a flow needs a number beyond the old ones, which no
// cookie can promise: it may use the records that are kept back from others.
func (l *Listener) open(f Flow, s *Segment, iss Seq, reopens bool, now clock.Time, out *OutSegment) Verdict {
	if s.Has(FlagFIN) {
		l.stats().DropSynFin++
		return VerdictDrop
	}
	if l.waiting >= l.backlog {
		l.stats().DropBacklogFull++
		return VerdictDrop
	}
	l.core.noteMSS(s)
	if l.useCookie(reopens) {
		l.sendCookie(f, s, now, out)
		return VerdictReply
	}
	offer := uint8(0)
	if s.FastOpen != 0 && l.fastOpenBacklog > 0 {
		early := false
		if early, offer = l.fastOpen(f, s, iss, now); early {
			return l.accept()
		}
	}
	i := l.syns.add(f)
	if i == none {
		if l.cookies == CookiesNever {
			l.stats().DropSynTableFull++
			return VerdictDrop
		}
		l.sendCookie(f, s, now, out)
		return VerdictReply
	}
	l.syns.at(i).rec = synRecord{
		irs: s.Seq, iss: iss, tsRecent: s.TSVal, mss: peerMSS(s), wnd: l.window(l.core.share), wscale: l.peerWScale(s),
		sack: s.SACKPermitted && !l.cfg.NoSACK, ts: s.HasTS && !l.cfg.NoTimestamps, fastOpen: offer,
		ecn: l.cfg.ecnAnswer(s),
	}
	l.syns.wait(i, now)
	l.stats().Syns++
	l.synAck(i, now, out)
	return VerdictReply
}

// noteMSS counts a SYN whose MSS option is not believed.
func (k *Core) noteMSS(s *Segment) {
	if s.MSS != 0 && s.MSS < MinMSS {
		k.Stats.TinyMSS++
	}
}

func (l *Listener) useCookie(reopens bool) bool {
	switch l.cookies {
	case CookiesAlways:
		return true
	case CookiesNever:
		return false
	}
	return !reopens && l.Pressed()
}

// peerMSS returns what the peer takes in a segment (RFC 9293 section 3.7.1).
func peerMSS(s *Segment) uint16 {
	if s.MSS == 0 {
		return DefaultMSS
	}
	return max(s.MSS, MinMSS)
}

// peerWScale returns the peer's window shift if both sides scale, or -1.
func (l *Listener) peerWScale(s *Segment) int8 {
	if l.cfg.NoWindowScale {
		return -1
	}
	return s.WScale
}

// synAck makes record i's SYN-ACK.
func (l *Listener) synAck(i uint32, now clock.Time, out *OutSegment) {
	x := l.syns.at(i)
	r := &x.rec
	out.Clear()
	out.Seq, out.Ack, out.Flags, out.Window = r.iss, r.irs.Add(1), FlagSYN|FlagACK, r.wnd
	out.MSS, out.SACKPermitted = l.core.announced(l.cfg.MSS), r.sack
	if r.wscale >= 0 {
		out.WScale = int8(l.cfg.scale())
	}
	if r.ecn != ecnNone {
		l.cfg.agreeECN(out)
	}
	if r.ts {
		out.HasTS, out.TSVal, out.TSEcr = true, now.Millis()+l.core.Keys.TimestampOffset(x.flow), r.tsRecent
	}
	if r.fastOpen != 0 {
		cookie := l.core.fastOpenCookie(x.flow, 0)
		out.SetCookie(r.fastOpen, cookie[:])
	}
}

// sendCookie answers a SYN without remembering it.
func (l *Listener) sendCookie(f Flow, s *Segment, now clock.Time, out *OutSegment) {
	if s.FastOpen != 0 && l.fastOpenBacklog > 0 {
		l.stats().FastOpenPressure++
	}
	out.Clear()
	out.Seq, out.Ack, out.Flags = l.core.Keys.cookie(f, s.Seq, peerMSS(s), now), s.Seq.Add(1), FlagSYN|FlagACK
	out.Window, out.MSS = l.window(0), l.core.announced(l.cfg.MSS)
	if s.HasTS && !l.cfg.NoTimestamps {
		wscale := l.peerWScale(s)
		if wscale >= 0 {
			out.WScale = int8(l.cfg.scale())
		}
		out.SACKPermitted = s.SACKPermitted && !l.cfg.NoSACK
		ecn := l.cfg.ecnAnswer(s) != ecnNone
		if ecn {
			l.cfg.agreeECN(out)
		}
		out.HasTS, out.TSEcr = true, s.TSVal
		out.TSVal = cookieTimestamp(now.Millis()+l.core.Keys.TimestampOffset(f), wscale, out.SACKPermitted, ecn)
	}
	l.cookiesUntil = now.Add(2 * cookiePeriod)
	l.stats().Syns++
	l.stats().CookiesSent++
}

// strayACK takes an ACK of a flow of which nothing is remembered: it returns a cookie, or is answered with a reset.
func (l *Listener) strayACK(f Flow, s *Segment, now clock.Time, out *OutSegment) Verdict {
	if s.Has(FlagSYN) || now >= l.cookiesUntil {
		l.stats().UnexpectedAcks++
		ResetFor(s, out)
		return VerdictReset
	}
	irs, iss := s.Seq.Add(^uint32(0)), s.Ack.Add(^uint32(0))
	mss, ok := l.core.Keys.checkCookie(f, irs, iss, now)
	if !ok {
		l.stats().CookiesRejected++
		ResetFor(s, out)
		return VerdictReset
	}
	if l.waiting >= l.backlog {
		l.stats().DropAckBacklogFull++
		return VerdictDrop
	}
	a := &l.accepted
	*a = Accepted{Flow: f, IRS: irs, ISS: iss, RcvWnd: uint32(l.window(0)), MSS: mss}
	if s.HasTS && !l.cfg.NoTimestamps {
		wscale, sack, ecn := cookieOptions(s.TSEcr)
		l.acceptOptions(wscale, sack, true)
		a.ECN = ecn && l.cfg.ECN != ECNOff
		a.TSRecent, a.TSOffset = s.TSVal, l.core.Keys.TimestampOffset(f)
	}
	l.stats().CookiesAccepted++
	return l.accept()
}

// acceptOptions notes which options both sides agreed on.
func (l *Listener) acceptOptions(wscale int8, sack, ts bool) {
	a := &l.accepted
	a.SACKPermitted, a.HasTS = sack, ts
	if wscale >= 0 {
		a.HasWScale, a.SndWScale, a.RcvWScale = true, uint8(wscale), l.cfg.scale()
	}
}

func (l *Listener) accept() Verdict {
	l.waiting++
	l.stats().Accepted++
	return VerdictAccept
}

// halfOpen takes a segment of the connection of record i, in the order of checks of RFC 9293 section 3.10.7.4.
func (l *Listener) halfOpen(i uint32, s *Segment, now clock.Time, out *OutSegment) Verdict {
	r := &l.syns.at(i).rec
	if s.Flags&(FlagSYN|FlagACK|FlagRST) == FlagSYN && s.Seq == r.irs {
		return l.duplicateSYN(i, s, now, out)
	}
	old := r.ts && s.HasTS && tsLess(s.TSVal, r.tsRecent) && !s.Has(FlagRST)
	switch {
	case s.Has(FlagRST):
		return l.reset(i, s, now, out)
	case old || s.Has(FlagSYN) || !s.Acceptable(r.irs.Add(1), uint32(r.wnd)):
		// A SYN with another number may be a peer that began again: to the ACK it answers with the reset that removes the record
		// (RFC 5961 section 4).
		l.stats().OutsideWindow++
		if !l.core.challenge(now) {
			return VerdictDrop
		}
		l.ack(i, now, out)
		return VerdictReply
	case !s.Has(FlagACK):
		l.stats().DropNoFlags++
		return VerdictDrop
	case s.Ack != r.iss.Add(1):
		if now < l.cookiesUntil && r.irs == s.Seq.Add(^uint32(0)) {
			// The SYN was sent twice, and one of them answered with a cookie, when records were short or by another (CookiesSent).
			if _, ok := l.core.Keys.checkCookie(l.syns.at(i).flow, r.irs, s.Ack.Add(^uint32(0)), now); ok {
				return l.insteadOf(i, s, now, out)
			}
		}
		l.stats().BadHandshakeAcks++
		ResetFor(s, out)
		return VerdictReset
	case l.waiting >= l.backlog:
		l.stats().DropAckBacklogFull++
		return VerdictDrop
	case r.sends <= l.deferRounds && s.Len() == 0:
		if r.acked == 0 {
			r.acked = r.sends
		}
		l.stats().DeferredAcks++
		return VerdictDrop
	}
	l.complete(i)
	return l.accept()
}

// insteadOf takes an ACK with a valid cookie for the flow of record i, which it makes pointless.
func (l *Listener) insteadOf(i uint32, s *Segment, now clock.Time, out *OutSegment) Verdict {
	f := l.syns.at(i).flow
	l.syns.drop(i)
	return l.strayACK(f, s, now, out)
}

// duplicateSYN answers a SYN that came before with the same SYN-ACK: that was lost, or is late.
func (l *Listener) duplicateSYN(i uint32, s *Segment, now clock.Time, out *OutSegment) Verdict {
	r := &l.syns.at(i).rec
	if r.ts && s.HasTS && tsLess(r.tsRecent, s.TSVal) {
		r.tsRecent = s.TSVal
	}
	if r.ecn == ecnBoth && !s.asksECN() {
		r.ecn = ecnEcho
	}
	l.stats().DuplicateSyns++
	l.synAck(i, now, out)
	return VerdictReply
}

// reset takes a RST: only one with exactly the expected number counts. Elsewhere in the window it is challenged, to tell an honest
// peer the number (RFC 5961 section 3.2).
func (l *Listener) reset(i uint32, s *Segment, now clock.Time, out *OutSegment) Verdict {
	r := &l.syns.at(i).rec
	switch edge := r.irs.Add(1); {
	case s.Seq == edge:
		l.syns.drop(i)
		l.stats().HalfOpenResets++
	case s.Seq.InWindow(edge, uint32(r.wnd)):
		l.stats().DropResetChallenged++
		if l.core.challenge(now) {
			l.ack(i, now, out)
			return VerdictReply
		}
	default:
		l.stats().DropReset++
	}
	return VerdictDrop
}

// ack makes the ACK that tells the peer where record i's connection is.
func (l *Listener) ack(i uint32, now clock.Time, out *OutSegment) {
	x := l.syns.at(i)
	r := &x.rec
	out.Clear()
	out.Seq, out.Ack, out.Flags, out.Window = r.iss.Add(1), r.irs.Add(1), FlagACK, r.wnd
	if r.wscale >= 0 {
		out.Window >>= l.cfg.scale()
	}
	if r.ts {
		out.HasTS, out.TSVal, out.TSEcr = true, now.Millis()+l.core.Keys.TimestampOffset(x.flow), r.tsRecent
	}
}

// complete turns record i into what the connection begins with, and forgets it.
func (l *Listener) complete(i uint32) {
	x := l.syns.at(i)
	r := &x.rec
	a := &l.accepted
	*a = Accepted{Flow: x.flow, IRS: r.irs, ISS: r.iss, RcvWnd: uint32(r.wnd), MSS: r.mss}
	a.SYNLost = r.acked > 1 || r.acked == 0 && r.sends > 1
	a.ECN, a.NoECT = r.ecn != ecnNone, r.ecn == ecnEcho
	if r.sends == 1 && r.acked == 0 {
		a.SentAt = r.firstSent()
	}
	l.acceptOptions(r.wscale, r.sack, r.ts)
	if r.ts {
		a.TSRecent, a.TSOffset = r.tsRecent, l.core.Keys.TimestampOffset(x.flow)
	}
	l.syns.drop(i)
}
