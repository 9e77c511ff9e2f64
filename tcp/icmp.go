package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// ICMPKind is what an ICMP error, or the stack's own layers below, say about a segment that was sent.
type ICMPKind uint8

// The kinds.
const (
	ICMPHostUnreachable     ICMPKind = iota // type 3, codes 1 and 5 and the like; time exceeded
	ICMPNetUnreachable                      // type 3, code 0
	ICMPPortUnreachable                     // type 3, codes 2 and 3: nothing there speaks TCP on that port
	ICMPFragmentationNeeded                 // type 3, code 4: mtu says what the next hop takes
	ICMPNoNeighbour                         // not from the network: nobody answers ARP for the next hop
	ICMPParameterProblem                    // type 12: somebody does not like the header
)

// ICMP takes an ICMP error that quotes a segment of this connection with sequence number quoted. Only one that is about something
// outstanding counts (RFC 5927 section 4.1). No error ends a connection that is established (RFC 9293 section 3.9.2.2, RFC 5461).
func (c *Conn) ICMP(kind ICMPKind, mtu uint32, quoted Seq, now clock.Time) {
	st := &c.core.Stats
	if c.state == StateClosed || (kind != ICMPNoNeighbour && !quoted.InWindow(c.snd.una, c.outstanding())) {
		st.ICMPIgnored++
		return
	}
	opening := c.state == StateSynSent || c.state == StateSynReceived
	if kind != ICMPNoNeighbour {
		c.giveUpFastOpen(now)
	}
	switch kind {
	case ICMPFragmentationNeeded:
		c.pathMTU(mtu, now)
		return
	case ICMPPortUnreachable:
		c.soft = reasonRefused
		if opening {
			c.finish(reasonRefused)
			return
		}
	case ICMPNoNeighbour:
		c.soft = reasonHostUnreachable
		if opening {
			c.finish(reasonHostUnreachable)
			return
		}
	case ICMPHostUnreachable:
		c.soft = reasonHostUnreachable
	case ICMPNetUnreachable:
		c.soft = reasonNetUnreachable
	case ICMPParameterProblem:
		c.soft = reasonProtocol
	}
	c.events |= EventUnreachable
	st.ICMPSoft++
}
