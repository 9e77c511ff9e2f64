package tcp

import (
	"time"
)

// Info describes a connection for people and tests.
type Info struct {
	Flow       Flow
	State      State
	Recovery   string // "open", "recovery" or "loss"
	RTT        time.Duration
	RTTVar     time.Duration
	MinRTT     time.Duration
	RTO        time.Duration
	CWnd       uint32 // bytes
	SSThresh   uint32 // bytes
	InFlight   uint32 // bytes
	SendMSS    uint16 // payload of a full segment, bytes
	RecvMSS    uint16 // estimate of the peer's, bytes
	SendWindow uint32 // bytes, what the peer offers
	RecvWindow uint32 // bytes, what was offered to the peer
	RecvBuffer uint32 // bytes: the present size
	SendBuffer uint32 // bytes: the present size
	Unsent     int    // bytes written and not sent
	Unacked    int    // bytes sent and not acknowledged
	Unread     uint32 // bytes received in order and not consumed
	OutOfOrder int    // frames
	SendScale  uint8
	RecvScale  uint8
	Retries    uint8 // times that the same thing was sent again without an answer
	Timestamps bool
	SACK       bool
	ECN        bool

	Congestion   string // name of the congestion control
	PacingRate   uint64 // bytes of payload per second; 0: not paced
	DeliveryRate uint64 // bytes of payload per second that the path last delivered; 0: not measured
	AppLimited   bool   // the path might have delivered faster, had the application had more to send

	BytesAcked    uint64 // of payload
	BytesReceived uint64 // of payload, in order
	Resent        uint32 // segments sent again, SYN and FIN included
	ResentBytes   uint64 // of payload
	Timeouts      uint16 // expiries of the retransmission timer
}

// Info returns a description of the connection.
func (c *Conn) Info() Info {
	if c.core == nil {
		return Info{}
	}
	d, r := &c.snd, &c.rcv
	delivery, limited := c.DeliveryRate()
	acked, _ := c.bytesSent()
	h := c.history()
	return Info{
		Flow: c.flow, State: c.state, Recovery: [...]string{"open", "recovery", "loss"}[d.recovery],
		RTT: c.rtt.SRTT(), RTTVar: c.rtt.Var(), MinRTT: c.rtt.Min(), RTO: c.rto(),
		CWnd: c.cc.Window(), SSThresh: c.cc.Ssthresh(), InFlight: c.inFlight(),
		SendMSS: d.mss, RecvMSS: r.mss, SendWindow: d.wnd, RecvWindow: uint32(r.adv - r.nxt),
		RecvBuffer: r.buffer, SendBuffer: c.sendBuffer(),
		Unsent: max(int(d.end.Sub(d.nxt)), 0), Unacked: int(c.outstanding()), Unread: uint32(r.nxt - r.read),
		OutOfOrder: c.rare().ooo.Len(), SendScale: d.scale, RecvScale: r.scale, Retries: d.retries,
		Timestamps: c.is(flagTS), SACK: c.is(flagSACK), ECN: c.usesECN(),
		Congestion: c.cfg.algorithm.String(), PacingRate: c.PacingRate(), DeliveryRate: delivery, AppLimited: limited,
		BytesAcked: acked, BytesReceived: c.bytesReceived(), Resent: h.resent, ResentBytes: h.resentBytes, Timeouts: h.timeouts,
	}
}

// TimeWaitRecord returns what stands for the connection in TIME-WAIT, after EventTimeWait. What Recv still has should be taken
// before Release.
func (c *Conn) TimeWaitRecord() TimeWaitRecord {
	return TimeWaitRecord{
		SndNxt: c.snd.nxt, RcvNxt: c.rcv.nxt,
		TSRecent: c.ts.recent, TSOffset: c.ts.offset, HasTS: c.is(flagTS),
		Window: uint16(min(uint32(c.rcv.adv-c.rcv.nxt)>>c.rcv.scale, 1<<16-1)),
	}
}
