package stack

import (
	"context"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// Drainer is what a [Handler] may be besides: one that can end its connections in order, each where its protocol allows.
type Drainer interface {
	// Drain: c is to end soon. It is called once for each open connection when [Stack.Shutdown] begins, or when
	// [HandlerListener.Drain] is called for its listener. It may close c.
	Drain(c *Conn)
}

// Drained says how the connections ended that were open when [Stack.Shutdown] began.
type Drained struct {
	Ended uint64 // in order, or by their peers
	Reset uint64 // by the stack, since they were still open
}

const (
	// drainSlice is how many connections are looked at in one turn: a million must not hold up a shard.
	drainSlice = 1024
	// drainPoll is the time between two looks at what is left.
	drainPoll = 10 * time.Millisecond
	// drainLinger is how long peers may take that have only to close: a reset takes from some what they have not read yet.
	drainLinger = time.Second
)

// Shutdown ends the stack's service in order: it stops listening, so that SYNs are answered with a reset, has each Drainer end its
// connections, and waits until all have ended. Those that are left when ctx is done are reset. progress, if not nil, is told now and then
// how many are left. Datagrams, and connections that are dialed, work until [Stack.Close], which is to follow.
//
// The connections of net.Listeners are their users' to close.
func (s *Stack) Shutdown(ctx context.Context, progress func(left int)) (Drained, error) {
	before, err := s.closedSoFar()
	if err != nil {
		return Drained{}, err
	}
	if err := s.stopListening(); err != nil {
		return Drained{}, err
	}
	if err := s.eachConn(func(c *Conn) { c.drain() }); err != nil {
		return Drained{}, err
	}
	if err := s.waitDrained(ctx, progress); err != nil {
		return Drained{}, err
	}
	after, err := s.closedSoFar()
	if err != nil {
		return Drained{}, err
	}
	d := Drained{Ended: after - before}
	err = s.eachConn(func(c *Conn) { // one shard after the other, so that d is safe
		if c.spoken() {
			d.Ended++
		} else {
			d.Reset++
			c.shard.stats.DrainReset++
		}
		c.Abort()
	})
	return d, err
}

// waitDrained returns when no connection is left but such that only their peers have to close, or ctx is done.
func (s *Stack) waitDrained(ctx context.Context, progress func(left int)) error {
	var spoken time.Time // since when only such are left
	for {
		left, waiting := 0, 0
		err := s.eachConn(func(c *Conn) {
			left++
			if c.spoken() {
				waiting++
			}
		})
		if err != nil || left == 0 {
			return err
		}
		now := time.Now()
		switch {
		case left > waiting:
			spoken = time.Time{}
		case spoken.IsZero():
			spoken = now
		case now.Sub(spoken) >= drainLinger:
			return nil
		}
		if progress != nil {
			progress(left)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(drainPoll + time.Duration(left)*time.Microsecond):
		}
	}
}

// Drain stops accepting, as Close does, and has the handler end the connections that are open, if it is a Drainer.
func (l *HandlerListener) Drain() error {
	if l.closed.Load() {
		return errClosed
	}
	type source struct {
		shard  *Shard
		origin uint32
	}
	mine := make(map[source]bool)
	for _, sh := range l.stack.shards {
		sh.call(func(sh *Shard) {
			if k := sh.listenerAt(l.stack.address4(l.at), l.at.port); k != nil && k.at == l.at {
				sh.origins.use(k.origin) // so that nobody else gets the number meanwhile
				mine[source{sh, k.origin}] = true
			}
		})
	}
	err := l.Close()
	if err == nil {
		err = l.stack.eachConn(func(c *Conn) {
			if mine[source{c.shard, c.origin}] {
				c.drain()
			}
		})
	}
	for m := range mine {
		m.shard.call(func(sh *Shard) { sh.origins.leave(m.origin) })
	}
	return err
}

// stopListening closes every TCP listener, and lets nobody listen any more.
func (s *Stack) stopListening() error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	type port struct {
		at  endpoint
		net *NetListener
	}
	var ports []port
	if !s.shards[0].call(func(sh *Shard) {
		for _, l := range sh.lnList {
			ports = append(ports, port{l.at, l.net})
		}
	}) {
		return errClosed
	}
	for _, p := range ports { // An error means that somebody else has closed it just now.
		if p.net != nil {
			_ = p.net.Close()
		} else {
			_ = s.unlisten(p.at)
		}
	}
	return nil
}

// closedSoFar returns how many connections have ended since the stack was opened.
func (s *Stack) closedSoFar() (n uint64, err error) {
	for _, sh := range s.shards {
		if !sh.call(func(sh *Shard) { n += sh.stats.Closed }) {
			return 0, errClosed
		}
	}
	return n, nil
}

// eachConn calls f for each open connection, on its shard, some of them in each turn. Connections that are opened meanwhile may be left
// out.
func (s *Stack) eachConn(f func(*Conn)) error {
	for _, sh := range s.shards {
		for from, more := 0, true; more; from += drainSlice {
			if !sh.call(func(sh *Shard) { more = sh.someConns(from, from+drainSlice, f) }) {
				return errClosed
			}
		}
	}
	return nil
}

// someConns calls f for the open connections of a part of the slab, and reports whether there is more of that.
func (s *Shard) someConns(from, to int, f func(*Conn)) bool {
	size := s.conns.size()
	for id := from; id < min(to, size); id++ {
		if c := s.conns.at(uint32(id)); c.is(connOpen) {
			f(c)
		}
	}
	return to < size
}

// drain has the handler end the connection, if it can.
func (c *Conn) drain() {
	if !c.is(connOpened) {
		return
	}
	if d, ok := c.handler().(Drainer); ok {
		c.shard.stats.DrainAsked++
		d.Drain(c)
	}
}

// spoken reports whether the peer has acknowledged everything, the FIN included, so that nothing is lost by a reset.
func (c *Conn) spoken() bool { return c.tcp.State() == tcp.StateFinWait2 }
