package afxdp

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/deferral"
	"github.com/xdpstack/xdpstack/internal/netdev"
)

// busyPoll has the goroutine that owns a queue run the driver's receive work itself, in place of interrupts and softirqs
// (Documentation/networking/napi.rst, "Busy polling"; SO_PREFER_BUSY_POLL, Linux 5.11).
//
// The kernel takes the options on any socket. Whether they do anything depends on whether it knows the NAPI that serves the
// socket's queue. From Linux 6.14 on it looks when the socket is bound, with zero-copy only, and finds one if the driver has told
// which serves its queues; before that it was told with each packet, by some drivers. So the queue looks, and polls only when
// there is one: each poll is a system call, which would be for nothing.
type busyPoll struct {
	on     bool
	active atomic.Bool // the kernel knows the NAPI
	looks  uint32      // times that the queue was empty while it was not active
	// apart: polling the receive queue does not run the driver's transmit work, and all that sendto does is poll, for a socket
	// that prefers busy polling: on virtio_net and igb nothing was ever sent. So the driver is woken otherwise.
	apart bool
	left  int    // frames in the TX ring at the last kick
	same  uint32 // kicks since it was another number
	fds   [1]unix.PollFd
	now   unix.Timespec // at once

	place    deferral.Place
	queue    int
	want     deferral.Settings
	deferred *deferral.Deferral
	failed   error // why interrupts are not deferred
}

// lookInterval is how many empty receives are between two looks whether the kernel knows the NAPI.
const lookInterval = 1024

// stuckKicks is how many kicks without an effect are between two attempts to wake the driver otherwise.
const stuckKicks = 64

// start asks for busy polling on a bound socket.
func (p *busyPoll) start(at place, info *Info, fd int, o *Options) error {
	if p.adopt(at, info, fd, o); !p.on {
		return nil
	}
	for _, s := range []struct {
		name          string
		option, value int
	}{
		{"SO_PREFER_BUSY_POLL", unix.SO_PREFER_BUSY_POLL, 1},
		{"SO_BUSY_POLL", unix.SO_BUSY_POLL, max(int(o.BusyPoll/time.Microsecond), 1)},
		{"SO_BUSY_POLL_BUDGET", unix.SO_BUSY_POLL_BUDGET, o.BusyPollBudget},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, s.option, s.value); err != nil {
			return at.fail("set "+s.name, privilege(err), err, "Linux 5.11 and CAP_NET_ADMIN are needed; or do without busy polling")
		}
	}
	p.activate(fd)
	return nil
}

// adopt is start for a socket whose options are set.
func (p *busyPoll) adopt(at place, info *Info, fd int, o *Options) {
	if o.BusyPoll == 0 {
		return
	}
	p.on, p.queue = true, at.queue
	p.want = deferral.Settings{DeferHardIRQs: o.DeferHardIRQs, GROFlush: o.GROFlush}
	p.place = deferral.At(at.name, at.index, info.MAC)
	p.apart = p.transmitsApart(fd)
}

// transmitsApart reports whether transmission with zero-copy has a NAPI of its own, as far as that is known: virtio_net, and igb
// with few queues. See busyPoll.apart.
func (p *busyPoll) transmitsApart(fd int) bool {
	if p.place.Conn == nil || !zeroCopy(fd) {
		return false
	}
	rx, err := p.place.Conn.Queue(p.place.Index, netdev.Receive, p.queue)
	if err != nil {
		return false
	}
	tx, err := p.place.Conn.Queue(p.place.Index, netdev.Transmit, p.queue)
	return err == nil && rx.NAPI != tx.NAPI
}

// stuck reports, once in a while, that kicks do not change what is in the TX ring. The NAPI that the socket knows may be gone: a
// driver that is reset and does not keep its number (igc, gve, tsnep) leaves the socket polling nothing, and nothing would be sent
// any more.
func (p *busyPoll) stuck(left int) bool {
	if left != p.left {
		p.left, p.same = left, 0
		return false
	}
	p.same++
	return p.same%stuckKicks == 0
}

// wake wakes the driver to transmit: poll does that for a socket that prefers busy polling too.
func (p *busyPoll) wake(fd int) {
	p.fds[0] = unix.PollFd{Fd: int32(fd)}
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p.fds)), 1, uintptr(unsafe.Pointer(&p.now)), 0, 0, 0)
}

// activate looks whether the kernel knows the socket's NAPI, and then has its interrupts wait. Not before: where nobody polls,
// each packet would wait for the timer, which on veth makes a round of request and response take 105 µs instead of 31 with a
// timer of 20 µs, and 230 with one of 200 µs.
func (p *busyPoll) activate(fd int) bool {
	id, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_INCOMING_NAPI_ID)
	if err != nil || id == 0 {
		return false
	}
	p.deferred, p.failed = deferral.Set(&p.place, p.queue, uint32(id), p.want)
	p.active.Store(true) // and with it, others may see why interrupts are not deferred
	return true
}

// stop puts back what was before.
func (p *busyPoll) stop() error {
	var err error
	if p.deferred != nil {
		err = p.deferred.Undo()
		p.deferred = nil
	}
	p.place.Close()
	return err
}

// rest puts back what was before while another process may have the queue. If it comes back, the next look finds the NAPI again.
func (p *busyPoll) rest() error {
	if p.deferred == nil {
		return nil
	}
	err := p.deferred.Undo()
	p.deferred = nil
	p.active.Store(false)
	p.looks = 0
	return err
}

// poll runs the driver's receive work of a queue that was found empty. It reports false if that would be in vain.
func (p *busyPoll) poll(fd int) bool {
	if !p.active.Load() {
		p.looks++
		if p.looks%lookInterval != 1 || !p.activate(fd) {
			return false
		}
	}
	recvfrom(fd)
	return true
}

// noDeferral returns why interrupts are not deferred while the queue is polled, nil if they are or nobody asked. A kernel that
// cannot is no error.
func (p *busyPoll) noDeferral() error {
	if !p.active.Load() || errors.Is(p.failed, os.ErrNotExist) {
		return nil
	}
	return p.failed
}
