package wheel

import (
	"math/bits"
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/slab"
)

const (
	tickShift = 20 // log2 of a tick in nanoseconds
	slotBits  = 8
	slots     = 1 << slotBits
	levels    = 6 // 6*8 bits of ticks: more than the 43 that a clock.Time has
	noTick    = 1<<64 - 1
	never     = 1<<48 - 1 // the tick of no time: that of clock.Never is far below
)

// Tick is the resolution of a wheel.
const Tick clock.Time = 1 << tickShift

// node is the deadline of one id. Ids in links are one too high, so that the zero node is a valid one that is in no list.
type node struct {
	when uint64 // the first tick at which it is due, or never if it is disarmed but still in a slot; and below that, in 16 bits, the slot
	next uint32 // neighbours in the slot's list, 0 at its ends
	prev uint32
}

// NodeSize is what an id takes, in bytes.
const NodeSize = uint64(unsafe.Sizeof(node{}))

// at returns the first tick at which the node is due.
func (n *node) at() uint64 { return n.when >> 16 }

// slot returns the slot's number plus one, 0 for a node that is in no slot.
func (n *node) slot() uint32 { return uint32(n.when & 0xffff) }

func (n *node) setAt(tick uint64)   { n.when = tick<<16 | n.when&0xffff }
func (n *node) setSlot(slot uint32) { n.when = n.when&^0xffff | uint64(slot) }

// level is one ring of slots.
type level struct {
	used [slots / 64]uint64 // a bit for each slot that is not empty
	head [slots]uint32      // the first node of each slot, plus one
}

// Wheel is a set of deadlines. See the package documentation.
type Wheel struct {
	now   uint64 // the present, in ticks; everything in a slot lies at or after it
	next  uint64 // nothing has to be done before this tick; noTick if the wheel is empty
	nodes slab.Memory[node]
	ring  [levels]level
}

// New makes a wheel for the ids 0 to size-1 at least, none of which has a deadline. An id takes 16 bytes, and the system gives memory
// to those that are used, so a generous size costs little.
func New(size int, now clock.Time) *Wheel {
	w := &Wheel{now: uint64(max(now, 0)) >> tickShift, next: noTick}
	w.Grow(size)
	return w
}

// Size returns the number of ids.
func (w *Wheel) Size() int { return w.nodes.Len() }

// Grow makes room for the ids up to size-1 at least. Nothing is moved for it.
func (w *Wheel) Grow(size int) {
	for size > w.nodes.Len() {
		w.nodes.Grow()
	}
}

// Set makes at the deadline of id, in place of the one that it had. A deadline that has passed already is due at the next tick.
// With clock.Never the id has none; the node then stays in its slot until that is reached, which makes Set to and from Never the
// cheap way to stop and start a timer that is used often.
func (w *Wheel) Set(id uint32, at clock.Time) {
	n := w.nodes.At(id)
	if at == clock.Never {
		n.setAt(never)
		return
	}
	tick := ticks(at)
	n.setAt(tick)
	tick = max(tick, w.now+1)
	if slot := n.slot(); slot != 0 {
		if tick >= w.start(slot-1) {
			return // its slot is reached in time, and it will move on from there if that is too early
		}
		w.unlink(id)
	}
	w.insert(id, tick)
}

// Address returns where the deadline of id is, for who wants to have it in the cache.
func (w *Wheel) Address(id uint32) uintptr { return uintptr(unsafe.Pointer(w.nodes.At(id))) }

// Cancel takes the deadline of id away.
func (w *Wheel) Cancel(id uint32) {
	if w.nodes.At(id).slot() != 0 {
		w.unlink(id)
	}
}

// Deadline returns the deadline of id, rounded up to a tick; clock.Never if it has none.
func (w *Wheel) Deadline(id uint32) clock.Time {
	if n := w.nodes.At(id); n.slot() != 0 && n.at() != never {
		return clock.Time(min(n.at()<<tickShift, uint64(clock.Never)))
	}
	return clock.Never
}

// Next returns the earliest time at which Advance has something to do, clock.Never if the wheel is empty. No id becomes due before
// it; at that time one does, or nodes have to be moved. It may be in the past if Advance is overdue.
func (w *Wheel) Next() clock.Time {
	if w.next >= uint64(clock.Never)>>tickShift {
		return clock.Never
	}
	return clock.Time(w.next << tickShift)
}

// Advance moves the wheel to now, puts the ids that are due into due, as many as fit, and returns how many there are. They have no
// deadline any more. If due came back full there may be more: call it again.
//
// Apart from the ids that it returns, a call moves at most the nodes of the wide slots that the time has reached.
func (w *Wheel) Advance(now clock.Time, due []uint32) int {
	target := uint64(max(now, 0)) >> tickShift
	n := 0
	for target >= w.next {
		if n == len(due) {
			return n
		}
		l, slot := w.first()
		if l == levels {
			w.next = noTick
			break
		}
		tick := w.start(slot)
		if tick > target {
			w.next = tick
			break
		}
		w.now, w.next = tick, tick
		if l == 0 {
			n += w.expire(slot, due[n:])
		} else {
			w.cascade(slot)
		}
	}
	if n < len(due) {
		w.now = max(w.now, target)
	}
	return n
}

// expire empties a slot of level 0, whose tick is the present, into due as far as there is room.
func (w *Wheel) expire(slot uint32, due []uint32) int {
	head := &w.ring[0].head[slot]
	n := 0
	for *head != 0 && n < len(due) {
		id := *head - 1
		w.unlink(id)
		switch at := w.nodes.At(id).at(); {
		case at == never:
		case at > w.now:
			w.insert(id, at)
		default:
			due[n] = id
			n++
		}
	}
	return n
}

// cascade moves the nodes of a slot above level 0, at whose first tick the present is, to where they belong now.
func (w *Wheel) cascade(slot uint32) {
	l := &w.ring[slot>>slotBits]
	s := slot & (slots - 1)
	link := l.head[s]
	l.head[s] = 0
	l.used[s/64] &^= 1 << (s % 64)
	for link != 0 {
		id := link - 1
		n := w.nodes.At(id)
		link = n.next
		n.setSlot(0)
		if at := n.at(); at != never {
			w.insert(id, max(at, w.now))
		}
	}
}

// insert links a node that is in no slot where a deadline at tick belongs, which is not before the present.
func (w *Wheel) insert(id uint32, tick uint64) {
	l := uint32(bits.Len64((tick^w.now)|1)-1) / slotBits
	s := uint32(tick>>(l*slotBits)) & (slots - 1)
	ring := &w.ring[l]
	n := w.nodes.At(id)
	n.setSlot(l<<slotBits + s + 1)
	n.prev = 0
	n.next = ring.head[s]
	if n.next != 0 {
		w.nodes.At(n.next - 1).prev = id + 1
	}
	ring.head[s] = id + 1
	ring.used[s/64] |= 1 << (s % 64)
	w.next = min(w.next, tick&^(1<<(l*slotBits)-1))
}

// unlink takes a node out of its slot.
func (w *Wheel) unlink(id uint32) {
	n := w.nodes.At(id)
	if n.next != 0 {
		w.nodes.At(n.next - 1).prev = n.prev
	}
	if n.prev != 0 {
		w.nodes.At(n.prev - 1).next = n.next
	} else {
		slot := n.slot() - 1
		l := &w.ring[slot>>slotBits]
		s := slot & (slots - 1)
		l.head[s] = n.next
		if n.next == 0 {
			l.used[s/64] &^= 1 << (s % 64)
		}
	}
	n.setSlot(0)
}

// first returns the slot that is reached first and its level, which is levels if all slots are empty.
func (w *Wheel) first() (l int, slot uint32) {
	for l := range w.ring {
		for i, word := range w.ring[l].used {
			if word != 0 {
				return l, uint32(l<<slotBits + i*64 + bits.TrailingZeros64(word))
			}
		}
	}
	return levels, 0
}

// start returns the first tick of a slot in use: it has the present's higher bytes.
func (w *Wheel) start(slot uint32) uint64 {
	shift := slot >> slotBits * slotBits
	above := w.now >> (shift + slotBits) << (shift + slotBits)
	return above | uint64(slot&(slots-1))<<shift
}

// ticks returns the first tick that is not before a time.
func ticks(at clock.Time) uint64 {
	if at <= 0 {
		return 0
	}
	return (uint64(at) + uint64(Tick) - 1) >> tickShift
}
