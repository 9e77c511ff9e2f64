package stack

import (
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// hopRetry is how long a connection waits before it asks again, when the neighbour table had no room for its question.
const hopRetry = 100 * time.Millisecond

// nextHop returns where the connection's packets go first. That there is a route was found out before it was opened, but in shared-address
// mode the kernel may have lost it since, or the connection's address.
func (c *Conn) nextHop() (hop ipv4.Addr, ok bool) {
	s, f := c.shard, c.tcp.Flow()
	if s.paths != nil && !s.owns(f.LocalAddr) {
		return hop, false
	}
	return s.route(f.LocalAddr, f.RemoteAddr)
}

// resolve makes sure that the connection has the next hop's hardware address. Where that is not known yet, the connection is
// parked until it is: nothing is pulled from it meanwhile, so nothing is lost.
func (s *Shard) resolve(c *Conn) bool {
	if c.is(connLinked) && c.hopGen == s.neigh.Generation() {
		return true
	}
	hop, ok := c.nextHop()
	if !ok {
		c.flags &^= connLinked
		s.park(c) // until there is a way again
		return false
	}
	hw, ok := s.neigh.Lookup(hop, s.now)
	if ok {
		if s.paths != nil {
			s.limitPath(c)
		}
		c.hop, c.hopGen = hw, s.neigh.Generation()
		c.flags |= connLinked
		return true
	}
	c.flags &^= connLinked
	switch s.neigh.Resolve(hop, frame.Desc{Frame: frame.None}, s.now) {
	case ethernet.Queued:
		s.park(c)
	case ethernet.Unreachable:
		s.hopFailed(c)
	default:
		c.flags |= connHopRetry
	}
	return false
}

// park has a connection wait until the neighbour table has changed.
func (s *Shard) park(c *Conn) {
	if !c.is(connParked) {
		c.flags |= connParked
		s.parked = append(s.parked, c.id)
	}
}

// timer returns when the connection needs a turn if nothing arrives.
func (c *Conn) timer() clock.Time {
	d := c.tcp.Deadline()
	if c.is(connHopRetry) {
		c.flags &^= connHopRetry
		d = min(d, c.shard.now.Add(hopRetry))
	}
	return d
}

// hopFailed tells a connection that its next hop does not answer, as a router would with an ICMP error.
func (s *Shard) hopFailed(c *Conn) {
	c.tcp.ICMP(tcp.ICMPNoNeighbour, 0, 0, s.now)
	c.flags |= connHopRetry
}

// neighbours runs the neighbour table: its timers, and what waited for an address.
func (s *Shard) neighbours() {
	if !s.neigh.Deadline().After(s.now) {
		s.neigh.Expire(s.now)
	}
	var d frame.Desc
	var hw ethernet.Addr
	for s.neigh.NextReady(&d, &hw) {
		copy(s.pool.Bytes(d), hw[:])
		s.queueTX(d)
	}
	var ip [4]byte
	for s.neigh.NextUnreachable(&ip) {
		s.unpark(ip, true)
	}
	if g, r := s.neigh.Generation(), s.neigh.Stats.Resolved; g != s.neighGen || r != s.neighResolved {
		s.neighGen, s.neighResolved = g, r
		s.unpark(ipv4.Addr{}, false)
	}
}

// arpOutput sends the ARP packets that the neighbour table wants sent.
func (s *Shard) arpOutput() {
	var a ethernet.ARP
	for s.neigh.NextOutput(&a) {
		if d := s.stack.shared; d != nil { // The kernel asks, and answers.
			d.follower.Ask(a.TargetIP)
			continue
		}
		d, b := s.newPacket(ethernet.ARPLen)
		if b == nil {
			return
		}
		a.Marshal(b)
		s.sendLink(d, a.Destination(), ethernet.TypeARP)
	}
}

// unpark lets the parked connections try again: all of them, or, failed, those whose next hop does not answer.
func (s *Shard) unpark(hop ipv4.Addr, failed bool) {
	kept := s.parked[:0]
	for _, id := range s.parked {
		c := s.conns.at(id)
		if c.flags&(connOpen|connParked) != connOpen|connParked {
			continue
		}
		if failed {
			if next, ok := c.nextHop(); !ok || next != hop {
				kept = append(kept, id)
				continue
			}
		}
		c.flags &^= connParked
		if failed {
			s.hopFailed(c)
		}
		s.schedule(c)
	}
	s.parked = kept
}

// arpInput takes in an ARP packet, for this shard and, as it may have come to any queue, for the others.
func (s *Shard) arpInput(b []byte) {
	a, err := ethernet.ParseARP(b)
	if err != nil {
		s.stats.Ethernet.Count(err)
		return
	}
	s.neigh.Input(&a, s.now)
	if s.before != nil && a.Op != ethernet.ARPRequest {
		s.relayARP(b)
	}
	if len(s.stack.shards) == 1 || a.Op == ethernet.ARPRequest && !s.owns(a.TargetIP) && !a.IsAnnouncement() {
		return
	}
	for _, other := range s.stack.shards {
		if other != s && !other.offerARP(a) {
			s.stats.Drop.ARPShared++
		}
	}
}

// offerARP lets another shard learn from an ARP packet that this one received. Nothing waits for it: ARP asks again.
func (s *Shard) offerARP(a ethernet.ARP) bool {
	ok := s.mailbox.Push(command{call: func(s *Shard) {
		s.neigh.Observe(&a, s.now)
	}})
	if ok && s.sleeping.Load() {
		s.bell.Wake()
	}
	return ok
}
