package ipv4

// FragmentAt returns the header of the fragment that begins at byte off of a payload of the given length in bytes, and how many
// bytes of it the fragment carries so that it fits into mtu (RFC 791 section 3.2). h is the header of the whole datagram: its ID
// must be one that no other datagram to that host has at the time (RFC 6864 section 4.3), and its DF is dropped. An mtu below
// MinMTU counts as that.
//
//	for off := 0; off < len(payload); {
//		fh, n := h.FragmentAt(off, len(payload), mtu)
//		send(fh, payload[off:off+n])
//		off += n
//	}
//
// n is zero, and there is no such fragment, if off is not the end of another fragment or the payload is longer than a datagram's.
func (h *Header) FragmentAt(off, length, mtu int) (fh Header, n int) {
	if off < 0 || off%8 != 0 || off >= length || length > MaxLen-MinHeaderLen {
		return Header{}, 0
	}
	fh = *h
	room := min(max(mtu, MinMTU), MaxLen) - MinHeaderLen
	n = length - off
	fh.MF = n > room
	if fh.MF {
		n = room &^ 7
	}
	fh.DF = false
	fh.HeaderLen = MinHeaderLen
	fh.FragOffset = uint16(off)
	fh.TotalLen = uint16(MinHeaderLen + n)
	return fh, n
}
