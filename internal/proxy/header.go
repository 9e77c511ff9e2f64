package proxy

import (
	"encoding/binary"
	"net/netip"
)

// headerLen is the length of a PROXY protocol header, version 2, for TCP over IPv4.
const headerLen = 28

// signature is what each header of version 2 begins with.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// putHeader writes the header that says who the client is and whom it has connected to (section 2.2 of the protocol's specification).
func putHeader(b *[headerLen]byte, client, server netip.AddrPort) {
	copy(b[:], signature)
	b[12] = 2<<4 | 1     // version 2, PROXY
	b[13] = 1<<4 | 1     // AF_INET, STREAM
	b[14], b[15] = 0, 12 // the length of what follows
	from, to := client.Addr().As4(), server.Addr().As4()
	copy(b[16:], from[:])
	copy(b[20:], to[:])
	binary.BigEndian.PutUint16(b[24:], client.Port())
	binary.BigEndian.PutUint16(b[26:], server.Port())
}
