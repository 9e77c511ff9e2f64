package stack

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/rss"
	"github.com/xdpstack/xdpstack/tcp"
)

// homes say which shard a dialed connection belongs to, and at which one its packets arrive.
//
// A connection belongs to the shard of the queue that the card's hash sends its packets to, by the table that the card had when the stack
// was opened; where the card does not tell, or the queue has no shard, to the one that its port gives, modulo their number. That never
// changes, so every shard can tell whose a segment is without asking, and no two shards choose the same flow. Where packets arrive
// may change: somebody sets another table. From then on, ports are chosen with which a connection both belongs to a shard and arrives
// there.
type homes struct {
	first   *rss.Table // the table when the stack was opened; nil: not known
	byQueue []*Shard   // the shard of each queue; nil: none
	shards  []*Shard

	current atomic.Pointer[rss.Table] // the table as it is now; nil: not known
	read    atomic.Int64              // when it was read last, a clock.Time

	mu     sync.Mutex
	reader tableReader // nil: there is no more to be learned
}

// tableReader reads the card's table.
type tableReader interface {
	Table() (*rss.Table, error)
	Close() error
}

// rereadInterval is what reads of the card's table are apart, at least: each asks the driver, under the kernel's lock of all interfaces.
const rereadInterval = time.Second

// init takes the card's table, if it tells it. queues are the numbers of the shards' queues, and of all there are.
func (h *homes) init(r tableReader, queues []int, all int) {
	h.reader = r
	table, err := r.Table()
	if err != nil {
		return
	}
	h.byQueue = make([]*Shard, all)
	for i, q := range queues {
		h.byQueue[q] = h.shards[i]
	}
	h.first = table
	h.current.Store(table)
}

func (h *homes) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reader != nil {
		_ = h.reader.Close()
		h.reader = nil
	}
}

// owner returns the shard that a dialed connection belongs to.
func (h *homes) owner(f *tcp.Flow) *Shard {
	if h.first != nil {
		if s := h.arrival(h.first, f); s != nil {
			return s
		}
	}
	return h.shards[int(f.LocalPort)%len(h.shards)]
}

// arrival returns the shard at which a table lets the packets of a connection arrive, nil if there is none.
func (h *homes) arrival(t *rss.Table, f *tcp.Flow) *Shard {
	if q := t.Queue(f.RemoteAddr, f.LocalAddr, f.RemotePort, f.LocalPort); q < len(h.byQueue) {
		return h.byQueue[q]
	}
	return nil
}

// astray notes that a segment came to a shard that its connection does not belong to. If that is not what the table says, another table
// was set: it is read again, not at once by this shard, for the driver may take its time.
func (h *homes) astray(s *Shard, f *tcp.Flow) {
	t := h.current.Load()
	if t == nil || h.arrival(t, f) == s {
		return
	}
	s.stats.Misdirected++
	last := h.read.Load()
	if s.now.Sub(clock.Time(last)) >= rereadInterval && h.read.CompareAndSwap(last, int64(s.now)) {
		s.stats.HashReads++
		go h.reread()
	}
}

// reread asks the card for its table again.
func (h *homes) reread() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reader == nil {
		return
	}
	if t, err := h.reader.Table(); err == nil {
		h.current.Store(t)
	}
}
