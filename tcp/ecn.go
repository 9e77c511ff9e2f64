package tcp

// The ECN field of the IP header, the lower two bits of what was the type of service (RFC 3168 section 5). 0 is "not ECN-capable".
const (
	ECNMask uint8 = 3
	ECT1    uint8 = 1 // ECN-capable, of other meaning than ECT0 for experiments only (RFC 8311 section 5.1)
	ECT0    uint8 = 2 // ECN-capable: a router may set CE instead of dropping the packet
	CE      uint8 = 3 // congestion experienced
)

// MetaCE in the flags of a received frame's record says that its packet came with CE. Whoever takes segments from a device sets it
// before Enqueue, because the IP header is no longer in the frame's range then.
const MetaCE = 1 << 15
