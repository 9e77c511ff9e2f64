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
	case ErrShort: //nolint:errorlint // compared as they are: this counts dropped packets, maybe millions a second
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

// NeighbourStats counts what a table of neighbours did.
type NeighbourStats struct {
	Requests          uint64 `help:"ARP requests sent, to everybody or to a neighbour to verify its address"`
	RequestsLimited   uint64 `help:"ARP requests to everybody not sent: more than allowed in a second"`
	RequestsDropped   uint64 `help:"ARP requests and announcements not sent: too many waiting to be sent"`
	Replies           uint64 `help:"ARP replies sent"`
	RepliesDropped    uint64 `help:"ARP replies not sent: too many waiting to be sent"`
	Announcements     uint64 `help:"ARP probes and announcements of own addresses sent"`
	Resolved          uint64 `help:"neighbours whose address was asked for and found"`
	Failed            uint64 `help:"neighbours given up: no answer to any request"`
	ProbesFailed      uint64 `help:"neighbours removed: no answer to the verification of their address"`
	Heard             uint64 `help:"neighbours learned because they asked for an own address"`
	LearnRefused      uint64 `help:"neighbours not learned: table full of entries in use"`
	ResolveRefused    uint64 `help:"frames not taken: no room for one more unresolved neighbour"`
	Changes           uint64 `help:"neighbours whose address changed"`
	ChangesRefused    uint64 `help:"changes of a neighbour's address ignored: too soon after the last"`
	Doubted           uint64 `help:"neighbours to be verified early because a connection over them has no answers"`
	Aged              uint64 `help:"neighbours removed: not used, or unreachable, for long enough"`
	KnownEvicted      uint64 `help:"neighbours evicted to make room for another"`
	UnresolvedEvicted uint64 `help:"unresolved neighbours evicted to make room for another"`
	PendingDropped    uint64 `help:"frames dropped while they waited for a neighbour's address"`
	OwnPackets        uint64 `help:"ARP packets ignored: sent by ourselves"`
	Conflicts         uint64 `help:"ARP packets of another host that claims an own IP address"`
	Defences          uint64 `help:"announcements sent to defend an own IP address"`
}
