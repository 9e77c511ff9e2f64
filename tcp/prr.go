package tcp

// prr spreads what is sent during a fast recovery over the ACKs that come in it (Proportional Rate Reduction, RFC 6937, with the
// reduction bound of its revision): so that a sender neither falls silent until half a window has left the network nor sends a
// burst when many losses are found at once, and ends with the window that the congestion control wants. Bytes, since the recovery
// began; what was in flight then is in rare.flight (RecoverFS).
type prr struct {
	delivered uint32 // known to have arrived
	out       uint32 // sent, new or again
	window    uint32 // how many bytes may be in flight now
}

// sendWindow returns how many bytes may be in flight now. Without SACK it is not known what arrives, and RFC 6582 has its own rule.
func (c *Conn) sendWindow() uint32 {
	if c.snd.recovery == recoveryFast && c.is(flagSACK) && !c.cc.Algorithm().ownsRecovery() {
		return c.rare().prr.window
	}
	return c.cc.Window()
}

// unarrived returns how many of the bytes that are outstanding are not known to have arrived.
func (c *Conn) unarrived() uint32 { return c.outstanding() - c.snd.sacked }

// proportion sets the window after so many more bytes arrived. progress says that SND.UNA advanced and no further loss was found:
// then as much more as one segment may be sent, to catch up in a slow start (PRR-SSRB), and otherwise only what arrived (PRR-CRB).
func (c *Conn) proportion(arrived uint32, progress bool) {
	d, x := &c.snd, c.needRare()
	r, target, flight := &x.prr, c.cc.Window(), c.inFlight()
	r.delivered += arrived
	var send uint32
	if flight > target {
		share := (uint64(r.delivered)*uint64(target) + uint64(x.flight) - 1) / uint64(max(x.flight, 1))
		send = uint32(share - min(share, uint64(r.out)))
	} else {
		send = max(r.delivered-min(r.delivered, r.out), arrived)
		if progress {
			send += uint32(d.mss)
		}
		send = min(send, target-flight)
	}
	if r.out == 0 {
		send = max(send, uint32(d.mss)) // the fast retransmit
	}
	r.window = flight + send
}
