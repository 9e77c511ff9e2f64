package tcp

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// CongestionAlgorithm names a way to choose the congestion window.
type CongestionAlgorithm uint8

// The algorithms.
const (
	NewReno CongestionAlgorithm = iota // RFC 5681, 6582
	Cubic                              // RFC 9438, with HyStart++ (RFC 9406)
	DCTCP                              // RFC 8257; without ECN it is NewReno
	BBR                                // draft-cardwell-iccrg-bbr-congestion-control-00: version 1
)

// congestionNames are the algorithms' names.
var congestionNames = [...]string{NewReno: "newreno", Cubic: "cubic", DCTCP: "dctcp", BBR: "bbr"}

// ParseCongestion returns the algorithm of that name; the empty name is the default's, and "reno" is "newreno".
func ParseCongestion(name string) (CongestionAlgorithm, error) {
	switch name {
	case "":
		return Cubic, nil
	case "reno":
		return NewReno, nil
	}
	if a := slices.Index(congestionNames[:], name); a >= 0 {
		return CongestionAlgorithm(a), nil
	}
	return 0, fmt.Errorf("tcp: no congestion control %q: there are %s", name, strings.Join(congestionNames[:], ", "))
}

// String returns the algorithm's name.
func (a CongestionAlgorithm) String() string {
	if int(a) < len(congestionNames) {
		return congestionNames[a]
	}
	return fmt.Sprintf("CongestionAlgorithm(%d)", uint8(a))
}

// Ack is what a connection tells its congestion control when new data was acknowledged. An algorithm uses what it needs of it.
type Ack struct {
	Now        clock.Time
	RTT        time.Duration // measured with this ACK; 0 if it gave no measurement
	SRTT       time.Duration // smoothed; 0 if there was no measurement yet
	Acked      uint32        // bytes that it newly acknowledged, those that SACK had reported already included
	InFlight   uint32        // bytes in the network after it: see Congestion
	Una, Nxt   Seq           // SND.UNA, after it, and SND.NXT
	ACKs       uint8         // how many ACKs of the peer it stands for
	InRecovery bool          // a loss is being repaired: the window does not grow
	Marked     bool          // it says that packets were marked (ECE): it is no reason to grow either (RFC 3168 section 6.1.2)
}

// Loss is what a connection tells when it takes a segment as lost.
type Loss struct {
	Now      clock.Time
	InFlight uint32 // bytes sent and not acknowledged when the loss was found
	Una, Nxt Seq
}

// Delivery is what a connection tells BBR after each ACK: a sample of the path's delivery rate, if the ACK gave one, and what became of
// what is in flight.
type Delivery struct {
	Now        clock.Time
	RTT        time.Duration // of the segment that the sample is of; 0 if that was sent more than once
	SRTT       time.Duration
	Bytes      uint32 // delivered in the sample's interval
	Interval   uint32 // ticks of 1,024 ns; 0: there is no sample
	Prior      uint32 // what had been delivered when the sample's segment was sent, bytes modulo 2³²
	Delivered  uint32 // what has been by now
	Arrived    uint32 // by this ACK
	Lost       uint32 // bytes that this ACK shows to be lost
	Before     uint32 // bytes in flight before this ACK
	InFlight   uint32 // and after it
	Limited    bool   // the application limited the sending
	InRecovery bool   // a loss or a timeout is being repaired
}

// Congestion is the congestion control of a connection: a value that lives in the connection and is told values
// only, never the connection.
//
// It says how much may be in the network: the connection sends while what is in flight is below Window. In flight is what was sent
// and has, as far as is known, neither arrived nor been lost: RFC 6675's pipe. Without SACK each duplicate ACK counts as one
// segment that arrived, so that the same rule serves both, and the window need not be inflated during recovery as RFC 6582 does.
//
//	OnSent      after each burst that was sent
//	OnAck       new data was acknowledged
//	OnLoss      fast recovery begins: once for each recovery, not for each segment
//	OnRTO       the retransmission timer expired
//	OnECE       the peer told of packets that a router marked; once in each round trip, and not in a recovery
//	OnSpurious  what the last OnLoss or OnRTO told was not a loss: nothing had to be sent again
//	OnIdle      before sending while nothing is in flight
//	OnDelivered after each ACK, if it wantsDeliveries
//
// To add an algorithm: give it a constant, a name in congestionNames, a file of its own with its state as a struct without pointers,
// an accessor and a size check beside those below, and its case in each switch of this file where it differs from the others. begin
// makes its state what it is for a connection that takes it up, at the start or in the middle of its life.
type Congestion struct {
	algorithm CongestionAlgorithm
	seed      uint16 // of what is to be random
	mss       uint32 // SMSS: payload bytes of a full segment
	cwnd      uint32 // bytes
	ssthresh  uint32 // bytes
	initial   uint32 // the initial window, bytes
	own       ownState
	model     *bbr // BBR's state, which is too large for own
}

// lossBased is where the states of all algorithms but BBR begin: of those that grow the window until it is too large.
type lossBased struct {
	peak    uint32 // the most bytes in flight in the present round trip
	peakEnd Seq    // when this is acknowledged, that round trip is over
	acked   uint32 // bytes acknowledged in congestion avoidance since Reno's window, or CUBIC's estimate of it, last grew
	before  windows
	used    uint32 // when the window was last used, ticks of rate.go; 0: never
}

// ownState is what an algorithm other than BBR keeps for itself, one struct for each algorithm in the same bytes: a union, because a
// connection has one algorithm at a time, and a million connections pay for the largest. It has no pointers, so the garbage collector
// need not know which struct it is, and it is aligned for fields of 32 bits.
type ownState [11]uint32

// The structs fit, and begin with what they have in common: a constant below zero does not compile.
const (
	_ = unsafe.Sizeof(ownState{}) - unsafe.Sizeof(cubic{})
	_ = -unsafe.Offsetof(cubic{}.lossBased) - unsafe.Offsetof(dctcp{}.lossBased)
	_ = unsafe.Sizeof(ownState{}) - unsafe.Sizeof(dctcp{})
	_ = unsafe.Alignof(ownState{}) - unsafe.Alignof(cubic{})
	_ = unsafe.Alignof(ownState{}) - unsafe.Alignof(dctcp{})
)

// lossBased returns what the states of all algorithms but BBR begin with.
func (c *Congestion) lossBased() *lossBased { return (*lossBased)(unsafe.Pointer(&c.own)) }

// cubic returns the state that is CUBIC's.
func (c *Congestion) cubic() *cubic { return (*cubic)(unsafe.Pointer(&c.own)) }

// dctcp returns the state that is DCTCP's.
func (c *Congestion) dctcp() *dctcp { return (*dctcp)(unsafe.Pointer(&c.own)) }

// bbr returns the state that is BBR's.
func (c *Congestion) bbr() *bbr { return c.model }

// windows are what the last reduction of the window replaced, bytes.
type windows struct{ cwnd, ssthresh uint32 }

const (
	maxCwnd     = 1 << 30 // bytes: the largest window that a header can express (RFC 7323 section 2.3)
	infSsthresh = maxCwnd // slow start has no end in sight (RFC 5681 section 3.1: arbitrarily high)
)

// Init begins with an initial window of so many segments of mss bytes: 10 (RFC 6928), or 1 if the SYN or its answer was lost (RFC
// 5681 section 3.1). Segments larger than Ethernet's make it fewer, as RFC 6928 section 2 says.
func (c *Congestion) Init(a CongestionAlgorithm, mss, segments uint32) {
	mss = max(mss, MinMSS)
	*c = Congestion{algorithm: a, mss: mss, ssthresh: infSsthresh, model: c.model}
	c.initial = min(segments*mss, max(2*mss, segments*1460))
	if segments <= 1 {
		c.initial = mss
	}
	c.cwnd = c.initial
	c.begin()
}

// begin makes the algorithm's state new.
func (c *Congestion) begin() {
	c.own = ownState{}
	if c.algorithm == BBR {
		if c.model == nil {
			c.model = new(bbr) // A Conn has one of its Core's.
		}
		c.bbrBegin()
		return
	}
	c.lossBased().before = windows{c.cwnd, c.ssthresh}
	if c.algorithm == DCTCP {
		c.dctcpBegin()
	}
}

// Seed gives the algorithm a number that no other connection has, to begin what it does at random.
func (c *Congestion) Seed(n uint32) {
	c.seed = uint16(n ^ n>>16)
	if c.algorithm == BBR {
		c.bbr().random = c.seed
	}
}

// Switch goes on with another algorithm, which takes the windows over as they are and begins with what else it knows.
func (c *Congestion) Switch(a CongestionAlgorithm) {
	if a == c.algorithm {
		return
	}
	c.algorithm = a
	c.begin()
}

// SetMSS changes the segment size: the path turned out to be narrower, or wider again. The windows keep their bytes.
func (c *Congestion) SetMSS(mss uint32) {
	c.mss = max(mss, MinMSS)
	c.cwnd = max(c.cwnd, c.mss)
}

// Window returns how many bytes may be in flight.
func (c *Congestion) Window() uint32 { return c.cwnd }

// Ssthresh returns the slow start threshold in bytes, 1<<30 if there was no loss yet.
func (c *Congestion) Ssthresh() uint32 { return c.ssthresh }

// Algorithm returns the algorithm that is in use.
func (c *Congestion) Algorithm() CongestionAlgorithm { return c.algorithm }

// PacingRate returns how fast to send if the connection is paced, in bytes of payload per second; 0 is as fast as the window allows. It
// has the window go out in less than a smoothed round trip: in half of one in slow start, so that the window can double, and in 5/6 of
// one later, or when slow start is about to end, so that it is the window that limits and can grow. Before the first measurement the
// initial window is not spread.
func (c *Congestion) PacingRate(srtt time.Duration) uint64 {
	if c.algorithm == BBR {
		return c.bbrRate(srtt)
	}
	if srtt <= 0 {
		return 0
	}
	w := uint64(c.cwnd)
	if c.cwnd < c.ssthresh/2 {
		w *= 2
	} else {
		w += w / 5
	}
	return max(w*uint64(time.Second)/uint64(srtt), 1)
}

// forcesPacing reports whether the algorithm does not work without pacing.
func (a CongestionAlgorithm) forcesPacing() bool { return a == BBR }

// ownsRecovery reports whether the window holds in a recovery too, instead of the proportion that PRR finds on the way to it.
func (a CongestionAlgorithm) ownsRecovery() bool { return a == BBR }

// wantsDeliveries reports whether OnDelivered is to be called.
func (a CongestionAlgorithm) wantsDeliveries() bool { return a == BBR }

// OnDelivered takes what an ACK tells about the path's delivery rate, after all else that the ACK says was used. It reports whether what
// is sent now is limited on purpose: then the samples of it count as limited by the application.
func (c *Congestion) OnDelivered(s *Delivery) (limited bool) {
	return c.algorithm == BBR && c.bbrDelivered(s)
}

// OnSent notes how much is in flight after sending.
func (c *Congestion) OnSent(inFlight uint32, una, nxt Seq) {
	if c.algorithm == BBR {
		return
	}
	if b := c.lossBased(); inFlight > b.peak || una.GreaterEq(b.peakEnd) {
		b.peak, b.peakEnd = inFlight, nxt
	}
}

// OnAck takes the news of an ACK that acknowledged new data.
func (c *Congestion) OnAck(a *Ack) {
	if c.algorithm == BBR {
		return
	}
	c.validate(a.Now)
	switch c.algorithm {
	case NewReno:
		c.renoAck(a)
	case Cubic:
		c.cubicAck(a)
	case DCTCP:
		c.dctcpAck(a)
	}
}

// OnLoss begins a fast recovery.
func (c *Congestion) OnLoss(l *Loss) {
	if c.algorithm == BBR {
		c.bbrLoss()
		return
	}
	c.lossBased().before = windows{c.cwnd, c.ssthresh}
	switch c.algorithm {
	case NewReno, DCTCP:
		c.renoLoss(l)
	case Cubic:
		c.cubicLoss(l)
	}
}

// OnRTO takes the expiry of the retransmission timer. again says that what is sent again now was already sent again because of
// this timer, which is then no new news about the path: the threshold is reduced once, not by each timeout of the same segment (RFC
// 5681 section 3.1). The window is the loss window of one segment.
func (c *Congestion) OnRTO(l *Loss, again bool) {
	switch {
	case c.algorithm == BBR:
		c.bbrRTO()
	case !again:
		c.lossBased().before = windows{c.cwnd, c.ssthresh}
		switch c.algorithm {
		case NewReno, DCTCP:
			c.renoLoss(l)
		case Cubic:
			c.cubicRTO(l)
		}
	}
	c.cwnd = c.mss
}

// OnECE takes the news that a router marked packets instead of dropping them (RFC 3168 section 6.1.2): it is answered as a loss is, but
// nothing is missing. A window of less than what a loss leaves at least stays as it is.
func (c *Congestion) OnECE(l *Loss) {
	if c.algorithm == BBR {
		return
	}
	was := c.cwnd
	c.lossBased().before = windows{c.cwnd, c.ssthresh}
	switch c.algorithm {
	case NewReno:
		c.renoLoss(l)
	case Cubic:
		c.cubicLoss(l)
	case DCTCP:
		c.dctcpECE()
	}
	c.cwnd = min(c.cwnd, was)
}

// OnSpurious takes the last reduction of the window back: the segments that counted as lost were only late (RFC 9438 section 4.9,
// RFC 4015). The window is as before, or larger if it has grown beyond that meanwhile.
func (c *Congestion) OnSpurious() {
	if c.algorithm == BBR {
		c.bbrSpurious()
		return
	}
	b := c.lossBased()
	c.cwnd, c.ssthresh, b.acked = max(c.cwnd, b.before.cwnd), b.before.ssthresh, 0
	if c.algorithm == Cubic {
		c.cubicSpurious()
	}
}

// OnIdle prepares for sending after a pause. A long one, of more than the retransmission timeout, makes what the window says about
// the path too old for a burst of that size: slow start finds the way back from the initial window (RFC 5681 section 4.1), most of the
// way at least (RFC 7661).
func (c *Congestion) OnIdle(now clock.Time, long bool) {
	if c.algorithm == BBR {
		c.bbrIdle(now)
		return
	}
	if long && c.cwnd > c.initial {
		if c.ssthresh != infSsthresh {
			c.ssthresh = max(c.ssthresh, c.cwnd-c.cwnd/4)
		}
		c.cwnd = c.initial
	}
	if c.algorithm == Cubic {
		c.cubicIdle(now, long)
	}
}

// unusedTime is how long a window is kept that the application does not use, in ticks: five minutes (RFC 7661 section 4.4.3).
const unusedTime = uint32(5 * time.Minute >> rateShift)

// validate halves a window that was not used for so long: about most of it nothing is known any more. Slow start finds the way back to
// three quarters of it.
func (c *Congestion) validate(now clock.Time) {
	b, t := c.lossBased(), rateTicks(now)|1
	if b.used == 0 || c.windowUsed() {
		b.used = t
		return
	}
	if t-b.used < unusedTime {
		return
	}
	b.used = t
	if c.cwnd/2 < c.initial {
		return
	}
	if c.ssthresh != infSsthresh {
		c.ssthresh = max(c.ssthresh, c.cwnd-c.cwnd/4)
	}
	c.cwnd /= 2
	if c.algorithm == Cubic {
		c.cubicIdle(now, true)
	}
}

// flightSize returns what was in the network when a loss happened, the lost bytes included: the most of the round trip, for the ACKs
// that came just before the one that tells of the loss, in the same batch, have not been answered with new data yet. What was sent
// beyond the window, because something behind the loss had arrived (limited transmit), does not count (RFC 5681 section 3.2, step 2).
func (c *Congestion) flightSize(l *Loss) uint32 {
	return min(max(l.InFlight, c.lossBased().peak), c.cwnd)
}

// windowUsed reports whether the window, rather than the application or the peer, kept the connection from sending more in the
// present round trip. A window that was not used was not tested either and must not grow. In slow start it may be twice
// what was used, or the application would have to be ahead of its doubling.
func (c *Congestion) windowUsed() bool {
	peak := c.lossBased().peak
	if c.cwnd < c.ssthresh {
		return c.cwnd < 2*peak
	}
	return peak+c.mss > c.cwnd
}
