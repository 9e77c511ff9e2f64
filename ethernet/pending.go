package ethernet

import "github.com/xdpstack/xdpstack/frame"

// pending holds the frames that wait for addresses: queues of equal size that are lent to the entries that need one. A frame cannot
// be linked into a list here, because the connection that sent it has it in a list already (it may have to be sent again).
type pending struct {
	queues []frameQueue
	frames []frame.Desc // all queues' rings, one after the other
	size   int          // of one ring
	free   int32        // head of the list of free queues
	ready  int32        // head and tail of the list of queues whose address became known
	last   int32
}

// frameQueue is a ring of frames that wait for one address.
type frameQueue struct {
	mac  Addr  // of a ready queue
	head int32 // position of the oldest frame
	n    int32
	next int32 // in the list of free or ready queues
}

func (p *pending) init(queues, size int) {
	*p = pending{
		queues: make([]frameQueue, queues),
		frames: make([]frame.Desc, queues*size),
		size:   size,
		ready:  none,
		last:   none,
	}
	for q := range p.queues {
		p.queues[q].next = int32(q) + 1
	}
	p.queues[queues-1].next = none
}

// at returns the frame at a position of queue q, counted from the oldest.
func (p *pending) at(q, pos int32) *frame.Desc {
	return &p.frames[int(q)*p.size+(int(p.queues[q].head)+int(pos))%p.size]
}

// pop removes the oldest frame of queue q, which has one.
func (p *pending) pop(q int32) frame.Desc {
	d := *p.at(q, 0)
	p.queues[q].head = int32((int(p.queues[q].head) + 1) % p.size)
	p.queues[q].n--
	return d
}

// give returns an empty queue.
func (p *pending) give(q int32) {
	p.queues[q] = frameQueue{next: p.free}
	p.free = q
}

// enqueue makes the frame wait for entry i. It reports false if there is no queue for it. A frame that waits already keeps its
// place, with the range that it has now: a segment that its connection sends again need not go out twice.
func (n *Neighbours) enqueue(i int32, d frame.Desc) bool {
	e, p := &n.entries[i], &n.pending
	if e.queue == none {
		if p.free == none {
			return false
		}
		e.queue = p.free
		p.free = p.queues[e.queue].next
		p.queues[e.queue].next = none
	}
	q := &p.queues[e.queue]
	for pos := range q.n {
		if w := p.at(e.queue, pos); w.Frame == d.Frame {
			*w = d
			n.pool.Release(d.Frame)
			return true
		}
	}
	if int(q.n) == p.size {
		n.pool.Release(p.pop(e.queue).Frame)
		n.Stats.PendingDropped++
	}
	*p.at(e.queue, q.n) = d
	q.n++
	return true
}

// dropPending releases the frames that wait for entry i and returns how many they were.
func (n *Neighbours) dropPending(i int32) (dropped uint64) {
	e, p := &n.entries[i], &n.pending
	if e.queue == none {
		return 0
	}
	for p.queues[e.queue].n > 0 {
		n.pool.Release(p.pop(e.queue).Frame)
		dropped++
	}
	p.give(e.queue)
	e.queue = none
	return dropped
}

// release makes the frames that wait for entry i ready to be sent to mac.
func (n *Neighbours) release(i int32, mac Addr) {
	e, p := &n.entries[i], &n.pending
	q := e.queue
	if q == none {
		return
	}
	e.queue = none
	p.queues[q].mac = mac
	p.queues[q].next = none
	if p.last == none {
		p.ready = q
	} else {
		p.queues[p.last].next = q
	}
	p.last = q
}

// NextReady returns a frame whose neighbour's address has become known, and that address, to be written to the frame's start. The
// caller becomes an owner in the table's place.
//
// A frame that was given to the kernel in the meantime, by a connection that sent it again on another way, is not returned: it
// must not be written to.
func (n *Neighbours) NextReady(d *frame.Desc, dst *Addr) bool {
	p := &n.pending
	for p.ready != none {
		q := p.ready
		if p.queues[q].n == 0 {
			if p.ready = p.queues[q].next; p.ready == none {
				p.last = none
			}
			p.give(q)
			continue
		}
		*d, *dst = p.pop(q), p.queues[q].mac
		if !n.pool.InTransmission(d.Frame) {
			return true
		}
		n.pool.Release(d.Frame)
		n.Stats.PendingDropped++
	}
	return false
}
