package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TCPInfo describes a connection in the fields, units and numbers of Linux's struct tcp_info, for those who have tools and habits for
// that: times in microseconds, but for those of Last… in milliseconds; windows and what is in the network in segments. Counters begin
// with the connection. Fields that this stack does not measure are 0 and say so.
type TCPInfo struct {
	State                  uint8 // Linux's number: 1 is ESTABLISHED; see State.Linux
	CAState                uint8 // CAOpen and so on
	Retransmits            uint8 // timeouts in a row without an answer
	Probes                 uint8 // of a closed window, or keep-alives, in a row without an answer
	Backoff                uint8 // times that the timeout is doubled
	Options                uint8 // OptTimestamps and so on
	SndWScale              uint8
	RcvWScale              uint8
	DeliveryRateAppLimited bool // the path might have delivered faster, had there been more to send

	RTO    uint32
	ATO    uint32 // how long an ACK waits, at most
	SndMSS uint32 // bytes, without options
	RcvMSS uint32 // bytes, as estimated

	Unacked uint32 // segments sent and not acknowledged
	Sacked  uint32 // of them, those that the peer has
	Lost    uint32 // of them, those that were found lost, also if sent again since
	Retrans uint32 // of them, those that were sent again
	Fackets uint32 // 0, as in Linux: forward acknowledgment is history

	LastDataSent uint32
	LastAckSent  uint32 // 0, as in Linux
	LastDataRecv uint32
	LastAckRecv  uint32 // since any segment came

	PMTU        uint32 // bytes
	RcvSsthresh uint32 // bytes: the size of the receive buffer
	RTT         uint32
	RTTVar      uint32
	SndSsthresh uint32 // 2^31-1 if slow start has no end in sight
	SndCwnd     uint32
	AdvMSS      uint32 // bytes, the MSS that was announced
	Reordering  uint32 // segments: 3, RFC 5681's; beyond it what is reordered is judged by time (RFC 8985)
	RcvRTT      uint32 // 0: not measured
	RcvSpace    uint32 // bytes that the application consumed in a round trip, at most

	TotalRetrans  uint32 // segments sent again, SYN and FIN included
	PacingRate    uint64 // bytes per second; 0: not paced
	MaxPacingRate uint64 // bytes per second; 0: no bound
	BytesAcked    uint64 // of payload, unlike Linux without SYN and FIN
	BytesReceived uint64 // of payload, in order
	SegsOut       uint32
	SegsIn        uint32
	NotsentBytes  uint32
	MinRTT        uint32 // 0: none was measured
	DataSegsIn    uint32 // 0: not counted
	DataSegsOut   uint32 // with payload, and TotalRetrans
	DeliveryRate  uint64 // bytes per second; 0: none was measured

	BusyTime      uint64 // 0: not measured
	RwndLimited   uint64 // 0: not measured
	SndbufLimited uint64 // 0: not measured

	Delivered    uint32 // segments that arrived, as far as is known
	DeliveredCE  uint32 // 0: not counted
	BytesSent    uint64 // of payload, what was sent again included
	BytesRetrans uint64
	DsackDups    uint32 // segments that the peer reported as received twice, at most 65535
	ReordSeen    uint32 // 1 if reordering was seen
	RcvOoopack   uint32 // segments that came out of order
	SndWnd       uint32 // bytes that the peer offers
	RcvWnd       uint32 // bytes that are offered to it
	Rehash       uint32 // 0: there is no flow label to change

	TotalRTO           uint16 // timeouts
	TotalRTORecoveries uint16 // 0: not counted
	TotalRTOTime       uint32 // 0: not measured
}

// The bits of TCPInfo.Options.
const (
	OptTimestamps = 1 << iota
	OptSACK
	OptWScale
	OptECN     // negotiated
	OptECNSeen // never set: not noted
	OptSYNData // data went with the SYN and was taken
)

// The values of TCPInfo.CAState.
const (
	CAOpen     = iota
	CADisorder // something arrived out of order
	CACWR      // the window was reduced for a mark
	CARecovery // fast recovery
	CALoss     // after a timeout
)

// linuxInfinity is what Linux has for a threshold that is not known yet.
const linuxInfinity = 1<<31 - 1

var linuxStates = [...]uint8{
	StateEstablished: 1, StateSynSent: 2, StateSynReceived: 3, StateFinWait1: 4, StateFinWait2: 5, StateTimeWait: 6, StateClosed: 7,
	StateCloseWait: 8, StateLastAck: 9, StateListen: 10, StateClosing: 11,
}

// Linux returns the number that the state has in Linux's tcp_info.
func (s State) Linux() uint8 { return linuxStates[s] }

// TCPInfo returns what Linux's tcp_info would say of the connection. Unlike what Info says it takes a walk through what is outstanding.
func (c *Conn) TCPInfo(now clock.Time) TCPInfo {
	if c.core == nil {
		return TCPInfo{State: StateClosed.Linux()}
	}
	d, r, h := &c.snd, &c.rcv, c.history()
	mss := max(uint32(d.mss), 1)
	i := TCPInfo{
		State: c.state.Linux(), CAState: c.caState(), Options: c.infoOptions(), Backoff: uint8(c.rtt.Backoffs()),
		SndWScale: d.scale, RcvWScale: r.scale,
		RTO: micro(c.rto()), ATO: micro(max(c.cfg.DelayedACK, 0)), SndMSS: uint32(d.mss), RcvMSS: uint32(r.mss),
		LastDataSent: since(now, d.sentAt), LastDataRecv: millisSince(now, c.count.dataAt), LastAckRecv: since(now, c.timers.received),
		PMTU: uint32(d.mss) + 20 + MinHeaderLen, RcvSsthresh: r.buffer,
		RTT: micro(c.rtt.SRTT()), RTTVar: micro(c.rtt.Var()), MinRTT: micro(c.rtt.Min()),
		SndSsthresh: linuxInfinity, SndCwnd: c.cc.Window() / mss, AdvMSS: uint32(c.cfg.MSS), Reordering: 3, RcvSpace: r.tuning.space,
		TotalRetrans: h.resent, SegsOut: c.segsOut, SegsIn: c.segsIn, DataSegsOut: c.count.dataOut + h.resent,
		NotsentBytes: uint32(max(d.end.Sub(d.nxt), 0)), BytesReceived: c.bytesReceived(), BytesRetrans: h.resentBytes,
		DsackDups: uint32(h.dsacks), RcvOoopack: h.outOfOrder, SndWnd: d.wnd, RcvWnd: uint32(r.adv - r.nxt),
		TotalRTO: h.timeouts, PacingRate: c.PacingRate(), MaxPacingRate: c.cfg.MaxPacingRate,
	}
	if c.is(flagProbing) {
		i.Probes = d.retries
	} else {
		i.Retransmits, i.Probes = d.retries, c.keepProbes
	}
	if c.is(flagTS) {
		i.PMTU += optTimestampsLen + 2
	}
	if s := c.cc.Ssthresh(); s < infSsthresh {
		i.SndSsthresh = s / mss
	}
	if h.learnt.reordered {
		i.ReordSeen = 1
	}
	c.countOutstanding(&i)
	i.DeliveryRate, i.DeliveryRateAppLimited = c.DeliveryRate()
	i.BytesAcked, i.BytesSent = c.bytesSent()
	i.BytesSent += i.BytesRetrans
	return i
}

// countOutstanding counts the segments that are not acknowledged, and what is known of them.
func (c *Conn) countOutstanding(i *TCPInfo) {
	d, p := &c.snd, c.core.Pool
	for f := d.queue.Front(); f != d.unsent; f = p.Meta(f).Next {
		m := p.Meta(f)
		i.Unacked++
		switch {
		case m.Flags&metaSACKed != 0:
			i.Sacked++
		case m.Flags&metaLost != 0:
			i.Lost++
		case m.Flags&metaResent != 0:
			i.Lost++
			i.Retrans++
		}
	}
	i.Delivered = c.count.dataOut - min(i.Unacked-i.Sacked, c.count.dataOut)
	if !c.is(flagSACK) {
		i.Sacked = (d.sacked + uint32(d.mss) - 1) / max(uint32(d.mss), 1)
	}
	if d.queue.Empty() && c.outstanding() != 0 {
		i.Unacked = 1 // the SYN or the FIN
	}
}

func (c *Conn) caState() uint8 {
	switch {
	case c.snd.recovery == recoveryFast:
		return CARecovery
	case c.snd.recovery == recoveryRTO:
		return CALoss
	case c.outstanding() != 0 && c.reducedAfter(c.snd.una+1):
		return CACWR
	case c.snd.sacked != 0 || c.snd.dupACKs != 0:
		return CADisorder
	}
	return CAOpen
}

func (c *Conn) infoOptions() (bits uint8) {
	if c.is(flagTS) {
		bits |= OptTimestamps
	}
	if c.is(flagSACK) {
		bits |= OptSACK
	}
	if c.snd.scale != 0 || c.rcv.scale != 0 {
		bits |= OptWScale
	}
	if c.usesECN() {
		bits |= OptECN
	}
	if c.state >= StateEstablished && c.is(flagFastOpen) {
		bits |= OptSYNData
	}
	return bits
}

// micro returns a duration in microseconds.
func micro(d time.Duration) uint32 { return uint32(min(d.Microseconds(), 1<<32-1)) }

// since returns how long ago a time was, in milliseconds; 0 if it never was.
func since(now, at clock.Time) uint32 {
	if at == 0 {
		return 0
	}
	return uint32(now.Sub(at).Milliseconds())
}
