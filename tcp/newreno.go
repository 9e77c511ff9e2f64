package tcp

// newReno is what RFC 5681's and 6582's congestion control needs beyond the windows.
type newReno struct {
	acked uint32 // bytes acknowledged since congestion avoidance last grew the window
}

// renoAck grows the window: by what was acknowledged in slow start, by one segment for each window acknowledged after it (RFC 5681
// section 3.1). Bytes are counted, not ACKs (RFC 3465): one ACK stands for many segments when either side merges them, and a
// receiver that divides its ACKs gains nothing.
func (c *Congestion) renoAck(a *Ack) {
	if a.InRecovery || !c.windowUsed() {
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
	c.reno.acked += acked
	if c.reno.acked >= c.cwnd {
		c.reno.acked -= c.cwnd
		c.cwnd += c.mss
	}
	c.cwnd = min(c.cwnd, maxCwnd)
}

// renoLoss halves the window (RFC 5681 section 3.2, RFC 6675 section 5).
func (c *Congestion) renoLoss(l *Loss) {
	c.ssthresh = max(l.InFlight/2, 2*c.mss)
	c.cwnd = c.ssthresh
	c.reno.acked = 0
}

// renoRTO begins again with the loss window of one segment; the threshold is halved once, not by each timeout of the same segment
// (RFC 5681 section 3.1).
func (c *Congestion) renoRTO(l *Loss, again bool) {
	if !again {
		c.ssthresh = max(l.InFlight/2, 2*c.mss)
	}
	c.cwnd = c.mss
	c.reno.acked = 0
}
