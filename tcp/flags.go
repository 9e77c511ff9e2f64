package tcp

// Flags are the control bits of a segment.
type Flags uint8

// The control bits (RFC 9293 section 3.1).
const (
	FlagFIN Flags = 1 << iota // no more data from the sender
	FlagSYN                   // synchronize sequence numbers
	FlagRST                   // reset the connection
	FlagPSH                   // push
	FlagACK                   // the acknowledgment number is valid
	FlagURG                   // the urgent pointer is valid
	FlagECE                   // ECN echo (RFC 3168)
	FlagCWR                   // congestion window reduced (RFC 3168)
)

const flagLetters = "FSRPAUEC"

// String returns one letter per bit that is set, as packet traces show them: "SA" is a SYN-ACK. No bits give ".".
func (f Flags) String() string {
	if f == 0 {
		return "."
	}
	var b [8]byte
	n := 0
	for i := range 8 {
		if f&(1<<i) != 0 {
			b[n] = flagLetters[i]
			n++
		}
	}
	return string(b[:n])
}
