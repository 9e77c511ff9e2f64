package proxy

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

const (
	maxEvents    = 128                    // taken from the epoll instance at a time
	readSize     = 64 << 10               // bytes read at a time
	unwatched    = 100 * time.Microsecond // between looks where the shard's sleep cannot be ended by the epoll instance
	sweepPeriod  = 100 * time.Millisecond // between looks for connections that take too long
	sweepParts   = 16                     // of all, of which one is looked at each time, so that each is found within 1.7 s
	lingerTime   = time.Minute            // that what a client has sent waits for a target that does not read, when the client has ended
	maxLingering = 64 << 20               // bytes, of one shard
	maxReads     = 4                      // of one socket in a turn, so that others get theirs
)

// entry is a connection that is handed on, in the list of its shard.
type entry interface {
	expire(now clock.Time) // reset it if it has waited for too long
	where() *place
}

// place is where an entry is in the list.
type place struct {
	index  uint32
	number uint32 // tells entries apart that had the same place
}

func (p *place) where() *place { return p }

// shard is what one shard of the stack hands on, and the kernel's sockets that it does so to.
type shard struct {
	proxy   *Proxy
	number  int
	stats   *Stats
	entries []entry
	free    []uint32 // indices of entries that are nil
	epoll   int      // -1: no target is the kernel's
	watched bool     // the stack's shard does not sleep while there is an event
	again   []place  // pairs whose socket has more to read than was read at a time
	once    []place  // and those of the turn before
	buffer  [readSize]byte
	// lingering is how many bytes wait for targets that do not read them, of clients that have ended.
	lingering int
	spare     [][]byte // for what is read and there is no room for
	events    [maxEvents]unix.EpollEvent
	sweepAt   clock.Time
	swept     int
}

// watch makes the epoll instance, for the first route to the kernel's sockets.
func (s *shard) watch(sh *stack.Shard) (err error) {
	if s.epoll >= 0 {
		return nil
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		s.epoll = -1
		return fmt.Errorf("proxy: make an epoll instance: %w", err)
	}
	s.watched = sh.Watch(s.epoll)
	return nil
}

// close closes the sockets that are left. The stack's shard must have ended.
func (s *shard) close() error {
	if s.epoll < 0 {
		return nil
	}
	var errs []error
	for _, e := range s.entries {
		if p, ok := e.(*pair); ok && p.fd >= 0 {
			errs = append(errs, unix.Close(p.fd))
		}
	}
	return errors.Join(append(errs, unix.Close(s.epoll))...)
}

// turn looks after the connections, once in each turn of the stack's shard.
func (s *shard) turn(_ *stack.Shard, now clock.Time) clock.Time {
	if s.stats.Open == 0 {
		return clock.Never
	}
	if !s.sweepAt.After(now) {
		s.sweep(now)
		s.sweepAt = now.Add(sweepPeriod)
	}
	if s.epoll < 0 {
		return s.sweepAt
	}
	s.again, s.once = s.once[:0], s.again
	for _, at := range s.once {
		if p := s.pair(at); p != nil {
			p.read()
		}
	}
	n, err := unix.EpollWait(s.epoll, s.events[:], 0)
	if err != nil { // EINTR
		return now
	}
	for i := range s.events[:n] {
		e := &s.events[i]
		if p := s.pair(place{index: uint32(e.Fd), number: uint32(e.Pad)}); p != nil {
			p.ready(e.Events, now)
		}
	}
	switch {
	case n > 0 || len(s.again) > 0:
		return now
	case !s.watched:
		return now.Add(unwatched)
	}
	return s.sweepAt
}

// pair returns the pair that has a place; nil if it has it no more.
func (s *shard) pair(at place) *pair {
	p, ok := s.entries[at.index].(*pair)
	if !ok || p.number != at.number {
		return nil
	}
	return p
}

// add counts a connection and gives it a place.
func (s *shard) add(e entry, now clock.Time) {
	s.stats.Accepted++
	if s.stats.Open++; s.stats.Open == 1 {
		s.sweepAt = now.Add(sweepPeriod)
	}
	at := e.where()
	at.number = uint32(s.stats.Accepted)
	if n := len(s.free); n > 0 {
		at.index = s.free[n-1]
		s.free = s.free[:n-1]
		s.entries[at.index] = e
		return
	}
	at.index = uint32(len(s.entries))
	s.entries = append(s.entries, e)
}

func (s *shard) remove(e entry) {
	s.entries[e.where().index] = nil
	s.free = append(s.free, e.where().index)
	s.stats.Open--
}

// sweep resets the connections of a part of the list that have waited for too long.
func (s *shard) sweep(now clock.Time) {
	for range len(s.entries)/sweepParts + 1 {
		if s.swept >= len(s.entries) {
			s.swept = 0
			return
		}
		if e := s.entries[s.swept]; e != nil {
			e.expire(now)
		}
		s.swept++
	}
}

// keep returns a copy of b, in memory that drop gives back.
func (s *shard) keep(b []byte) []byte {
	var m []byte
	if n := len(s.spare); n > 0 {
		m = s.spare[n-1]
		s.spare = s.spare[:n-1]
	}
	return append(m[:0], b...)
}

func (s *shard) drop(b []byte) {
	if cap(b) > 0 && len(s.spare) < 64 {
		s.spare = append(s.spare, b)
	}
}
