package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

// Config says how connections are handed on. A zero field means the default that is given with it.
type Config struct {
	Target  Target
	Header  bool          // begin each connection to the target with a PROXY protocol header, version 2
	Connect time.Duration // how long connecting to the target may take; default 5 s
	Idle    time.Duration // a connection on which nothing passes for so long is reset; default never
}

const defaultConnect = 5 * time.Second

// Stats are what became of connections. Only a shard writes its own.
type Stats struct {
	Accepted uint64 `help:"connections accepted from clients"`
	Open     uint64 `help:"connections that are being handed on" kind:"gauge"`
	Refused  uint64 `help:"connections reset: the target refused, or could not be reached"`
	Timeouts uint64 `help:"connections reset: the target did not answer in time"`
	Idle     uint64 `help:"connections reset: nothing passed for the idle time"`
	Limit    uint64 `help:"connections reset: no socket was to be had from the kernel; raise the limit of open files"`
	Cut      uint64 `help:"connections cut: their client had ended, and the target did not take what it had sent"`
	Broken   uint64 `help:"connections reset: the target reset its side"`
	ToTarget uint64 `help:"bytes handed on to the target"`
	ToClient uint64 `help:"bytes handed on to clients"`
}

// Proxy hands connections on. It is one for all shards of a stack.
type Proxy struct {
	cfg    Config
	stack  *stack.Stack
	shards []*shard
}

// New makes a proxy for connections of a stack, and hooks it into the stack's shards, whose OnTurn it is. It must not be
// called on a shard. Close comes after the stack's.
func New(s *stack.Stack, cfg Config) (*Proxy, error) {
	if cfg.Connect == 0 {
		cfg.Connect = defaultConnect
	}
	if cfg.Connect < 0 || cfg.Idle < 0 {
		return nil, fmt.Errorf("proxy: connecting within %v, idle for %v: neither can be negative", cfg.Connect, cfg.Idle)
	}
	p := &Proxy{cfg: cfg, stack: s}
	for range s.Shards() {
		sh, err := newShard(p)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.shards = append(p.shards, sh)
	}
	for i, sh := range p.shards {
		if err := s.Shard(i).Do(sh.attach); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// Close gives back what the proxy has of the kernel's. The stack must be closed.
func (p *Proxy) Close() error {
	var errs []error
	for _, sh := range p.shards {
		errs = append(errs, sh.close())
	}
	return errors.Join(errs...)
}

// Handler returns what a listener of the stack's gives its connections to.
func (p *Proxy) Handler() stack.Handler {
	if p.cfg.Target.Kernel {
		return kernelHandler{p}
	}
	return clientHandler{p}
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
