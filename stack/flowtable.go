package stack

import "github.com/xdpstack/xdpstack/tcp"

// flowTable maps a flow to the number of its connection: open addressing with linear probing, pointer-free, at most three
// quarters full. It holds only a hash and a number per entry; the caller compares the flow itself, so that one cache line
// answers most look-ups. The hash is keyed, so that a remote cannot choose flows that collide.
type flowTable struct {
	entries []flowEntry
	mask    uint32
	n       int
}

type flowEntry struct {
	hash uint32
	id   uint32 // connection number plus one; 0: free
}

const minFlowTable = 64

func (t *flowTable) init() {
	t.entries = make([]flowEntry, minFlowTable)
	t.mask = minFlowTable - 1
	t.n = 0
}

// lookup returns the connection of flow f, or nil.
func (t *flowTable) lookup(conns *connSlab, f *tcp.Flow, hash uint32) *Conn {
	for i := hash & t.mask; ; i = (i + 1) & t.mask {
		e := &t.entries[i]
		if e.id == 0 {
			return nil
		}
		if e.hash == hash {
			if c := conns.at(e.id - 1); c.tcp.Flow() == *f {
				return c
			}
		}
	}
}

// insert adds connection id, whose flow is not in the table.
func (t *flowTable) insert(hash, id uint32) {
	if (t.n+1)*4 > len(t.entries)*3 {
		t.grow()
	}
	i := hash & t.mask
	for t.entries[i].id != 0 {
		i = (i + 1) & t.mask
	}
	t.entries[i] = flowEntry{hash: hash, id: id + 1}
	t.n++
}

// remove takes connection id out, moving later entries of the same run up so that no gap hides them.
func (t *flowTable) remove(hash, id uint32) {
	i := hash & t.mask
	for t.entries[i].id != id+1 {
		if t.entries[i].id == 0 {
			return
		}
		i = (i + 1) & t.mask
	}
	for j := i; ; {
		j = (j + 1) & t.mask
		e := t.entries[j]
		if e.id == 0 {
			break
		}
		// Entry j may move to i if its home is not in (i, j].
		if home := e.hash & t.mask; (j-home)&t.mask >= (j-i)&t.mask {
			t.entries[i] = e
			i = j
		}
	}
	t.entries[i] = flowEntry{}
	t.n--
}

func (t *flowTable) grow() {
	old := t.entries
	t.entries = make([]flowEntry, 2*len(old))
	t.mask = uint32(len(t.entries) - 1)
	for _, e := range old {
		if e.id == 0 {
			continue
		}
		i := e.hash & t.mask
		for t.entries[i].id != 0 {
			i = (i + 1) & t.mask
		}
		t.entries[i] = e
	}
}
