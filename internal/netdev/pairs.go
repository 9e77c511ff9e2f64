package netdev

// Pair is what serves the receive queue and the transmit queue of one number. Where the driver does not say, a NAPI has no ID.
type Pair struct {
	Receive  NAPI
	Transmit NAPI
}

// Shared reports whether one NAPI serves both: who polls the one runs the other's work too.
func (p *Pair) Shared() bool { return p.Receive.ID != 0 && p.Receive.ID == p.Transmit.ID }

// Pairs asks what serves the queues of an interface of the calling thread's network namespace. There is a pair for each receive
// queue: none while the interface is down.
func Pairs(ifindex int) ([]Pair, error) {
	c, err := Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Pairs(ifindex)
}

// Pairs asks what serves the queues of an interface.
func (c *Conn) Pairs(ifindex int) ([]Pair, error) {
	queues, err := c.Queues(ifindex)
	if err != nil {
		return nil, err
	}
	napis, err := c.NAPIs(ifindex)
	if err != nil {
		return nil, err
	}
	return pair(queues, napis), nil
}

func pair(queues []Queue, napis []NAPI) []Pair {
	known := make(map[uint32]NAPI)
	for _, n := range napis {
		known[n.ID] = n
	}
	find := func(t QueueType, id int) NAPI {
		n := NAPI{Ifindex: Unknown, IRQ: Unknown, PID: Unknown, NAPISettings: Unchanged()}
		for _, q := range queues {
			if q.Type != t || q.ID != id {
				continue
			}
			n.ID, n.Ifindex = q.NAPI, q.Ifindex
			if k, ok := known[q.NAPI]; ok {
				n = k
			}
		}
		return n
	}
	var all []Pair
	for _, q := range queues {
		if q.Type == Receive && q.ID == len(all) {
			all = append(all, Pair{find(Receive, q.ID), find(Transmit, q.ID)})
		}
	}
	return all
}
