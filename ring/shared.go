package ring

import (
	"fmt"
	"sync/atomic"
)

// Memory is where a shared ring lies.
type Memory[T any] struct {
	Producer *uint32 // index of the next slot to be filled, written by the producer
	Consumer *uint32 // index of the next slot to be read, written by the consumer
	Flags    *uint32 // the consumer's requests to the producer; nil where there are none
	Slots    []T     // a power of two of them
}

func (m *Memory[T]) check() error {
	if n := len(m.Slots); n == 0 || n&(n-1) != 0 || n > 1<<31 {
		return fmt.Errorf("ring: %d slots, want a power of two", n)
	}
	if m.Producer == nil || m.Consumer == nil {
		return fmt.Errorf("ring: an index is missing")
	}
	return nil
}

// NewMemory makes a ring in ordinary memory, for two goroutines.
func NewMemory[T any](size int) Memory[T] {
	return Memory[T]{Producer: new(uint32), Consumer: new(uint32), Slots: make([]T, size)}
}

// FlagNeedWakeup is set by the kernel in the fill and TX rings when it will not look at them again by itself
// (XDP_RING_NEED_WAKEUP).
const FlagNeedWakeup = 1

// Producer is the writing view of a shared ring. One goroutine uses it.
//
// Reserve slots, fill them through Slot, then Submit them: they become visible to the other side at once, together.
type Producer[T any] struct {
	mem   Memory[T]
	mask  uint32
	next  uint32 // the first slot that is not reserved
	limit uint32 // the first index that must not be reserved, by the consumer index as last seen
}

// NewProducer makes the writing view. The indices are taken as they stand in memory.
func NewProducer[T any](m Memory[T]) (*Producer[T], error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	p := &Producer[T]{mem: m, mask: uint32(len(m.Slots) - 1)}
	p.next = atomic.LoadUint32(m.Producer)
	p.refresh()
	return p, nil
}

func (p *Producer[T]) refresh() {
	p.limit = atomic.LoadUint32(p.mem.Consumer) + uint32(len(p.mem.Slots))
}

// Size returns the number of slots.
func (p *Producer[T]) Size() int { return len(p.mem.Slots) }

// Free returns how many slots can be reserved, at least up to want: the other side's index is read only if fewer than that many
// are known to be free.
func (p *Producer[T]) Free(want int) int {
	if n := p.limit - p.next; n >= uint32(want) && n <= uint32(len(p.mem.Slots)) {
		return int(n)
	}
	p.refresh()
	n := p.limit - p.next
	if n > uint32(len(p.mem.Slots)) {
		return 0 // the other side's index is nonsense: touch nothing
	}
	return int(n)
}

// Reserve takes up to n slots and returns the index of the first and how many there are. A reservation may be filled and
// submitted in parts.
func (p *Producer[T]) Reserve(n int) (first uint32, got int) {
	got = min(n, p.Free(n))
	first = p.next
	p.next += uint32(got)
	return first, got
}

// Unreserve gives back the last n reserved slots.
func (p *Producer[T]) Unreserve(n int) { p.next -= uint32(n) }

// Slot returns the slot of a reserved index.
func (p *Producer[T]) Slot(index uint32) *T { return &p.mem.Slots[index&p.mask] }

// Submit hands all reserved slots to the other side.
func (p *Producer[T]) Submit() {
	// Release: what was written to the slots is visible before the index that covers them.
	atomic.StoreUint32(p.mem.Producer, p.next)
}

// Pending returns how many submitted slots the other side has not consumed yet.
func (p *Producer[T]) Pending() int {
	n := atomic.LoadUint32(p.mem.Producer) - atomic.LoadUint32(p.mem.Consumer)
	return int(min(n, uint32(len(p.mem.Slots))))
}

// NeedWakeup reports whether the kernel asked to be woken before it looks at the ring again.
func (p *Producer[T]) NeedWakeup() bool {
	return p.mem.Flags != nil && atomic.LoadUint32(p.mem.Flags)&FlagNeedWakeup != 0
}

// Consumer is the reading view of a shared ring. One goroutine uses it.
//
// Peek finds filled slots, Slot reads them, Release gives them back to the other side, together.
type Consumer[T any] struct {
	mem  Memory[T]
	mask uint32
	next uint32 // the first slot that was not peeked
	seen uint32 // the producer index as last seen
}

// NewConsumer makes the reading view. The indices are taken as they stand in memory.
func NewConsumer[T any](m Memory[T]) (*Consumer[T], error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	c := &Consumer[T]{mem: m, mask: uint32(len(m.Slots) - 1)}
	c.next = atomic.LoadUint32(m.Consumer)
	c.seen = c.next
	return c, nil
}

// Size returns the number of slots.
func (c *Consumer[T]) Size() int { return len(c.mem.Slots) }

// Peek takes up to n filled slots and returns the index of the first and how many there are.
func (c *Consumer[T]) Peek(n int) (first uint32, got int) {
	have := c.seen - c.next
	if have < uint32(n) {
		// Acquire: the slots that this index covers are read after it.
		c.seen = atomic.LoadUint32(c.mem.Producer)
		have = c.seen - c.next
		if have > uint32(len(c.mem.Slots)) {
			c.seen = c.next // the other side's index is nonsense: touch nothing
			have = 0
		}
	}
	got = int(min(have, uint32(n)))
	first = c.next
	c.next += uint32(got)
	return first, got
}

// Unpeek gives back the last n peeked slots, as if they had not been peeked.
func (c *Consumer[T]) Unpeek(n int) { c.next -= uint32(n) }

// Slot returns the slot of a peeked index.
func (c *Consumer[T]) Slot(index uint32) *T { return &c.mem.Slots[index&c.mask] }

// Release gives all peeked slots back to the other side.
func (c *Consumer[T]) Release() {
	// Release: the slots have been read before the producer may write them again.
	atomic.StoreUint32(c.mem.Consumer, c.next)
}

// Empty reports whether there is nothing to peek.
func (c *Consumer[T]) Empty() bool { return atomic.LoadUint32(c.mem.Producer) == c.next }

// NeedWakeup reports whether the kernel asked to be woken before it goes on.
func (c *Consumer[T]) NeedWakeup() bool {
	return c.mem.Flags != nil && atomic.LoadUint32(c.mem.Flags)&FlagNeedWakeup != 0
}

// NewPair makes a ring in ordinary memory and both of its views: a queue from one goroutine to one other.
func NewPair[T any](size int) (*Producer[T], *Consumer[T], error) {
	m := NewMemory[T](size)
	p, err := NewProducer(m)
	if err != nil {
		return nil, nil, err
	}
	c, err := NewConsumer(m)
	return p, c, err
}
