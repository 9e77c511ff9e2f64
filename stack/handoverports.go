package stack

import (
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// While an old process has connections left, it and the one that has replaced it may both dial. They never choose the same port to the same
// host: each takes ports of a lane of its own, and the new one leaves out what the old one had dialed from before it kept to its lane.

// dialLanes is how many processes may dial at a time: a port's lane is what is left when it is divided by this.
const dialLanes = 4

// keepLane has the shards dial from their lane only.
func (s *Stack) keepLane() { s.lanes.Store(true) }

// leaveLane undoes keepLane, if no other process has anything to do with the interface.
func (s *Stack) leaveLane() {
	if s.predecessors.Load() > 0 || s.elsewhere.Load() {
		return
	}
	s.lanes.Store(false)
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) { sh.theirs = nil })
	}
}

// inLane reports whether a port may be chosen for connections that are dialed.
func (s *Stack) inLane(port uint16) bool {
	return !s.lanes.Load() || port%dialLanes == uint16(s.generation%dialLanes)
}

// dialedFlows lists the shard's flows that may have been dialed, in TIME-WAIT or not, and those of processes before. It is all of ephemeral
// ports that nobody listens on.
func (s *Shard) dialedFlows() (flows []byte) {
	if !s.dialed && len(s.theirs) == 0 {
		return nil // a server may have very many
	}
	see := func(f tcp.Flow) {
		if f.LocalPort < firstEphemeral || s.listenerAt(f.LocalAddr, f.LocalPort) != nil || len(flows) >= flowLen*maxDialed {
			return
		}
		var b [flowLen]byte
		putFlow(b[:], &f)
		flows = append(flows, b[:]...)
	}
	for id := range uint32(s.conns.size()) {
		if c := s.conns.at(id); c.is(connOpen) {
			see(c.tcp.Flow())
		}
	}
	for from := uint32(0); from != tcp.WalkEnd; {
		from = s.timeWait.Walk(from, 1<<12, func(f tcp.Flow, _ clock.Time) { see(f) })
	}
	for f := range s.theirs {
		see(f)
	}
	return flows
}

// maxDialed bounds the flows of a shard that are told.
const maxDialed = 1 << 20

// flowSet makes a set of flows that are one behind the other.
func flowSet(b []byte) map[tcp.Flow]struct{} {
	set := make(map[tcp.Flow]struct{}, len(b)/flowLen)
	for ; len(b) >= flowLen; b = b[flowLen:] {
		set[getFlow(b)] = struct{}{}
	}
	return set
}
