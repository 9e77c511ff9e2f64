package frame

// List is a queue of frames, linked through their records: a frame is in at most one list. The zero List must be made empty with
// Init before use, because 0 is a frame's index.
type List struct {
	head, tail Index
	n          uint32
}

// Init makes the list empty without touching what it held.
func (l *List) Init() { *l = List{head: None, tail: None} }

// Len returns the number of frames.
func (l *List) Len() int { return int(l.n) }

// Empty reports whether the list has no frames.
func (l *List) Empty() bool { return l.n == 0 }

// Front returns the first frame, or None.
func (l *List) Front() Index { return l.head }

// Back returns the last frame, or None.
func (l *List) Back() Index { return l.tail }

// PushBack appends a frame.
func (l *List) PushBack(p *Pool, i Index) {
	m := &p.meta[i]
	m.Next, m.Prev = None, l.tail
	if l.tail == None {
		l.head = i
	} else {
		p.meta[l.tail].Next = i
	}
	l.tail = i
	l.n++
}

// PushFront puts a frame before the first.
func (l *List) PushFront(p *Pool, i Index) { l.InsertAfter(p, i, None) }

// InsertAfter puts frame i after frame at, which is in the list; with at None, before the first.
func (l *List) InsertAfter(p *Pool, i, at Index) {
	if at == l.tail {
		l.PushBack(p, i)
		return
	}
	next := l.head
	if at != None {
		next = p.meta[at].Next
		p.meta[at].Next = i
	} else {
		l.head = i
	}
	m := &p.meta[i]
	m.Next, m.Prev = next, at
	p.meta[next].Prev = i
	l.n++
}

// PopFront removes and returns the first frame, or returns None.
func (l *List) PopFront(p *Pool) Index {
	i := l.head
	if i == None {
		return None
	}
	m := &p.meta[i]
	l.head = m.Next
	if l.head == None {
		l.tail = None
	} else {
		p.meta[l.head].Prev = None
	}
	m.Next = None
	l.n--
	return i
}

// Remove takes frame i, which is in the list, out of it.
func (l *List) Remove(p *Pool, i Index) {
	m := &p.meta[i]
	if m.Prev == None {
		l.head = m.Next
	} else {
		p.meta[m.Prev].Next = m.Next
	}
	if m.Next == None {
		l.tail = m.Prev
	} else {
		p.meta[m.Next].Prev = m.Prev
	}
	m.Next, m.Prev = None, None
	l.n--
}

// Append moves all frames of src to the end of l.
func (l *List) Append(p *Pool, src *List) {
	if src.n == 0 {
		return
	}
	if l.n == 0 {
		*l = *src
	} else {
		p.meta[l.tail].Next = src.head
		p.meta[src.head].Prev = l.tail
		l.tail = src.tail
		l.n += src.n
	}
	src.Init()
}

// ReleaseAll empties the list and gives up one ownership of each frame.
func (l *List) ReleaseAll(p *Pool) {
	for i := l.PopFront(p); i != None; i = l.PopFront(p) {
		p.Release(i)
	}
}
