package stack

import "github.com/xdpstack/xdpstack/internal/clock"

// OnTurn is called on a shard once in each of its turns, after what has arrived, what goroutines asked for and timers, and before the
// connections are run: what it writes, and the connections that it opens, are sent in the same turn. It returns when it wants to be called
// next; the shard does not sleep past that, and may call it earlier. [clock.Never] leaves that to what else there is to do. It must not
// block, as the methods of a [Handler] must not.
type OnTurn func(s *Shard, now clock.Time) (next clock.Time)

// turn is what a shard has for an OnTurn.
type turn struct {
	call OnTurn     // nil: nobody wants to be called
	at   clock.Time // when it is to be called; Never without one
}

// SetOnTurn replaces the shard's [Config.OnTurn]; nil: by none. It may be called only on the shard: by a handler, by the function itself,
// or through [Shard.Do].
func (s *Shard) SetOnTurn(f OnTurn) {
	s.turn = turn{call: f, at: clock.Never}
	if f != nil {
		s.turn.at = s.now
	}
}

// watcher is what a Device may be besides: one whose Wait ends when a file descriptor is readable, too. See afxdp.Queue.
type watcher interface{ Watch(fd int) }

// Watch ends the shard's sleeps when a file descriptor is readable, too, for an OnTurn that looks after others than the stack's
// connections: sockets of the kernel's in an epoll instance. -1 ends that, and is to be said before the descriptor is closed. There is
// one for a shard. It reports false if the shard's device cannot: then the OnTurn has to ask for turns. It may be called only on the shard.
func (s *Shard) Watch(fd int) bool {
	w, ok := s.dev.(watcher)
	if ok {
		w.Watch(fd)
	}
	return ok
}

// take calls the function, if there is one, and reports whether it was due.
func (t *turn) take(s *Shard) bool {
	if t.call == nil {
		return false
	}
	due := !t.at.After(s.now)
	call := t.call
	at := call(s, s.now)
	if t.call != nil { // It may have taken itself away.
		t.at = at
	}
	return due
}

// Do calls f on the shard, between two of its turns or early in one, and returns when f has. Any goroutine may call it, but not one that
// runs on a shard. It returns net.ErrClosed if the shard has stopped before.
func (s *Shard) Do(f func(*Shard)) error {
	if !s.call(f) {
		return errClosed
	}
	return nil
}
