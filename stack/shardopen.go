package stack

import "net/netip"

// Open is Connect for who opens very many connections, and some in vain: it returns the connection, which may be aborted before it is
// established, and its errors are the package's own values, without a net.OpError around them. It may be called only on the shard.
// Dialer.OpenOn chooses the local address too.
func (s *Shard) Open(remote netip.AddrPort, h Handler) (*Conn, error) {
	if err := checkRemote(remote); err != nil {
		return nil, err
	}
	return s.connect(remote, h, nil, s.stack.first())
}
