package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// rate estimates how fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation). Each segment is stamped when it is sent with
// what had been delivered by then, and when. When it arrives, what was delivered in between, divided by the time that took, is a
// sample of the path's bandwidth:
//
//	      P.first_sent_time          P.sent_time
//	sent ──┼──────── send elapsed ──────┼────────────────────────────►
//	               the flight before    │ P
//	acked ──────────────────────────────┼──────── ack elapsed ────┼──►
//	                          P.delivered_time                  now, C.delivered
//
// The longer of the two times counts: ACKs that a batch or a busy link has squeezed together would otherwise tell of a bandwidth that
// nothing was sent at.
//
// Bytes and times are counted modulo 2³²: only differences count. Times are in ticks of 1,024 ns, which need no division.
type rate struct {
	delivered   uint32 // C.delivered: bytes known to have arrived
	deliveredAt uint32 // C.delivered_time
	firstSent   uint32 // C.first_sent_time: when the segment was sent that the last sample is of
	limited     uint32 // C.app_limited: a sample is limited by the application until this much is delivered; 0: it is not
	bytes       uint32 // the last sample that was worth keeping
	interval    uint32 // ticks that it took; 0: there was none yet
}

// rateShift is log2 of a tick in nanoseconds.
const rateShift = 10

// rateTicks returns a time in ticks, modulo 2³².
func rateTicks(t clock.Time) uint32 { return uint32(uint64(t) >> rateShift) }

// fromTicks returns a number of ticks as a duration.
func fromTicks(n uint32) time.Duration { return time.Duration(n) << rateShift }

// rateSample is what the segments that one ACK reports as arrived tell: the stamps of the one of them that was sent last. It is part of
// the Core, because no more than one ACK is looked at at a time.
type rateSample struct {
	sentAt      clock.Time // 0: no segment arrived
	delivered   uint32     // P.delivered
	deliveredAt uint32     // P.delivered_time
	firstSent   uint32     // P.first_sent_time
	lost        uint32     // bytes that were found lost because of the ACK
	before      uint32     // bytes in flight before it
	acks        uint8      // how many ACKs the present one stands for
	limited     bool       // P.is_app_limited
	once        bool       // it was sent just once: the time it took is a round-trip time
}

// stamp notes in the record of a segment, before it is sent, what the rate sample will need.
func (c *Conn) stamp(m *frame.Meta, now clock.Time) {
	r := &c.snd.rate
	if c.inFlight() == 0 {
		r.firstSent = rateTicks(now)
		r.deliveredAt = r.firstSent
	}
	m.Delivered, m.DeliveredAt, m.FirstSent = r.delivered, r.deliveredAt, r.firstSent
	m.Flags &^= metaLimited
	if r.limited != 0 {
		m.Flags |= metaLimited
	}
}

// noteArrived takes the stamps of a segment that the present ACK reports.
func (s *rateSample) noteArrived(m *frame.Meta) {
	if m.SentAt < s.sentAt {
		return
	}
	s.sentAt, s.delivered, s.deliveredAt, s.firstSent = m.SentAt, m.Delivered, m.DeliveredAt, m.FirstSent
	s.limited, s.once = m.Flags&metaLimited != 0, m.Sends == 1
}

// checkLimited notes that the application, and not the window, is what limits the sending: everything is sent, nothing has to be
// sent again, and the window has room.
func (c *Conn) checkLimited() {
	d := &c.snd
	if d.end.Sub(d.nxt) >= int32(d.mss) || d.lost != 0 {
		return
	}
	if flight := c.inFlight(); flight < c.cc.Window() {
		d.rate.limited = max(d.rate.delivered+flight, 1)
	}
}

// beginSample is called before an ACK is used.
func (c *Conn) beginSample() {
	c.checkLimited()
	s := &c.core.sample
	s.sentAt, s.lost, s.before, s.acks = 0, 0, c.inFlight(), 1
}

// sampleRate is called after it was, which brought the news that so many more bytes arrived.
func (c *Conn) sampleRate(arrived uint32, now clock.Time) {
	r, s := &c.snd.rate, &c.core.sample
	if arrived != 0 {
		r.delivered += arrived
		r.deliveredAt = rateTicks(now)
	}
	if r.limited != 0 && int32(r.delivered-r.limited) > 0 {
		r.limited = 0
	}
	var bytes, interval uint32
	if s.sentAt != 0 {
		r.firstSent = rateTicks(s.sentAt)
		bytes, interval = r.delivered-s.delivered, max(r.firstSent-s.firstSent, r.deliveredAt-s.deliveredAt)
		// A time shorter than a round trip can be is that of a spurious retransmission, or of one of the ACK of which was late.
		if interval < uint32(c.rtt.Min()>>rateShift) {
			interval = 0
		}
		if interval != 0 && (!s.limited || uint64(bytes)*uint64(r.interval) >= uint64(r.bytes)*uint64(interval)) {
			r.bytes, r.interval = bytes, interval
			c.setFlag(flagRateLimited, s.limited)
		}
	}
	if c.cc.Algorithm().wantsDeliveries() {
		c.tellDelivery(arrived, bytes, interval, now)
	}
}

// tellDelivery gives the sample to a congestion control that is made of them.
func (c *Conn) tellDelivery(arrived, bytes, interval uint32, now clock.Time) {
	d, s := &c.snd, &c.core.sample
	a := Delivery{
		Now: now, SRTT: c.rtt.SRTT(), Bytes: bytes, Interval: interval, Prior: s.delivered, Delivered: d.rate.delivered,
		Arrived: arrived, Lost: s.lost, Before: s.before, InFlight: c.inFlight(), Limited: s.limited,
		InRecovery: d.recovery != recoveryNone,
	}
	if s.sentAt != 0 && s.once {
		a.RTT = max(now.Sub(s.sentAt), 1)
	}
	if c.cc.OnDelivered(&a) {
		d.rate.limited = max(d.rate.delivered+a.InFlight, 1)
	}
}

// DeliveryRate returns how fast the path last delivered, in bytes of payload per second, and whether it might have delivered faster,
// had the application had more to send. It is 0 before the first measurement.
func (c *Conn) DeliveryRate() (rate uint64, limited bool) {
	r := &c.snd.rate
	if r.interval == 0 {
		return 0, false
	}
	return uint64(r.bytes) * uint64(time.Second) / uint64(fromTicks(r.interval)), c.is(flagRateLimited)
}
