package stack

import (
	"github.com/xdpstack/xdpstack/internal/slab"
	"github.com/xdpstack/xdpstack/tcp"
)

// flowTable maps a flow to the number of its connection: open addressing with linear probing, pointer-free, at most three
// quarters full. It holds only a hash and a number per entry; the caller compares the flow itself, so that one cache line
// answers most look-ups. The hash is keyed, so that a remote cannot choose flows that collide.
//
// # Growing
//
// When the table is full enough a larger one is put beside it, of which no page was touched yet. New entries go there, and each of them
// takes the next few entries of the old one along, until that is empty. So no insertion costs more than a constant, and it is half
// as much again each time that a table takes, not twice.
type flowTable struct {
	flowArray
	old    flowArray // what is being moved, from its beginning; no entries: nothing
	cursor uint32    // up to here everything was moved
	n      int       // entries, wherever they are
	moves  int       // entries moved so far
}

// flowArray is an array of entries with linear probing.
type flowArray struct {
	entries []flowEntry
	array   slab.Array[flowEntry] // what the entries lie in
}

type flowEntry struct {
	hash uint32
	id   uint32 // connection number plus one; 0: free; flowMoved: there was one
}

const (
	minFlowTable = 64

	// flowSteps is how many entries of the old array an insertion looks at, and moves at most. Four would be enough for the old one to be
	// empty before the new one is full.
	flowSteps = 8

	// flowMoved marks what was taken out of the old array: those behind it are still found.
	flowMoved = 1<<32 - 1
)

func (t *flowTable) init() { *t = flowTable{flowArray: newFlowArray(minFlowTable)} }

func newFlowArray(n int) flowArray {
	a := slab.NewArray[flowEntry](n)
	return flowArray{entries: a.Slice, array: a}
}

// home returns where an entry belongs.
func (a *flowArray) home(hash uint32) uint32 {
	return uint32(uint64(hash) * uint64(len(a.entries)) >> 32)
}

// next returns the place behind i.
func (a *flowArray) next(i uint32) uint32 {
	if i++; i == uint32(len(a.entries)) {
		return 0
	}
	return i
}

// lookup returns the connection of flow f, or nil.
func (t *flowTable) lookup(conns *connSlab, f *tcp.Flow, hash uint32) *Conn {
	if c := t.find(conns, f, hash); c != nil || len(t.old.entries) == 0 {
		return c
	}
	return t.old.find(conns, f, hash)
}

func (a *flowArray) find(conns *connSlab, f *tcp.Flow, hash uint32) *Conn {
	for i := a.home(hash); ; i = a.next(i) {
		e := &a.entries[i]
		if e.id == 0 {
			return nil
		}
		if e.hash == hash && e.id != flowMoved {
			if s := conns.states.At(e.id - 1); s.tcp.Flow() == *f {
				return conns.at(e.id - 1)
			}
		}
	}
}

// insert adds connection id, whose flow is not in the table.
func (t *flowTable) insert(hash, id uint32) {
	if len(t.old.entries) != 0 {
		t.move()
	} else if (t.n+1)*4 > len(t.entries)*3 {
		t.grow()
	}
	t.put(flowEntry{hash: hash, id: id + 1})
	t.n++
}

// put enters what is not in the array.
func (a *flowArray) put(e flowEntry) {
	i := a.home(e.hash)
	for a.entries[i].id != 0 {
		i = a.next(i)
	}
	a.entries[i] = e
}

// grow puts an array of the next size in place of the present one: the sizes are powers of two, and half as much again.
func (t *flowTable) grow() {
	n := len(t.entries)
	if n&(n-1) == 0 {
		n += n / 2
	} else {
		n += n / 3
	}
	t.old, t.cursor = t.flowArray, 0
	t.flowArray = newFlowArray(n)
}

// move takes the next entries out of the old array.
func (t *flowTable) move() {
	for range flowSteps {
		e := &t.old.entries[t.cursor]
		if e.id != 0 && e.id != flowMoved {
			t.put(*e)
			e.id = flowMoved
			t.moves++
		}
		if t.cursor++; int(t.cursor) == len(t.old.entries) {
			t.old = flowArray{}
			return
		}
	}
}

// remove takes connection id out.
func (t *flowTable) remove(hash, id uint32) {
	if i, ok := t.seek(hash, id); ok {
		t.take(i)
		t.n--
		return
	}
	if len(t.old.entries) == 0 {
		return
	}
	if i, ok := t.old.seek(hash, id); ok {
		t.old.entries[i].id = flowMoved
		t.n--
	}
}

// seek returns where connection id is.
func (a *flowArray) seek(hash, id uint32) (i uint32, ok bool) {
	for i = a.home(hash); a.entries[i].id != 0; i = a.next(i) {
		if a.entries[i].id == id+1 {
			return i, true
		}
	}
	return 0, false
}

// take frees place i, moving later entries of the same run up so that no gap hides them.
func (a *flowArray) take(i uint32) {
	for j := a.next(i); a.entries[j].id != 0; j = a.next(j) {
		// Entry j may move to i if its home is not in (i, j].
		if a.distance(a.home(a.entries[j].hash), j) >= a.distance(i, j) {
			a.entries[i] = a.entries[j]
			i = j
		}
	}
	a.entries[i] = flowEntry{}
}

// distance returns how many places there are from i on to j.
func (a *flowArray) distance(i, j uint32) uint32 {
	if j < i {
		return j + uint32(len(a.entries)) - i
	}
	return j - i
}
