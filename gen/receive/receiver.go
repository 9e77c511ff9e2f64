package receive

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
)

// Handler does something with what a queue receives. One goroutine calls it, the queue's worker.
type Handler interface {
	// Handle is given a batch of whole packets, and when it was taken, by CLOCK_TAI in ns. It returns how many descriptors, from the
	// front of the batch, which it may put into another order, are to be sent. It counts in c what it drops. The frames are the
	// worker's.
	Handle(batch []frame.Desc, pool *frame.Pool, now uint64, c *Counters) (send int)
}

// Config says what is received, and what is done with it. Zero fields mean the defaults.
type Config struct {
	Queues   []afxdp.Queue // one for each worker; the receiver has them until Run returns
	Handlers []Handler     // the same number, or none: what comes is dropped
	Address  netip.Addr    // the receiver's own, for which it answers ARP; default none
	Spin     time.Duration // how long a worker polls an empty ring before it sleeps; default 20 µs, below 0 not at all
	// Quiet is called when the receiver is to end, before the workers take what is still in their rings: it should see to it that
	// nothing more comes there.
	Quiet func() error
}

// ErrConfig is in every error about a configuration that cannot be.
var ErrConfig = errors.New("unusable configuration of the receiver")

const (
	defaultSpin = 20 * time.Microsecond
	batchLen    = 64 // frames: more than the largest packet has
)

// Receiver receives. Run runs it, once; Snapshot may be called meanwhile, and after it.
type Receiver struct {
	cfg     Config
	workers []*worker
}

// New makes a receiver.
func New(cfg Config) (*Receiver, error) {
	if len(cfg.Queues) == 0 || len(cfg.Handlers) != 0 && len(cfg.Handlers) != len(cfg.Queues) {
		return nil, fmt.Errorf("%w: %d queues and %d handlers, want one for each", ErrConfig, len(cfg.Queues), len(cfg.Handlers))
	}
	if cfg.Address.IsValid() && !cfg.Address.Unmap().Is4() {
		return nil, fmt.Errorf("%w: address %v, want one of IPv4", ErrConfig, cfg.Address)
	}
	if cfg.Spin == 0 {
		cfg.Spin = defaultSpin
	}
	r := &Receiver{cfg: cfg}
	for i, q := range cfg.Queues {
		w := &worker{queue: q, pool: q.Pool(), spin: cfg.Spin, done: make(chan struct{})}
		if len(cfg.Handlers) > 0 {
			w.handler = cfg.Handlers[i]
		}
		w.responder = newResponder(q, cfg.Address)
		w.sends = w.answers || w.handler != nil
		r.workers = append(r.workers, w)
	}
	return r, nil
}

// Run receives until the context ends, which is no error, or a queue is of no use any more. The queues are the caller's again after
// it.
func (r *Receiver) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, w := range r.workers {
		go func() {
			defer close(w.done)
			if w.err = w.loop(); w.err != nil {
				cancel() // the others alone would tell half of the truth
			}
		}()
	}
	<-ctx.Done()
	if r.cfg.Quiet != nil {
		err = r.cfg.Quiet()
	}
	for _, w := range r.workers {
		w.stopping.Store(true)
		w.queue.Wake()
	}
	for _, w := range r.workers {
		<-w.done
		err = errors.Join(err, w.err)
	}
	return err
}

// Counters are what a worker did with packets, beside receiving them.
type Counters struct {
	Dropped   uint64 `help:"packets received and dropped, as was asked for"`
	Measured  uint64 `help:"packets given to the measurement"`
	Reflected uint64 `help:"packets sent back"`
	Answered  uint64 `help:"ARP requests answered"`

	NotSent   uint64 `help:"packets dropped that should have been sent: the TX ring was full, or the link down"`
	Short     uint64 `help:"packets not sent back: they end within their headers"`
	Group     uint64 `help:"packets not sent back: to or from a group, broadcast or no address"`
	NotIP     uint64 `help:"packets not sent back: no IPv4, or a fragment where ports were wanted"`
	NoPorts   uint64 `help:"packets not sent back: neither TCP nor UDP"`
	Foreign   uint64 `help:"packets not sent back: their source is outside the networks that may be answered"`
	Ourselves uint64 `help:"packets not sent back: they are from our own address"`

	Conflicts uint64 `help:"ARP packets of another host that has our address"`
	LinkDown  uint64 `help:"turns in which the link was down"`
	Sleeps    uint64 `help:"times that the worker slept"`
}

// Queue is what became of the packets of one queue.
type Queue struct {
	Index  int              `json:"queue"`
	Stats  afxdp.Stats      `json:"-"`
	Kernel afxdp.Statistics `json:"-"`
	Counters
}

// Snapshot returns the counters of each queue so far.
func (r *Receiver) Snapshot() ([]Queue, error) {
	var all error
	queues := make([]Queue, 0, len(r.workers))
	for _, w := range r.workers {
		w.mu.Lock()
		q := Queue{Index: w.queue.Index(), Stats: w.stats, Counters: w.counters}
		var err error
		q.Kernel, err = w.queue.Statistics()
		w.mu.Unlock()
		all = errors.Join(all, err)
		queues = append(queues, q)
	}
	return queues, all
}
