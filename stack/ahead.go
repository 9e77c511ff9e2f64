package stack

import (
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/prefetch"
	"github.com/xdpstack/xdpstack/tcp"
)

// aheadConns is from how many connections on the memory of those that a batch is about is asked for ahead. Fewer fit into the cache.
const aheadConns = 512

// stateLines is how many cache lines of a state are asked for: those that a segment with data in order needs, wherever the first begins.
const stateLines = int(unsafe.Offsetof(state{}.tcp)+tcp.RecvSize+2*prefetch.LineSize-2) / prefetch.LineSize

// ahead are the addresses that are asked for together.
type ahead struct {
	states []uintptr
	others []uintptr // of which one line is wanted
}

func (a *ahead) init(n int) {
	a.states, a.others = make([]uintptr, 0, n), make([]uintptr, 0, 2*n)
}

// fetchSegments asks for the memory that the segments of the batch will need: first the entries of the table, then, by what these say,
// the connections. What is asked for wrongly, because two flows have the same hash, does no harm.
func (s *Shard) fetchSegments() {
	a := &s.ahead
	a.others = a.others[:0]
	for i := range s.segments {
		a.others = append(a.others, s.flows.address(s.segments[i].hash))
	}
	prefetch.Lines(a.others, 1)
	a.states, a.others = a.states[:0], a.others[:0]
	for i := range s.segments {
		if id, ok := s.flows.guess(s.segments[i].hash); ok {
			s.fetch(id)
		}
	}
	s.fetched()
}

// fetchDue asks for the memory of connections whose timers are due.
func (s *Shard) fetchDue(ids []uint32) {
	a := &s.ahead
	a.states, a.others = a.states[:0], a.others[:0]
	for _, id := range ids {
		s.fetch(id)
	}
	s.fetched()
}

// fetch adds what connection id consists of.
func (s *Shard) fetch(id uint32) {
	a := &s.ahead
	a.states = append(a.states, uintptr(unsafe.Pointer(s.conns.states.At(id))))
	a.others = append(a.others, uintptr(unsafe.Pointer(s.conns.at(id))), s.wheel.Address(id))
}

func (s *Shard) fetched() {
	prefetch.Lines(s.ahead.others, 1)
	prefetch.Lines(s.ahead.states, stateLines)
}

// address returns where the entry of a hash is looked for first.
func (a *flowArray) address(hash uint32) uintptr {
	return uintptr(unsafe.Pointer(&a.entries[a.home(hash)]))
}

// guess returns the first connection with the hash, if there is one.
func (t *flowTable) guess(hash uint32) (id uint32, ok bool) {
	if id, ok = t.flowArray.guess(hash); !ok && len(t.old.entries) != 0 {
		id, ok = t.old.guess(hash)
	}
	return id, ok
}

func (a *flowArray) guess(hash uint32) (id uint32, ok bool) {
	for i := a.home(hash); a.entries[i].id != 0; i = a.next(i) {
		if e := &a.entries[i]; e.hash == hash && e.id != flowMoved {
			return e.id - 1, true
		}
	}
	return 0, false
}
