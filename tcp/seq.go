package tcp

// Seq is a sequence number, a point on a circle of 2^32 (RFC 9293 section 3.4). Two of them are compared by the sign of their
// difference, so a comparison means something only while they are less than 2^31 apart; the operators <, > and so on never do.
type Seq uint32

// Less reports whether a comes before b.
func (a Seq) Less(b Seq) bool { return int32(a-b) < 0 }

// LessEq reports whether a comes before b or is b.
func (a Seq) LessEq(b Seq) bool { return int32(a-b) <= 0 }

// Greater reports whether a comes after b.
func (a Seq) Greater(b Seq) bool { return int32(a-b) > 0 }

// GreaterEq reports whether a comes after b or is b.
func (a Seq) GreaterEq(b Seq) bool { return int32(a-b) >= 0 }

// Add returns the number n after a.
func (a Seq) Add(n uint32) Seq { return a + Seq(n) }

// Sub returns how far a is after b, negative if it is before.
func (a Seq) Sub(b Seq) int32 { return int32(a - b) }

// InWindow reports whether a is one of the size numbers that begin with first. No number is in an empty window.
func (a Seq) InWindow(first Seq, size uint32) bool { return uint32(a-first) < size }

// tsLess reports whether timestamp a is older than b; timestamps are on a circle of the same size (RFC 7323 section 5.2).
func tsLess(a, b uint32) bool { return int32(a-b) < 0 }
