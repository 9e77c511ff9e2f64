package frame

// Queue is a List that is used at its ends only and does not know its length. The zero Queue must be made empty with Init before use.
type Queue struct{ head, tail Index }

// Init makes the queue empty without touching what it held.
func (q *Queue) Init() { *q = Queue{head: None, tail: None} }

// Empty reports whether the queue has no frames.
func (q *Queue) Empty() bool { return q.head == None }

// Front returns the first frame, or None.
func (q *Queue) Front() Index { return q.head }

// Back returns the last frame, or None.
func (q *Queue) Back() Index { return q.tail }

// PushBack appends a frame.
func (q *Queue) PushBack(p *Pool, i Index) {
	m := &p.meta[i]
	m.Next, m.Prev = None, q.tail
	if q.tail == None {
		q.head = i
	} else {
		p.meta[q.tail].Next = i
	}
	q.tail = i
}

// PopFront removes and returns the first frame, or returns None.
func (q *Queue) PopFront(p *Pool) Index {
	i := q.head
	if i == None {
		return None
	}
	m := &p.meta[i]
	q.head = m.Next
	if q.head == None {
		q.tail = None
	} else {
		p.meta[q.head].Prev = None
	}
	m.Next = None
	return i
}

// TakeFront moves the first frames of src, up to last, which is one of them, to the end of q.
func (q *Queue) TakeFront(p *Pool, src *Queue, last Index) {
	first, rest := src.head, p.meta[last].Next
	src.head = rest
	if rest == None {
		src.tail = None
	} else {
		p.meta[rest].Prev = None
	}
	p.meta[first].Prev, p.meta[last].Next = q.tail, None
	if q.tail == None {
		q.head = first
	} else {
		p.meta[q.tail].Next = first
	}
	q.tail = last
}

// ReleaseAll releases every frame and leaves the queue empty. It returns how many there were.
func (q *Queue) ReleaseAll(p *Pool) int {
	n := 0
	for i := q.PopFront(p); i != None; i = q.PopFront(p) {
		p.Release(i)
		n++
	}
	return n
}
