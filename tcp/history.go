package tcp

// history is what a connection that has seen losses or reordering remembers of them for the rest of its life. Most connections see
// none, so the Core keeps it, as it does rare.
type history struct {
	resentBytes uint64
	resent      uint32 // segments sent again, SYN and FIN included
	outOfOrder  uint32 // segments that came out of order
	timeouts    uint16
	dsacks      uint16
	learnt      learnt
}

// begin makes the history one in which nothing has happened.
func (h *history) begin() { *h = history{learnt: learnt{mult: 1}} }

// history returns the connection's history to be read.
func (c *Conn) history() *history { return c.core.histories.at(c.historyAt) }

// needHistory returns the connection's history to be written.
func (c *Conn) needHistory() *history {
	if c.historyAt == 0 {
		c.historyAt = c.core.histories.alloc()
		c.history().begin()
	}
	return c.history()
}

// dropHistory gives the history back.
func (c *Conn) dropHistory() {
	if c.historyAt != 0 {
		c.core.histories.release(c.historyAt)
		c.historyAt = 0
	}
}

// countDSACK counts a report of the peer's that something arrived twice.
func (h *history) countDSACK() {
	if h.dsacks < 1<<16-1 {
		h.dsacks++
	}
}

// countTimeout counts an expiry of the retransmission timer.
func (h *history) countTimeout() {
	if h.timeouts < 1<<16-1 {
		h.timeouts++
	}
}

// initCongestion begins the congestion control, with an initial window of so many segments.
func (c *Conn) initCongestion(segments uint32) {
	c.needModel()
	c.cc.Init(c.cfg.algorithm, uint32(c.snd.mss), segments)
}

// needModel gives the congestion control the memory that it needs besides its own. The Core keeps it.
func (c *Conn) needModel() {
	if c.cfg.algorithm == BBR && c.cc.model == nil {
		i := c.core.models.alloc()
		c.cc.model = c.core.models.at(i)
		c.cc.model.at = i
	}
}

// dropModel gives that memory back.
func (c *Conn) dropModel() {
	if c.cc.model != nil {
		c.core.models.release(c.cc.model.at)
		c.cc.model = nil
	}
}
