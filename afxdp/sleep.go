package afxdp

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper lets one goroutine sleep until its socket, or a descriptor that it watches besides, is readable, until another goroutine wakes
// it, or for a time.
//
//	         sleep            Wake: write to the eventfd
//	awake ──────────► asleep ────────────────────────────┐
//	 │ ▲ └───────────────────────────────────► notified ◄┘
//	 │ │            Wake: no system call          │
//	 │ └───── sleep returns, at once if notified ─┘
//
// So a wake-up costs a system call only if somebody sleeps, any number of them cost one, and none is lost: one that comes before
// the sleep makes the sleep return at once.
type sleeper struct {
	state atomic.Uint32
	fds   [3]unix.PollFd // the eventfd, the socket, what is watched besides (-1: nothing)
	time  unix.Timespec

	mu    sync.Mutex // so that no Wake writes to a descriptor that Close has closed and somebody else has opened since
	event int        // the eventfd, -1 when closed
}

const (
	awake = iota
	asleep
	notified
)

func (s *sleeper) openEvent(at place, socket int) error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		s.event = -1
		return at.errno("make an eventfd", err)
	}
	s.event = fd
	s.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	s.fds[1] = unix.PollFd{Fd: int32(socket), Events: unix.POLLIN}
	s.Watch(-1)
	return nil
}

// Watch has Wait return when a file descriptor is readable, too, an epoll instance for example, until another is watched in its place; -1:
// none. Only the goroutine that calls Wait may call it, and must not close the descriptor while it is watched.
func (s *sleeper) Watch(fd int) { s.fds[2] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} }

func (s *sleeper) closeEvent() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := s.event
	s.event = -1
	if fd < 0 {
		return nil
	}
	return unix.Close(fd)
}

// Wake makes the present or next Wait return. Any goroutine may call it, after Close too.
func (s *sleeper) Wake() {
	if s.state.Swap(notified) != asleep {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.event >= 0 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(s.event, one[:]) // the one failure, EAGAIN, means that it is readable already
	}
}

// sleep sleeps for at most d. It reports whether there may be a packet, and whether it was woken.
func (s *sleeper) sleep(d time.Duration) (packet, woken bool, err error) {
	if !s.state.CompareAndSwap(awake, asleep) {
		s.state.Store(awake)
		return false, true, nil
	}
	s.time = unix.NsecToTimespec(int64(d))
	s.fds[0].Revents, s.fds[1].Revents, s.fds[2].Revents = 0, 0, 0
	_, err = unix.Ppoll(s.fds[:], &s.time, nil)
	woken = s.state.Swap(awake) == notified
	if s.fds[0].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(s.event, count[:])
		woken = true
	}
	woken = woken || s.fds[2].Revents != 0
	if err == unix.EINTR { // a preemption signal of the Go runtime, for example
		return true, woken, nil
	}
	return s.fds[1].Revents != 0, woken, err
}
