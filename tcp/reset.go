package tcp

// ResetFor makes out the reset that answers segment s when no connection takes it, or reports false if s is to be dropped in
// silence, being a reset itself (RFC 9293 section 3.10.7.1). The reset has the numbers that make it acceptable to the sender of s.
func ResetFor(s *Segment, out *OutSegment) bool {
	if s.Flags&FlagRST != 0 {
		return false
	}
	out.Clear()
	if s.Flags&FlagACK != 0 {
		out.Seq, out.Flags = s.Ack, FlagRST
		return true
	}
	out.Ack, out.Flags = s.End(), FlagRST|FlagACK
	return true
}
