package tcp

// window returns the receive window that may be advertised now, in bytes from RCV.NXT. It is bound by the free part of the receive
// buffer and by the connection's share of what the receive rings can hold; it does not grow by less than a full segment or half
// the buffer (RFC 9293 section 3.8.6.2.2), and its right edge never retreats (section 3.8.6).
func (c *Conn) window() uint32 {
	r := &c.rcv
	promised := uint32(r.adv - r.nxt)
	free, used := r.free()
	share := c.core.share
	floor := min(floorSegments*uint32(c.cfg.MSS), floorBytes)
	share = max(share, floor-min(used, floor))
	free = min(free, share)
	if free < promised+min(uint32(r.mss), r.buffer/2) {
		return promised
	}
	return free
}

// free returns how many bytes the receive buffer has room for, and how many it holds: of memory, and not only of payload.
func (r *receiver) free() (free, used uint32) {
	used = uint32(r.nxt-r.read) + r.slack
	return r.buffer - min(used, r.buffer), used
}

// Promised returns how many bytes beyond what the application has consumed the peer was told it may send.
func (c *Conn) Promised() uint32 { return uint32(c.rcv.adv - c.rcv.read) }

// advertise returns the window field of a segment that is being sent, and notes what it promises. A part of a unit counts as a whole one,
// or the edge would retreat, but only while the buffer has room for that: with each ACK the edge would move by a part of a unit, and a
// buffer that nobody reads would never be full. When it is full the edge that the peer sees retreats by less than a unit (RFC
// 7323 section 2.4); what was promised before is still taken.
func (c *Conn) advertise() uint16 {
	r := &c.rcv
	promised := uint32(r.adv - r.nxt)
	if c.state == StateSynReceived {
		return uint16(promised >> r.scale) // No more than the SYN-ACK, which may have to come again and has no room for more.
	}
	w := c.window()
	if w <= promised {
		w = promised
		unit := uint32(1)<<r.scale - 1
		if free, _ := r.free(); (promised+unit)&^unit <= free {
			w = promised + unit
		}
	}
	w = min(w>>r.scale, 1<<16-1)
	if w == 0 {
		c.core.Stats.ZeroWindows++
	}
	if edge := r.nxt.Add(w << r.scale); edge.Greater(r.adv) {
		r.adv = edge
	}
	return uint16(w)
}

// advertiseUnscaled returns the window field of a SYN.
func (c *Conn) advertiseUnscaled() uint16 {
	r := &c.rcv
	w := max(min(c.window(), 1<<16-1), uint32(r.adv-r.nxt))
	r.adv = r.nxt.Add(w)
	return uint16(w)
}

// countBulk counts the connection among those that share the receive budget, once it received enough in this epoch.
func (c *Conn) countBulk() {
	r, k := &c.rcv, c.core
	if r.epoch != k.epoch {
		if uint32(r.nxt-r.irs) < uint32(r.epochFrom-r.irs) {
			c.count.recvWraps++
		}
		r.epoch, r.epochFrom = k.epoch, r.nxt
		c.clear(flagBulk)
		return
	}
	if !c.is(flagBulk) && uint32(r.nxt-r.epochFrom) >= bulkSegments*uint32(r.mss) {
		c.set(flagBulk)
		k.receivers++
	}
}
