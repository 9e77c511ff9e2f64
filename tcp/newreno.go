package tcp

// renoAck grows the window: by what was acknowledged in slow start, by one segment for each window acknowledged after it (RFC 5681
// section 3.1). Bytes are counted, not ACKs (RFC 3465): one ACK stands for many segments when either side merges them, and a
// receiver that divides its ACKs gains nothing. Of the window only whole segments count, because no more is ever in flight: else
// one of 6.5 segments would take two round trips to grow.
func (c *Congestion) renoAck(a *Ack) {
	if a.InRecovery || a.Marked || !c.windowUsed() {
		return
	}
	acked := a.Acked
	if c.cwnd < c.ssthresh {
		n := min(acked, c.ssthresh-c.cwnd)
		c.cwnd += n
		if acked -= n; acked == 0 {
			return
		}
	}
	b := c.lossBased()
	b.acked += acked
	if whole := c.cwnd - c.cwnd%c.mss; b.acked >= whole {
		b.acked -= whole
		c.cwnd += c.mss
	}
	c.cwnd = min(c.cwnd, maxCwnd)
}

// renoLoss halves the window (RFC 5681 section 3.2, RFC 6675 section 5).
func (c *Congestion) renoLoss(l *Loss) {
	c.ssthresh = max(c.flightSize(l)/2, 2*c.mss)
	c.cwnd = c.ssthresh
	c.lossBased().acked = 0
}
