package tcp

// dctcp is what DCTCP (RFC 8257) needs beyond the windows. The receiver says exactly which data was marked, and the sender estimates how
// much of it is, window by window; a mark reduces the window by half of that share, so a queue that is only a little too long costs only a
// little. It is for networks whose routers mark at a short queue, and whose hosts all use it.
type dctcp struct {
	lossBased
	alpha  uint32 // DCTCP.Alpha: the share of the bytes that is marked, of dctcpOne
	end    Seq    // DCTCP.WindowEnd: when more than this is acknowledged, alpha is updated
	bytes  uint32 // DCTCP.BytesAcked in the present window
	marked uint32 // DCTCP.BytesMarked
	open   bool   // end is set
}

const (
	dctcpOne  = 1 << 20 // alpha when everything is marked; fine enough for alpha to come close to 0 (section 4.2)
	dctcpGain = 4       // g, the weight of a window, as a shift: 1/16 (section 4.2)
)

// dctcpBegin takes the worst for granted until something is known (section 3.3): the first mark halves the window.
func (c *Congestion) dctcpBegin() { c.dctcp().alpha = dctcpOne }

// dctcpAck counts what is marked, and grows the window as NewReno does.
func (c *Congestion) dctcpAck(a *Ack) {
	u := c.dctcp()
	if !u.open {
		u.end, u.open = a.Nxt, true
	}
	u.bytes += a.Acked
	if a.Marked {
		u.marked += a.Acked
	}
	if a.Una.Greater(u.end) {
		u.alpha -= u.alpha >> dctcpGain
		u.alpha += uint32(uint64(u.marked)*dctcpOne/uint64(max(u.bytes, 1))) >> dctcpGain
		u.end, u.bytes, u.marked = a.Nxt, 0, 0
	}
	c.renoAck(a)
}

// dctcpECE reduces the window by alpha/2 (section 3.3), but not to less than two segments.
func (c *Congestion) dctcpECE() {
	cut := uint64(c.cwnd) * uint64(c.dctcp().alpha) / (2 * dctcpOne)
	c.cwnd = max(c.cwnd-uint32(cut), 2*c.mss)
	c.ssthresh = c.cwnd
	c.lossBased().acked = 0
}
