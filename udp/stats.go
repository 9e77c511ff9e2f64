package udp

// Stats counts the datagrams that Parse and Verify refused, each reason by itself.
type Stats struct {
	Short    uint64 `help:"datagrams dropped: shorter than the UDP header"`
	Length   uint64 `help:"datagrams dropped: length field less than 8 or more than the datagram"`
	Port     uint64 `help:"datagrams dropped: destination port zero"`
	Checksum uint64 `help:"datagrams dropped: wrong UDP checksum"`
}

// Count adds one to the counter of an error that Parse or Verify returned. It ignores other errors, nil too.
func (s *Stats) Count(err error) {
	switch err {
	case ErrShort: //nolint:errorlint // compared as they are: this counts dropped packets, maybe millions a second
		s.Short++
	case ErrLength:
		s.Length++
	case ErrPort:
		s.Port++
	case ErrChecksum:
		s.Checksum++
	}
}
