package frame

// Ask is what a sender asks of the device for one packet, in the descriptor of its first frame: 0 for nothing, or the union of
// AskStamp and an AskSum. A device may refuse what it cannot do.
type Ask uint16

//	15   14            7   6          0
//
// ┌───┬─────────────────┬─────────────┐
// │ T │ start of sum    │ its field   │
// └───┴─────────────────┴─────────────┘
const (
	// AskStamp asks for the time at which the device sends the packet.
	AskStamp Ask = 1 << 15

	askField = 7 // bits
	// MaxSumField is the greatest field of AskSum.
	MaxSumField = 1<<askField - 1
)

// AskSum asks for a checksum to be completed: that of everything from byte start of the packet on, which is not 0, in the field
// so many bytes from there, at most MaxSumField. The sum of what is in the field already, that of the pseudo-header, is part of
// it.
func AskSum(start, field uint8) Ask { return Ask(start)<<askField | Ask(field&MaxSumField) }

// Sum returns where the sum begins, and where its field is from there. The start is 0 if none is asked for.
func (a Ask) Sum() (start, field uint32) {
	return uint32(a &^ AskStamp >> askField), uint32(a & MaxSumField)
}

// Stamp reports whether the time is asked for.
func (a Ask) Stamp() bool { return a&AskStamp != 0 }
