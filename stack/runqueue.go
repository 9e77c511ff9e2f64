package stack

// runQueue is the intrusive list of the connections that have something to do.
type runQueue struct {
	head, tail uint32 // connection numbers plus one; 0: none
	n          int
}

// schedule makes the connection run in this step or the next, unless it will anyway.
func (s *Shard) schedule(c *Conn) {
	if c.flags&(connInRun|connOpen) != connOpen || c == s.running {
		return
	}
	c.flags |= connInRun
	c.runNext = 0
	if s.runq.tail == 0 {
		s.runq.head = c.id + 1
	} else {
		s.conns.at(s.runq.tail - 1).runNext = c.id + 1
	}
	s.runq.tail = c.id + 1
	s.runq.n++
}

// nextRunnable takes the first connection off the run queue, or returns nil.
func (s *Shard) nextRunnable() *Conn {
	if s.runq.head == 0 {
		return nil
	}
	c := s.conns.at(s.runq.head - 1)
	s.runq.head = c.runNext
	if s.runq.head == 0 {
		s.runq.tail = 0
	}
	c.runNext = 0
	c.flags &^= connInRun
	s.runq.n--
	return c
}

// unschedule takes a connection that is being destroyed out of the run queue. That it is in there is rare: another connection's
// handler made it runnable.
func (s *Shard) unschedule(c *Conn) {
	var prev *Conn
	for id := s.runq.head; id != 0; {
		k := s.conns.at(id - 1)
		if k == c {
			if prev == nil {
				s.runq.head = c.runNext
			} else {
				prev.runNext = c.runNext
			}
			if s.runq.tail == c.id+1 {
				s.runq.tail = 0
				if prev != nil {
					s.runq.tail = prev.id + 1
				}
			}
			break
		}
		prev, id = k, k.runNext
	}
	c.runNext = 0
	c.flags &^= connInRun
	s.runq.n--
}
