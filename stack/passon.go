package stack

import "github.com/xdpstack/xdpstack/frame"

// portShard returns the shard that dials from an ephemeral port.
func (s *Stack) portShard(port uint16) *Shard { return s.shards[int(port)%len(s.shards)] }

// passOn gives a segment for a connection of another shard to that shard, and reports whether it did. The interface chooses the queue
// that a packet arrives at, by a hash that the dialing side does not control, so the answers to a dialed connection may come to
// any. Accepted connections live on the shard that their packets come to, but may move: see directory.
func (s *Shard) passOn(g *segment) bool {
	owner := s
	if n := s.stack.directory.find(&g.flow); n >= 0 {
		owner = s.stack.shards[n]
	} else if g.flow.LocalPort >= firstEphemeral && s.ports[g.flow.LocalPort] == nil {
		owner = s.stack.portShard(g.flow.LocalPort)
	}
	if owner == s {
		return false
	}
	s.handOn(g, owner)
	return true
}

// handOn gives a segment to another shard.
func (s *Shard) handOn(g *segment, owner *Shard) {
	b := append([]byte(nil), s.pool.Data(g.frame)...)
	flow, flags := g.flow, s.pool.Meta(g.frame).Flags
	s.pool.Release(g.frame)
	s.stats.PassedOn++
	takeOver := func(s *Shard) { s.takeOver(segment{flow: flow, hash: flow.Hash(s.hashKey[0], s.hashKey[1])}, b, flags) }
	if !owner.mailbox.Push(command{op: opCall, call: takeOver}) {
		s.stats.Drop.PassOn++
	} else if owner.sleeping.Load() {
		owner.dev.Wake()
	}
}

// takeOver puts a segment that another shard received, with the flags of its frame, into a batch of its own.
func (s *Shard) takeOver(g segment, b []byte, flags uint16) {
	if g.frame = s.pool.Alloc(); g.frame == frame.None {
		s.stats.Drop.NoFrame++
		return
	}
	m := s.pool.Meta(g.frame)
	m.Off, m.Len, m.Flags = headroom, uint32(len(b)), flags
	copy(s.pool.Data(g.frame), b)
	s.segments = append(s.segments[:0], g)
	s.dispatch()
}
