package proxy

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// Config says how connections are handed on. A zero field means the default that is given with it.
type Config struct {
	// Targets take turns, all of one kind: through the kernel, or through the stack. One that refuses, or does not answer in time, is left
	// out for a second, and the connection goes to the next. At least one.
	Targets []Target
	Header  bool          // begin each connection to a target with a PROXY protocol header, version 2
	Connect time.Duration // how long connecting to a target may take; default 5 s
	Idle    time.Duration // a connection on which nothing passes for so long is reset; default never
}

const (
	defaultConnect = 5 * time.Second
	maxTargets     = 256
	leftOut        = time.Second // that a target which failed gets no connections
)

// Check says what is wrong with a configuration.
func (c *Config) Check() error {
	switch {
	case len(c.Targets) == 0:
		return errors.New("proxy: no target: whom to hand connections on to?")
	case len(c.Targets) > maxTargets:
		return fmt.Errorf("proxy: %d targets: at most %d can take turns", len(c.Targets), maxTargets)
	case c.Connect < 0 || c.Idle < 0:
		return fmt.Errorf("proxy: connecting within %v, idle for %v: neither can be negative", c.Connect, c.Idle)
	}
	for _, t := range c.Targets[1:] {
		if t.Kernel != c.Targets[0].Kernel {
			return fmt.Errorf("proxy: targets %v and %v: those that take turns are all the kernel's, or all reached through the stack",
				c.Targets[0], t)
		}
	}
	return nil
}

// Route is where the connections of a listener are handed on to.
type Route struct {
	proxy  *Proxy
	kernel bool
	plan   atomic.Pointer[plan]
}

// plan is what a route does with a new connection. A connection keeps the one that it began with.
type plan struct {
	Config
	shards []turns
}

// turns is how far one shard is with the targets of a plan.
type turns struct {
	next int          // whose turn it is
	out  []clock.Time // until when each target is left out
	_    [32]byte     // a cache line for each shard
}

func newPlan(cfg Config, shards int) *plan {
	if cfg.Connect == 0 {
		cfg.Connect = defaultConnect
	}
	p := &plan{Config: cfg, shards: make([]turns, shards)}
	for i := range p.shards {
		p.shards[i].out = make([]clock.Time, len(cfg.Targets))
	}
	return p
}

// Set has connections that come from now on handed on in another way. The kind of the targets must stay.
func (r *Route) Set(cfg Config) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	if cfg.Targets[0].Kernel != r.kernel {
		return errors.New("proxy: a route to the kernel's sockets cannot become one through the stack, nor the other way round")
	}
	r.plan.Store(newPlan(cfg, len(r.proxy.shards)))
	return nil
}

// Handler returns what a listener of the stack's gives its connections to.
func (r *Route) Handler() stack.Handler {
	if r.kernel {
		return kernelHandler{r}
	}
	return clientHandler{r}
}

// attempt is a connection's way through the targets of its plan.
type attempt struct {
	plan  *plan
	began clock.Time // with the present target
	now   uint16     // the present target
	tried uint16     // how many it has had
}

// first chooses the target of a new connection.
func (a *attempt) first(r *Route, shard int, now clock.Time) Target {
	a.plan = r.plan.Load()
	return a.choose(shard, now)
}

// another chooses the next target after one has failed. It reports false if there is none left.
func (a *attempt) another(shard int, now clock.Time) (Target, bool) {
	a.plan.shards[shard].out[a.now] = now.Add(leftOut)
	if int(a.tried) == len(a.plan.Targets) {
		return Target{}, false
	}
	return a.choose(shard, now), true
}

// choose takes the target whose turn it is, or the next that is not left out. If all are, it is the first one's turn all the same.
func (a *attempt) choose(shard int, now clock.Time) Target {
	t := &a.plan.shards[shard]
	n := len(a.plan.Targets)
	for range n {
		if !t.out[t.next].After(now) {
			break
		}
		t.next = (t.next + 1) % n
	}
	a.now, a.began = uint16(t.next), now
	a.tried++
	t.next = (t.next + 1) % n
	return a.plan.Targets[a.now]
}
