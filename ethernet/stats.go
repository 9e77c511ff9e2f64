package ethernet

// Stats counts what became of received frames and ARP packets, each reason by itself.
type Stats struct {
	Short     uint64 `help:"frames dropped: shorter than the Ethernet header and its VLAN tags"`
	Length    uint64 `help:"frames dropped: IEEE 802.3 length in place of the type"`
	Tags      uint64 `help:"frames dropped: more than two VLAN tags"`
	Source    uint64 `help:"frames dropped: source is a group or zero address"`
	ARPShort  uint64 `help:"ARP packets dropped: shorter than 28 bytes"`
	ARPFormat uint64 `help:"ARP packets dropped: not about IPv4 over Ethernet"`
	ARPOp     uint64 `help:"ARP packets dropped: neither request nor reply"`
	ARPSender uint64 `help:"ARP packets dropped: sender address that no host can have"`
}

// Count adds one to the counter of an error that Parse or ParseARP returned. It ignores other errors, nil too.
func (s *Stats) Count(err error) {
	switch err {
	case ErrShort:
		s.Short++
	case ErrLength:
		s.Length++
	case ErrTags:
		s.Tags++
	case ErrSource:
		s.Source++
	case ErrARPShort:
		s.ARPShort++
	case ErrARPFormat:
		s.ARPFormat++
	case ErrARPOp:
		s.ARPOp++
	case ErrARPSender:
		s.ARPSender++
	}
}
