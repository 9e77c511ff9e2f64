package tcp

// flowTable is a bounded hash table from flows to records R, which have no pointers: nothing for the garbage collector to scan, and
// no allocation for a record. A record is named by its index, which holds until it is removed; it can be in one fifo. The
// hash is keyed, so that no peer can choose flows whose records end up in one bucket.
//
// Memory grows in blocks as records come, up to the limit, and stays. So do the buckets, by linear hashing: with each record more than
// there are buckets, one bucket is divided, the next in order, into itself and a new one at the end. Nothing is ever done to all
// records at once.
//
//	  0         split         low       low+split
//	──┼───────────┼─────────────┼───────────┼
//	  │ divided   │ not yet     │ their     │
//	  │           │             │ new ones  │
type flowTable[R any] struct {
	keys    *Keys
	marks   *FlowMarks // nil, or where the flows are marked
	slots   []*[slotBlock]flowSlot[R]
	buckets []*[bucketBlock]uint32 // index of the first record + 1; 0: none
	low     uint32                 // a power of two: buckets before this round of divisions
	split   uint32                 // the next to be divided
	free    uint32                 // the first removed slot, linked by chain
	used    int                    // slots before this were in use at some time
	n       int                    // records
	limit   int
	moved   int // records that were in a bucket when that was divided
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

// How many records and buckets the table has room for at first, and how many more at a time.
const (
	slotBlock   = 64
	bucketBlock = 256
)

func newFlowTable[R any](keys *Keys, marks *FlowMarks, limit int) flowTable[R] {
	return flowTable[R]{
		keys: keys, marks: marks, slots: []*[slotBlock]flowSlot[R]{new([slotBlock]flowSlot[R])},
		buckets: []*[bucketBlock]uint32{new([bucketBlock]uint32)}, low: bucketBlock, free: none, limit: limit,
	}
}

// at returns a record.
func (t *flowTable[R]) at(i uint32) *flowSlot[R] { return &t.slots[i/slotBlock][i%slotBlock] }

// bucket returns where the records of a hash begin.
func (t *flowTable[R]) bucket(hash uint32) *uint32 {
	b := hash & (t.low - 1)
	if b < t.split {
		b = hash & (2*t.low - 1)
	}
	return t.bucketAt(b)
}

func (t *flowTable[R]) bucketAt(b uint32) *uint32 { return &t.buckets[b/bucketBlock][b%bucketBlock] }

// find returns the flow's record, or none.
func (t *flowTable[R]) find(f Flow) uint32 {
	if t.n == 0 {
		return none
	}
	h := t.keys.Hash(f)
	for i := *t.bucket(h); i != 0; {
		s := t.at(i - 1)
		if s.hash == h && s.flow == f {
			return i - 1
		}
		i = s.chain
	}
	return none
}

// add makes a record for a flow that has none, or returns none if the table is full.
func (t *flowTable[R]) add(f Flow) uint32 {
	i := t.free
	switch {
	case i != none:
		t.free = t.at(i).chain
	case t.used < t.limit:
		if t.used == len(t.slots)*slotBlock {
			t.slots = append(t.slots, new([slotBlock]flowSlot[R]))
		}
		i = uint32(t.used)
		t.used++
	default:
		return none
	}
	if t.n++; t.n > int(t.low+t.split) {
		t.divide()
	}
	h := t.keys.Hash(f)
	if t.marks != nil {
		t.marks.Add(h)
	}
	b := t.bucket(h)
	*t.at(i) = flowSlot[R]{flow: f, hash: h, chain: *b, prev: none, next: none}
	*b = i + 1
	return i
}

// divide divides the next bucket.
func (t *flowTable[R]) divide() {
	n := t.low + t.split
	if int(n) == len(t.buckets)*bucketBlock {
		t.buckets = append(t.buckets, new([bucketBlock]uint32))
	}
	old, high := t.bucketAt(t.split), t.bucketAt(n)
	i := *old
	*old, *high = 0, 0
	for i != 0 {
		s := t.at(i - 1)
		to := old
		if s.hash&t.low != 0 {
			to = high
		}
		i, s.chain, *to = s.chain, *to, i
		t.moved++
	}
	if t.split++; t.split == t.low {
		t.low, t.split = 2*t.low, 0
	}
}

// remove gives record i up. It must be in no fifo.
func (t *flowTable[R]) remove(i uint32) {
	s := t.at(i)
	p := t.bucket(s.hash)
	for *p != i+1 {
		p = &t.at(*p - 1).chain
	}
	*p = s.chain
	s.flow = Flow{} // which no record has: walk tells by it
	s.chain, t.free = t.free, i
	t.n--
	if t.marks != nil {
		t.marks.Remove(s.hash)
	}
}

// unmark takes the marks of all records away, before the table is.
func (t *flowTable[R]) unmark() {
	if t.marks == nil {
		return
	}
	for b := range t.low + t.split {
		for i := *t.bucketAt(b); i != 0; i = t.at(i - 1).chain {
			t.marks.Remove(t.at(i - 1).hash)
		}
	}
	t.marks = nil
}

// walk shows the records among the next n places from place from on, and returns where the walk goes on, none at its end. A record that is
// there during the whole of a walk, which may take its time, is shown once.
func (t *flowTable[R]) walk(from uint32, n int, see func(*flowSlot[R])) (next uint32) {
	for ; n > 0 && from < uint32(t.used); n-- {
		if s := t.at(from); s.flow != (Flow{}) {
			see(s)
		}
		from++
	}
	if from >= uint32(t.used) {
		return none
	}
	return from
}

// fifo is a queue of records of one table, linked through them. Records that wait equally long are in the order in which they
// expire. The zero fifo must be made empty with init.
type fifo struct{ head, tail uint32 }

func (q *fifo) init() { q.head, q.tail = none, none }

// push puts record i at the end of q.
func (t *flowTable[R]) push(q *fifo, i uint32) {
	s := t.at(i)
	s.prev, s.next = q.tail, none
	if q.tail == none {
		q.head = i
	} else {
		t.at(q.tail).next = i
	}
	q.tail = i
}

// unlink takes record i out of q, which it is in.
func (t *flowTable[R]) unlink(q *fifo, i uint32) {
	s := t.at(i)
	if s.prev == none {
		q.head = s.next
	} else {
		t.at(s.prev).next = s.next
	}
	if s.next == none {
		q.tail = s.prev
	} else {
		t.at(s.next).prev = s.prev
	}
}
