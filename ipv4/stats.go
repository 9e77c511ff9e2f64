package ipv4

// Stats counts the packets that Parse refused, each reason by itself.
type Stats struct {
	Short       uint64 `help:"packets dropped: shorter than the IPv4 header"`
	Version     uint64 `help:"packets dropped: version is not 4"`
	HeaderLen   uint64 `help:"packets dropped: header length less than 20 bytes or more than the packet"`
	TotalLen    uint64 `help:"packets dropped: total length less than the header or more than the packet"`
	Checksum    uint64 `help:"packets dropped: wrong header checksum"`
	Fragment    uint64 `help:"packets dropped: fragment with an impossible offset or length"`
	Options     uint64 `help:"packets dropped: malformed options"`
	SourceRoute uint64 `help:"packets dropped: source-routed"`
	Source      uint64 `help:"packets dropped: source address is not of a single host"`
	Destination uint64 `help:"packets dropped: destination is loopback, reserved or of network zero"`
	SameAddress uint64 `help:"packets dropped: source and destination address are the same"`
}

// Count adds one to the counter of an error that Parse returned. It ignores other errors, nil too.
func (s *Stats) Count(err error) {
	switch err {
	case ErrShort: //nolint:errorlint // compared as they are: this counts dropped packets, maybe millions a second
		s.Short++
	case ErrVersion:
		s.Version++
	case ErrHeaderLen:
		s.HeaderLen++
	case ErrTotalLen:
		s.TotalLen++
	case ErrChecksum:
		s.Checksum++
	case ErrFragment:
		s.Fragment++
	case ErrOptions:
		s.Options++
	case ErrSourceRoute:
		s.SourceRoute++
	case ErrSource:
		s.Source++
	case ErrDestination:
		s.Destination++
	case ErrSameAddress:
		s.SameAddress++
	}
}

// ICMPStats counts the ICMP messages that ParseICMP and ParseQuoted refused, each reason by itself.
type ICMPStats struct {
	Short    uint64 `help:"ICMP messages dropped: shorter than 8 bytes"`
	Checksum uint64 `help:"ICMP messages dropped: wrong checksum"`
	Quote    uint64 `help:"ICMP errors dropped: no whole quote of the packet that they are about"`
}

// Count adds one to the counter of an error that ParseICMP or ParseQuoted returned. It ignores other errors, nil too.
func (s *ICMPStats) Count(err error) {
	switch err {
	case ErrICMPShort: //nolint:errorlint // compared as they are: this counts dropped packets, maybe millions a second
		s.Short++
	case ErrICMPChecksum:
		s.Checksum++
	case ErrICMPQuote:
		s.Quote++
	}
}

// ReassemblyStats counts what became of fragments. Fragments and Repeated count fragments, the others datagrams.
type ReassemblyStats struct {
	Fragments   uint64 `help:"fragments received"`
	Reassembled uint64 `help:"datagrams put together from fragments"`
	Repeated    uint64 `help:"fragments ignored: the same one was there already"`
	Overlaps    uint64 `help:"incomplete datagrams dropped: fragments overlap or contradict each other"`
	TooLong     uint64 `help:"incomplete datagrams dropped: longer than a datagram may be"`
	TooMany     uint64 `help:"incomplete datagrams dropped: too many fragments"`
	ECN         uint64 `help:"incomplete datagrams dropped: congestion marks that do not fit together"`
	Timeouts    uint64 `help:"incomplete datagrams dropped: fragments missing after the timeout"`
	Evicted     uint64 `help:"incomplete datagrams dropped: made room for a new one"`
}

// ReporterStats counts the decisions about ICMP errors.
type ReporterStats struct {
	Sent       uint64 `help:"ICMP errors sent"`
	Suppressed uint64 `help:"ICMP errors not sent: RFC 1122 section 3.2.2 forbids them"`
	Limited    uint64 `help:"ICMP errors not sent: more than allowed in a second"`
}
