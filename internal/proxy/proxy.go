package proxy

import (
	"errors"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

// Stats are what became of connections. Only a shard writes its own.
type Stats struct {
	Accepted uint64 `help:"connections accepted from clients"`
	Open     uint64 `help:"connections that are being handed on" kind:"gauge"`
	Refused  uint64 `help:"connections reset: no target took them: it refused, or could not be reached"`
	Timeouts uint64 `help:"connections reset: the target did not answer in time"`
	Idle     uint64 `help:"connections reset: nothing passed for the idle time"`
	Another  uint64 `help:"attempts after which another target was tried: the one before refused, or did not answer"`
	Limit    uint64 `help:"connections reset: no socket was to be had from the kernel; raise the limit of open files"`
	Cut      uint64 `help:"connections cut: their client had ended, and the target did not take what it had sent"`
	Broken   uint64 `help:"connections reset: the target reset its side"`
	ToTarget uint64 `help:"bytes handed on to the target"`
	ToClient uint64 `help:"bytes handed on to clients"`
}

// Proxy hands connections on. It is one for all shards of a stack, and for any number of listeners: each has a [Route].
type Proxy struct {
	stack  *stack.Stack
	shards []*shard
}

// New makes a proxy for connections of a stack. The functions of OnTurns are to be hooked into the stack's shards. Close
// comes after the stack's.
func New(s *stack.Stack) *Proxy {
	p := &Proxy{stack: s}
	for i := range s.Shards() {
		p.shards = append(p.shards, &shard{proxy: p, number: i, stats: &Stats{}, epoll: -1})
	}
	return p
}

// OnTurns returns what looks after the connections of each shard: see [stack.Shard.SetOnTurn].
func (p *Proxy) OnTurns() (all []stack.OnTurn) {
	for _, sh := range p.shards {
		all = append(all, sh.turn)
	}
	return all
}

// Route makes a way for the connections of a listener. It must not be called on a shard.
func (p *Proxy) Route(cfg Config) (*Route, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := &Route{proxy: p, kernel: cfg.Targets[0].Kernel}
	r.plan.Store(newPlan(cfg, len(p.shards)))
	if !r.kernel {
		return r, nil
	}
	for i, sh := range p.shards {
		var err error
		if e := p.stack.Shard(i).Do(func(s *stack.Shard) { err = sh.watch(s) }); e != nil || err != nil {
			return nil, errors.Join(e, err)
		}
	}
	return r, nil
}

// Close gives back what the proxy has of the kernel's. The stack must be closed.
func (p *Proxy) Close() error {
	var errs []error
	for _, sh := range p.shards {
		errs = append(errs, sh.close())
	}
	return errors.Join(errs...)
}

// Stats returns the sum over the shards.
func (p *Proxy) Stats() (sum Stats, err error) {
	for i, sh := range p.shards {
		if err := p.stack.Shard(i).Do(func(*stack.Shard) { sum = metrics.Add(sum, *sh.stats) }); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
