package stack

import "github.com/xdpstack/xdpstack/internal/slab"

// connBlock is how many Conns are made at a time.
const connBlock = 256

// connSlab holds the connections: none ever moves, and a closed one's memory is used again. What the garbage collector has to scan is
// apart from the rest.
type connSlab struct {
	conns  []*[connBlock]Conn
	states slab.Memory[state]
	free   uint32 // the first connection that is not in use, plus one, linked by runNext
	n      int    // in use
}

// at returns connection id.
func (s *connSlab) at(id uint32) *Conn { return &s.conns[id/connBlock][id%connBlock] }

// size returns how many connections there are, in use or not.
func (s *connSlab) size() int { return len(s.conns) * connBlock }

// alloc returns a connection that is not in use.
func (s *connSlab) alloc() *Conn {
	if s.free == 0 {
		s.grow()
	}
	c := s.at(s.free - 1)
	s.free = c.runNext
	s.n++
	return c
}

// grow makes a block of connections.
func (s *connSlab) grow() {
	base := uint32(s.size())
	for int(base)+connBlock > s.states.Len() {
		s.states.Grow()
	}
	block := new([connBlock]Conn)
	s.conns = append(s.conns, block)
	for i := uint32(connBlock); i > 0; i-- {
		c := &block[i-1]
		c.id, c.state = base+i-1, s.states.At(base+i-1)
		c.runNext, s.free = s.free, c.id+1
	}
}

func (s *connSlab) release(c *Conn) {
	c.runNext, s.free = s.free, c.id+1
	s.n--
}
