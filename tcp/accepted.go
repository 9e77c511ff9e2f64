package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// Accepted is what a passive open agreed on before there was a connection: what Conn.Accept makes one of. Both ends have sent
// their SYN; ISS+1 was acknowledged by the segment that completed the handshake, which is still to be given to the connection.
type Accepted struct {
	SentAt        clock.Time // when the SYN-ACK was sent, if just once: the first round-trip measurement. Otherwise 0
	Flow          Flow
	IRS, ISS      Seq
	TSRecent      uint32 // the timestamp in the peer's SYN
	TSOffset      uint32 // what is added to the clock in the timestamps that are sent
	RcvWnd        uint32 // bytes, the window that the SYN-ACK offered, from IRS+1
	SndWnd        uint16 // with FastOpen: bytes, the window that the SYN offered
	MSS           uint16 // bytes, what the peer takes in a segment; at least MinMSS
	SndWScale     uint8  // shift of the windows that the peer sends
	RcvWScale     uint8  // shift of the windows sent to it
	HasWScale     bool   // both sides scale; without it both shifts are 0
	HasTS         bool
	SACKPermitted bool
	FastOpen      bool // the handshake is not complete: the segment is the SYN, and proves its sender's address with a cookie (RFC 7413)
	NewCookie     bool // with FastOpen: the cookie's key is no longer the present one, so the SYN-ACK brings a new cookie
	ECN           bool // both sides use it
	NoECT         bool // but the peer may not know: nothing is to be sent with ECT
	SYNLost       bool // the SYN-ACK was sent more than once: the initial window is one segment (RFC 5681 section 3.1)
}
