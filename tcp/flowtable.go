package tcp

// flowTable is a bounded hash table from flows to records R, which have no pointers: nothing for the garbage collector to scan, and
// no allocation for a record. A record is named by its index, which holds until it is removed; it can be in one fifo. The
// hash is keyed, so that no peer can choose flows whose records end up in one bucket.
//
// Memory grows by doubling as records come, up to the limit, and stays.
type flowTable[R any] struct {
	keys    *Keys
	slots   []flowSlot[R]
	buckets []uint32 // index of the first record + 1; 0: none. A power of two of them, no fewer than slots
	free    uint32   // the first removed slot, linked by chain
	used    int      // slots before this were in use at some time
	n       int      // records
	limit   int
}

type flowSlot[R any] struct {
	rec        R
	flow       Flow
	hash       uint32
	chain      uint32 // index + 1 of the next record in the bucket
	prev, next uint32 // neighbours in the fifo
}

// none is the index of no record.
const none = 1<<32 - 1

// firstSlots is how many records a table has room for at first.
const firstSlots = 64

func newFlowTable[R any](keys *Keys, limit int) flowTable[R] {
	n := min(firstSlots, limit)
	return flowTable[R]{keys: keys, slots: make([]flowSlot[R], n), buckets: make([]uint32, bucketsFor(n)), free: none, limit: limit}
}

func bucketsFor(n int) int {
	b := 1
	for b < n {
		b *= 2
	}
	return b
}

// at returns a record.
func (t *flowTable[R]) at(i uint32) *flowSlot[R] { return &t.slots[i] }

// find returns the flow's record, or none.
func (t *flowTable[R]) find(f Flow) uint32 {
	if t.n == 0 {
		return none
	}
	h := t.keys.Hash(f)
	for i := t.buckets[h&uint32(len(t.buckets)-1)]; i != 0; i = t.slots[i-1].chain {
		if s := &t.slots[i-1]; s.hash == h && s.flow == f {
			return i - 1
		}
	}
	return none
}

// add makes a record for a flow that has none, or returns none if the table is full.
func (t *flowTable[R]) add(f Flow) uint32 {
	i := t.free
	switch {
	case i != none:
		t.free = t.slots[i].chain
	case t.used < len(t.slots) || t.grow():
		i = uint32(t.used)
		t.used++
	default:
		return none
	}
	h := t.keys.Hash(f)
	b := &t.buckets[h&uint32(len(t.buckets)-1)]
	t.slots[i] = flowSlot[R]{flow: f, hash: h, chain: *b, prev: none, next: none}
	*b = i + 1
	t.n++
	return i
}

// remove gives record i up. It must be in no fifo.
func (t *flowTable[R]) remove(i uint32) {
	s := &t.slots[i]
	p := &t.buckets[s.hash&uint32(len(t.buckets)-1)]
	for *p != i+1 {
		p = &t.slots[*p-1].chain
	}
	*p = s.chain
	s.chain, t.free = t.free, i
	t.n--
}

// grow makes room for more records, if the limit allows. All slots are in use.
func (t *flowTable[R]) grow() bool {
	n := min(2*len(t.slots), t.limit)
	if n <= len(t.slots) {
		return false
	}
	slots := make([]flowSlot[R], n)
	copy(slots, t.slots)
	t.slots = slots
	t.buckets = make([]uint32, bucketsFor(n))
	for i := range t.used {
		s := &t.slots[i]
		b := &t.buckets[s.hash&uint32(len(t.buckets)-1)]
		s.chain, *b = *b, uint32(i)+1
	}
	return true
}

// fifo is a queue of records of one table, linked through them. Records that wait equally long are in the order in which they
// expire. The zero fifo must be made empty with init.
type fifo struct{ head, tail uint32 }

func (q *fifo) init() { q.head, q.tail = none, none }

// push puts record i at the end of q.
func (t *flowTable[R]) push(q *fifo, i uint32) {
	s := &t.slots[i]
	s.prev, s.next = q.tail, none
	if q.tail == none {
		q.head = i
	} else {
		t.slots[q.tail].next = i
	}
	q.tail = i
}

// unlink takes record i out of q, which it is in.
func (t *flowTable[R]) unlink(q *fifo, i uint32) {
	s := &t.slots[i]
	if s.prev == none {
		q.head = s.next
	} else {
		t.slots[s.prev].next = s.next
	}
	if s.next == none {
		q.tail = s.prev
	} else {
		t.slots[s.next].prev = s.prev
	}
}
