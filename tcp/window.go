package tcp

// window returns the receive window that may be advertised now, in bytes from RCV.NXT. It is bound by the free part of the receive
// buffer and by the connection's share of what the receive rings can hold; it does not grow by less than a full segment or half
// the buffer (RFC 9293 section 3.8.6.2.2), and its right edge never retreats (section 3.8.6).
func (c *Conn) window() uint32 {
	r, k := &c.rcv, c.core
	promised := uint32(r.adv - r.nxt)
	used := uint32(r.nxt-r.read) + r.slack
	free := r.buffer - min(used, r.buffer)

	share := k.share
	floor := floorSegments * uint32(c.cfg.MSS)
	share = max(share, floor-min(used, floor))
	free = min(free, share)
	if free < promised+min(uint32(r.mss), r.buffer/2) {
		return promised
	}
	return free
}

// Promised returns how many bytes beyond what the application has consumed the peer was told it may send.
func (c *Conn) Promised() uint32 { return uint32(c.rcv.adv - c.rcv.read) }

// advertise returns the window field of a segment that is being sent, and notes what it promises.
func (c *Conn) advertise() uint16 {
	r := &c.rcv
	unit := uint32(1)<<r.scale - 1
	promised := uint32(r.adv - r.nxt)
	w := c.window()
	if w <= promised {
		w = promised + unit // A part of a unit counts as a whole, or the edge would retreat.
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
		r.epoch, r.epochFrom = k.epoch, r.nxt
		c.clear(flagBulk)
		return
	}
	if !c.is(flagBulk) && uint32(r.nxt-r.epochFrom) >= bulkSegments*uint32(r.mss) {
		c.set(flagBulk)
		k.receivers++
	}
}
