package stack

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ring"
	"github.com/xdpstack/xdpstack/tcp"
)

// passOn gives a segment for a connection of another shard to that shard, and reports whether it did. The interface chooses the queue
// that a packet arrives at. Where it does not tell how, the answers to a dialed connection may come to any: see homes. Accepted
// connections live on the shard that their packets come to, but may move: see directory.
func (s *Shard) passOn(g *segment) bool {
	owner := s
	if n := s.stack.directory.find(&g.flow); n >= 0 {
		owner = s.stack.shards[n]
	} else if f := &g.flow; (f.LocalPort >= firstEphemeral || s.stack.dialsLow.Load()) && s.listenerAt(f.LocalAddr, f.LocalPort) == nil {
		if owner = s.stack.homes.owner(&g.flow); owner != s {
			s.stack.homes.astray(s, &g.flow)
		}
	}
	if owner == s {
		return false
	}
	s.handOn(g, owner)
	return true
}

// passing is a shard's part in giving segments to other shards. Between each two there is a queue of bytes in each direction, made when
// the first segment goes that way. What is put into them during a batch is published at its end, and the receiver woken once.
type passing struct {
	out   []*ring.Records                // to each shard; nil: nothing went there yet
	in    []atomic.Pointer[ring.Records] // from each shard
	to    []*Shard                       // those with something that is not published
	isFor []bool                         // whether each shard is in to
}

func (p *passing) init(s *Shard, shards int) error {
	if shards == 1 {
		return nil
	}
	if s.cfg.PassRing < 2*(s.mtu+passedHeader) {
		return fmt.Errorf("%w: PassRing of %d bytes is too small for packets of %d: give it four times as much", ErrConfig,
			s.cfg.PassRing, s.mtu)
	}
	p.out = make([]*ring.Records, shards)
	p.in = make([]atomic.Pointer[ring.Records], shards)
	p.to = make([]*Shard, 0, shards)
	p.isFor = make([]bool, shards)
	return nil
}

// passedHeader is the length of what goes before a segment's bytes: its flow and the flags of its frame.
const passedHeader = 16

// handOn gives a copy of a segment to another shard, and its frame back.
func (s *Shard) handOn(g *segment, owner *Shard) {
	b := s.queueTo(owner).Append(passedHeader + s.packetLen(g.frame))
	if b == nil {
		s.drop(g.frame, &s.stats.Drop.PassOn)
		return
	}
	s.putSegment(b, g)
	s.drop(g.frame, &s.stats.PassedOn)
	if !s.pass.isFor[owner.id] {
		s.pass.isFor[owner.id] = true
		s.pass.to = append(s.pass.to, owner)
	}
}

// putSegment writes what another shard is to know of a segment.
func (s *Shard) putSegment(b []byte, g *segment) {
	putFlow(b, &g.flow)
	binary.NativeEndian.PutUint16(b[12:], s.pool.Meta(g.frame).Flags&^tcp.MetaMore)
	s.appendPacket(b[:passedHeader], g.frame)
}

// queueTo returns the queue to another shard.
func (s *Shard) queueTo(owner *Shard) *ring.Records {
	q := s.pass.out[owner.id]
	if q == nil {
		q, _ = ring.NewRecords(s.cfg.PassRing) // the size was checked with the configuration
		s.pass.out[owner.id] = q
		owner.pass.in[s.id].Store(q)
	}
	return q
}

// publishPassed lets the other shards have what the batch held for them.
func (s *Shard) publishPassed() {
	for _, owner := range s.pass.to {
		s.pass.isFor[owner.id] = false
		s.pass.out[owner.id].Publish()
		// The flag stays up while the owner is behind, and its line in both caches.
		if !owner.passed.Load() {
			owner.passed.Store(true)
		}
		owner.wake()
	}
	s.pass.to = s.pass.to[:0]
}

// takePassed takes segments that other shards received for connections of this one, up to a batch from each, and reports whether there
// were any.
func (s *Shard) takePassed() bool {
	if !s.passed.Load() {
		return false
	}
	s.passed.Store(false) // before the look: what is published from now on raises it again
	worked := s.takeRelayed()
	for i := range s.pass.in {
		q := s.pass.in[i].Load()
		if q == nil {
			continue
		}
		s.segments = s.segments[:0]
		n := 0
		for ; n < s.cfg.BatchSize; n++ {
			b := q.Next()
			if b == nil {
				break
			}
			s.takeOver(b)
		}
		if n == 0 {
			continue
		}
		q.Release()
		s.stats.TakenOver += uint64(n)
		s.dispatch()
		worked = true
		if n == s.cfg.BatchSize {
			s.passed.Store(true)
		}
	}
	return worked
}

// takeOver puts a segment that another shard received, with the flags of its frame, into the batch.
func (s *Shard) takeOver(b []byte) {
	data := b[passedHeader:]
	f := s.allocPacket(data)
	if f == frame.None {
		s.stats.Drop.PassOn++
		return
	}
	s.pool.Meta(f).Flags |= binary.NativeEndian.Uint16(b[12:]) &^ tcp.MetaMore
	flow := getFlow(b)
	s.segments = append(s.segments, segment{frame: f, hash: s.hash(&flow), flow: flow})
}
