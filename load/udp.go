package load

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// udpWorker makes a worker's requests over UDP. Each of its ports is what a connection is to the others.
//
// Where the payload is the generator's own, it begins with a number, and the answer must too: any number of requests may be under way on a
// port, and come back in any order. Otherwise a port has one request at a time, and whatever comes from the target is the answer. A port
// whose request timed out then rests, so that an answer that comes late is not taken for that to the next.
type udpWorker struct {
	w        *worker
	ports    []*udpPort
	first    *udpPort // ready, in turn
	last     *udpPort
	sent     []udpSent // in order of their time-outs: a ring, its length a power of two
	head, n  int
	payload  []byte
	numbered bool

	mu     sync.Mutex // of what came to other shards
	inbox  []udpEvent
	others []udpEvent // taken from there
	posted atomic.Bool
}

// udpPort is a port of a udpWorker.
type udpPort struct {
	u      *udpWorker
	port   *stack.PacketPort
	socket *stack.PacketSocket
	to     netip.AddrPort
	next   *udpPort
	listed bool
	n      int        // requests under way
	seq    uint32     // of the next
	rest   clock.Time // not used before
	doubt  bool       // the target's hardware address may not be known
	ring   []udpAsked // by sequence number
}

type udpAsked struct {
	asked
	seq  uint32
	busy bool
}

// udpSent is an entry of the queue of time-outs.
type udpSent struct {
	port *udpPort
	seq  uint32
	due  clock.Time
}

// udpEvent is what came for a port: an answer, or word that there is none.
type udpEvent struct {
	port    *udpPort
	seq     uint32
	bytes   int
	at      clock.Time
	refused bool
}

const (
	numberLen    = 4    // bytes of a datagram's number
	openPipeline = 1024 // numbered requests under way on a port, at most, by default
)

// openUDP opens the ports of all workers.
func (r *Run) openUDP() error {
	for _, w := range r.workers {
		w.udp = &udpWorker{w: w, payload: append([]byte(nil), r.cfg.Payload...), numbered: r.cfg.numbered}
		w.udp.sent = make([]udpSent, 256)
		for range w.share {
			_, to := w.remote()
			p := &udpPort{u: w.udp, to: to, ring: make([]udpAsked, r.cfg.Pipeline)}
			var err error
			p.port, err = r.stack.OpenPacket(":0", func(shard int) stack.PacketHandler {
				return &udpHandler{port: p, shard: r.stack.Shard(shard), own: r.stack.Shard(shard) == w.shard}
			})
			if err != nil {
				r.closeUDP()
				return err
			}
			p.socket = p.port.Socket(r.shardOf(w))
			w.udp.ports = append(w.udp.ports, p)
			w.udp.list(p)
		}
	}
	return nil
}

func (r *Run) shardOf(w *worker) int {
	for i := range r.workers {
		if r.workers[i] == w {
			return i
		}
	}
	return 0
}

// closeUDP gives the ports back.
func (r *Run) closeUDP() {
	for _, w := range r.workers {
		if w.udp == nil {
			continue
		}
		for _, p := range w.udp.ports {
			p.port.Close()
		}
	}
}

// udpHandler is given the datagrams of a port on one shard.
type udpHandler struct {
	port  *udpPort
	shard *stack.Shard
	own   bool // it is the worker's
}

// ReceivedPacket takes an answer, or leaves it to the worker whose it is.
func (h *udpHandler) ReceivedPacket(_ *stack.PacketSocket, from netip.AddrPort, b []byte) {
	e := udpEvent{port: h.port, bytes: len(b), at: h.shard.Now(), seq: h.port.seq - 1}
	if from != h.port.to {
		return
	}
	if h.port.u.numbered {
		if len(b) < numberLen {
			return
		}
		e.seq = binary.BigEndian.Uint32(b)
	}
	h.take(&e)
}

// Unreachable takes an ICMP error.
func (h *udpHandler) Unreachable(_ *stack.PacketSocket, to netip.AddrPort) {
	if to == h.port.to {
		h.take(&udpEvent{port: h.port, at: h.shard.Now(), refused: true})
	}
}

func (h *udpHandler) take(e *udpEvent) {
	u := h.port.u
	if h.own {
		u.w.now = e.at
		u.take(e)
		return
	}
	u.mu.Lock()
	u.inbox = append(u.inbox, *e)
	u.mu.Unlock()
	u.posted.Store(true)
}

// turn takes what came to other shards, and has requests fail whose time is over.
func (u *udpWorker) turn() {
	if u.posted.Swap(false) {
		u.mu.Lock()
		u.inbox, u.others = u.others[:0], u.inbox
		u.mu.Unlock()
		for i := range u.others {
			u.take(&u.others[i])
		}
	}
	for u.n > 0 {
		s := &u.sent[u.head]
		a := s.port.slot(s.seq)
		if a.busy && a.seq == s.seq {
			if s.due.After(u.w.now) {
				return
			}
			if !u.numbered {
				s.port.rest = u.w.now.Add(u.w.cfg.RequestTimeout)
			}
			s.port.doubt = true
			u.fail(s.port, a, RequestTimeout)
		}
		u.head = (u.head + 1) & (len(u.sent) - 1)
		u.n--
	}
	u.resume()
}

// found reports whether it is known where all targets are, or that they are nowhere.
func (u *udpWorker) found() bool {
	all := true
	for _, p := range u.ports {
		known, gone := u.w.shard.Reachable(p.to.Addr())
		p.doubt = !known
		all = all && (known || gone)
	}
	return all
}

// take deals with what came for a port.
func (u *udpWorker) take(e *udpEvent) {
	w, p := u.w, e.port
	w.rec.BytesReceived += uint64(e.bytes)
	if e.refused {
		if a := p.oldest(); a != nil {
			u.fail(p, a, Refused)
		}
		return
	}
	a := p.slot(e.seq)
	if !a.busy || u.numbered && a.seq != e.seq {
		w.rec.Late++
		return
	}
	intended := a.intended
	p.done(a)
	if w.counts(intended) {
		w.rec.Done++
		since(w.rec.FirstByte, intended, e.at)
		since(w.rec.Total, intended, e.at)
	}
	u.offer(p)
}

func (u *udpWorker) fail(p *udpPort, a *udpAsked, r Reason) {
	p.done(a)
	u.w.fail(a.intended, r)
	u.offer(p)
}

func (p *udpPort) slot(seq uint32) *udpAsked { return &p.ring[seq%uint32(len(p.ring))] }

func (p *udpPort) done(a *udpAsked) {
	a.busy = false
	p.n--
	p.u.w.gauges.InFlight--
}

// oldest returns the request that has been under way for longest, nil if there is none.
func (p *udpPort) oldest() (a *udpAsked) {
	for i := range p.ring {
		if b := &p.ring[i]; b.busy && (a == nil || b.begun.Before(a.begun)) {
			a = b
		}
	}
	return a
}

// ready reports whether a request can be made.
func (p *udpPort) ready() bool { return p.n < len(p.ring) && !p.rest.After(p.u.w.now) }

// list puts a port among those that are ready. One that rests is among them too, and passed over.
func (u *udpWorker) list(p *udpPort) {
	if p.listed || p.n == len(p.ring) {
		return
	}
	p.listed, p.next = true, nil
	if u.first == nil {
		u.first = p
	} else {
		u.last.next = p
	}
	u.last = p
}

// offer lets a port make requests: what waits, or those of a closed loop.
func (u *udpWorker) offer(p *udpPort) {
	w := u.w
	if w.open {
		if u.list(p); w.waiting.n > 0 {
			w.launch()
		}
		return
	}
	if w.state != WarmUp && w.state != Running {
		return
	}
	for w.left > 0 && p.ready() {
		w.left--
		u.begin(p, w.now)
	}
	u.list(p) // it rests, or there is no more to do
}

// resume makes the requests of a closed loop on ports that have none: the first ones, and where a port has rested.
func (u *udpWorker) resume() {
	w := u.w
	if w.open || w.state != WarmUp && w.state != Running {
		return
	}
	for w.left > 0 && u.try(w.now) {
		w.left--
	}
}

// try makes a request, and reports false if no port is ready.
func (u *udpWorker) try(at clock.Time) bool {
	for p, n := u.first, 0; p != nil && n < len(u.ports); p, n = u.first, n+1 {
		if u.first = p.next; u.first == nil {
			u.last = nil
		}
		p.listed = false
		ready := p.ready()
		if ready {
			u.begin(p, at)
		}
		u.list(p)
		if ready {
			return true
		}
	}
	return false
}

// begin sends a request.
func (u *udpWorker) begin(p *udpPort, intended clock.Time) {
	w := u.w
	for p.slot(p.seq).busy {
		p.seq++
	}
	seq := p.seq
	p.seq++
	a := p.slot(seq)
	*a = udpAsked{asked: asked{intended: intended, begun: w.now}, seq: seq, busy: true}
	p.n++
	w.gauges.InFlight++
	if w.counts(intended) {
		w.rec.Started++
	}
	if u.numbered {
		binary.BigEndian.PutUint32(u.payload, seq)
	}
	if why, ok := u.send(p); !ok {
		p.done(a)
		if w.fail(intended, why); !w.open {
			p.rest = w.now.Add(retryTime)
		}
		return
	}
	w.rec.BytesSent += uint64(len(u.payload))
	u.push(udpSent{port: p, seq: seq, due: w.now.Add(w.cfg.RequestTimeout)})
}

// send sends the payload, or says why that is not possible.
func (u *udpWorker) send(p *udpPort) (Reason, bool) {
	if p.doubt {
		known, gone := u.w.shard.Reachable(p.to.Addr())
		if p.doubt = !known; gone {
			return NoARP, false
		}
	}
	if err := p.socket.WriteTo(u.payload, p.to); err != nil {
		return reasonOf(err, RequestTimeout), false
	}
	return 0, true
}

func (u *udpWorker) push(s udpSent) {
	if u.n == len(u.sent) {
		bigger := make([]udpSent, 2*len(u.sent))
		for i := range u.n {
			bigger[i] = u.sent[(u.head+i)&(len(u.sent)-1)]
		}
		u.sent, u.head = bigger, 0
	}
	u.sent[(u.head+u.n)&(len(u.sent)-1)] = s
	u.n++
}

// finish gives up what is under way.
func (u *udpWorker) finish() {
	for _, p := range u.ports {
		for i := range p.ring {
			if a := &p.ring[i]; a.busy {
				p.done(a)
				u.w.fail(a.intended, Unfinished)
			}
		}
	}
}

// deadline returns when the next turn is needed: for a time-out, or because a port has rested, or other shards may have something,
// which they cannot say.
func (u *udpWorker) deadline() clock.Time {
	d := clock.Never
	if u.n > 0 {
		d = u.sent[u.head].due
	}
	if u.w.state < Draining && !u.w.open || u.n > 0 && (len(u.w.run.workers) > 1 || !u.numbered) {
		d = min(d, u.w.now.Add(gateTime))
	}
	return d
}
