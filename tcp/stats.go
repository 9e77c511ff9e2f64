package tcp

// Stats counts what the connections of one shard did. Every segment that a connection does not use counts under one of the
// Drop names.
type Stats struct {
	SegmentsIn   uint64 `help:"segments that connections processed"`
	SegmentsOut  uint64 `help:"segments that connections sent"`
	BytesIn      uint64 `help:"payload bytes received in order"`
	BytesOut     uint64 `help:"payload bytes sent for the first time"`
	ActiveOpens  uint64 `help:"connections begun by this side"`
	PassiveOpens uint64 `help:"connections begun by peers and established"`
	Established  uint64 `help:"connections that reached ESTABLISHED"`
	Failed       uint64 `help:"connections that ended otherwise than by both sides closing"`
	Closed       uint64 `help:"connections that ended"`

	Retransmits        uint64 `help:"data segments sent again"`
	RetransmitBytes    uint64 `help:"payload bytes sent again"`
	FastRecoveries     uint64 `help:"losses found by duplicate ACKs or SACK"`
	Timeouts           uint64 `help:"retransmission timer expiries"`
	FastOpenAsked      uint64 `help:"SYNs that asked for a Fast Open cookie (RFC 7413)"`
	FastOpenCookies    uint64 `help:"Fast Open cookies received"`
	FastOpenSYNs       uint64 `help:"SYNs sent with a Fast Open cookie and data"`
	FastOpenData       uint64 `help:"SYNs whose data the SYN-ACK acknowledged"`
	FastOpenFailed     uint64 `help:"SYNs with Fast Open that were not answered or whose data was not taken; it is not tried for a while"`
	SYNRetransmits     uint64 `help:"SYN and SYN-ACK segments sent again by connections"`
	WindowProbes       uint64 `help:"probes of a closed window"`
	KeepAlives         uint64 `help:"keep-alive probes"`
	FramesPassed       uint64 `help:"received frames that were queued to be sent as they were, without copying their payload"`
	Splits             uint64 `help:"frames divided because the window or the segment size became smaller"`
	DuplicateACKsIn    uint64 `help:"duplicate ACKs received"`
	DuplicateACKsOut   uint64 `help:"duplicate ACKs sent, one per out-of-order segment"`
	OutOfOrder         uint64 `help:"segments that came out of order and were kept"`
	LostRetransmits    uint64 `help:"segments sent again that were lost too, found without a timeout (RFC 8985)"`
	ReorderingTimeouts uint64 `help:"times that what had been overtaken became overdue without another ACK (RFC 8985)"`
	TailProbes         uint64 `help:"tail loss probes (RFC 8985)"`
	TailLosses         uint64 `help:"losses that a tail loss probe repaired"`
	SpuriousTimeouts   uint64 `help:"timeouts after which the original arrived (RFC 3522)"`
	SpuriousRecoveries uint64 `help:"fast recoveries in which the original arrived (RFC 3522)"`
	SACKLimited        uint64 `help:"SACK blocks left to later ACKs because of the work they would cause"`
	DSACKsOut          uint64 `help:"reports to peers that something arrived twice (RFC 2883)"`
	DSACKsIn           uint64 `help:"reports of peers that something arrived twice (RFC 2883)"`
	DSACKsIgnored      uint64 `help:"reports of peers that something arrived twice that was not sent twice"`
	SACKReneged        uint64 `help:"times that a peer gave up data it had reported as received (RFC 2018 section 8)"`
	FastPath           uint64 `help:"segments for which header prediction held"`
	ChallengeACKs      uint64 `help:"challenge ACKs sent (RFC 5961)"`
	ResetsIn           uint64 `help:"valid resets received"`
	ResetsOut          uint64 `help:"resets sent by connections"`
	TinyMSS            uint64 `help:"SYNs with an MSS option below the floor, which was used instead"`
	BadOptions         uint64 `help:"segments with a malformed option; the rest of them was used"`
	Urgent             uint64 `help:"segments with an urgent pointer; their data is delivered in line"`
	ECNNegotiated      uint64 `help:"connections on which both sides use ECN (RFC 3168)"`
	ECNFallbacks       uint64 `help:"SYNs sent again without ECN, because none with it was answered"`
	ECNReflected       uint64 `help:"SYN-ACKs that only send the SYN's ECN flags back: no ECN"`
	CEIn               uint64 `help:"data segments that a router marked instead of dropping them"`
	CEIgnored          uint64 `help:"data segments with a mark although ECN was not agreed on"`
	ECEIn              uint64 `help:"ACKs that tell of marks"`
	ECEIgnored         uint64 `help:"ACKs that tell of marks although nothing was sent that may be marked"`
	ECEReductions      uint64 `help:"times that the congestion window was reduced because of marks"`
	CWROut             uint64 `help:"segments that tell the peer of a reduced congestion window"`
	ZeroWindows        uint64 `help:"segments sent that advertised a closed window"`
	WriteStarved       uint64 `help:"writes cut short because the frame pool is used up"`
	ICMPSoft           uint64 `help:"ICMP errors noted that do not end a connection"`
	ICMPIgnored        uint64 `help:"ICMP errors that do not match what was sent"`
	PathMTUReductions  uint64 `help:"segment size reduced on ICMP fragmentation needed"`
	PathMTUBlackHoles  uint64 `help:"segment size reduced because full segments were lost again and again (RFC 4821)"`
	PathMTUProbes      uint64 `help:"segments larger than others, sent to find out whether the path takes them (RFC 4821)"`
	PathMTUProbesLost  uint64 `help:"such segments that the path did not take"`

	ChallengeACKsLimited uint64 `help:"challenge ACKs not sent because of the rate limit"`

	DropMalformed        uint64 `help:"dropped: header not parsable"`
	DropClosed           uint64 `help:"dropped: the connection was closed already"`
	DropNoFlags          uint64 `help:"dropped: neither ACK nor a flag that the state expects"`
	DropOldTimestamp     uint64 `help:"dropped: timestamp older than the last one (PAWS, RFC 7323 section 5)"`
	DropNoTimestamp      uint64 `help:"dropped: no timestamp although both sides agreed on them (RFC 7323 section 3.2)"`
	DropDuplicate        uint64 `help:"dropped: everything in it was received before"`
	DropOutsideWindow    uint64 `help:"dropped: beyond the receive window"`
	DropMemory           uint64 `help:"payload dropped: the applications leave more unread than Core.MaxUnread allows"`
	DropZeroWindow       uint64 `help:"payload dropped: the receive window is closed"`
	DropOutOfOrderFull   uint64 `help:"payload dropped: the out-of-order queue is at its bound"`
	DropOutOfOrderWork   uint64 `help:"payload dropped: its place in the out-of-order queue is too far from where the last one was"`
	DropOutOfOrderCopy   uint64 `help:"payload dropped: out of order, and received before"`
	DropBadACK           uint64 `help:"dropped: acknowledges what was never sent"`
	DropOldACK           uint64 `help:"dropped: acknowledges what is long acknowledged (RFC 5961 section 5)"`
	DropHandshakeACK     uint64 `help:"dropped: unacceptable ACK in the handshake, answered with a reset"`
	DropSYN              uint64 `help:"dropped: SYN on a synchronized connection, answered with a challenge (RFC 5961 section 4)"`
	DropResetOutside     uint64 `help:"dropped: reset outside the window"`
	DropResetChallenged  uint64 `help:"dropped: reset in the window but not at its edge, answered with a challenge (RFC 5961 section 3)"`
	DropAfterFIN         uint64 `help:"payload dropped: beyond the peer's FIN"`
	DropAfterClose       uint64 `help:"payload dropped: the application had closed, answered with a reset"`
	DropUnsynchronized   uint64 `help:"dropped: a handshake was due and the segment is no part of it"`
	DropUnexpectedInTime uint64 `help:"dropped: in TIME-WAIT, other than a FIN sent again"`

	Listen   ListenStats
	TimeWait TimeWaitStats
}
