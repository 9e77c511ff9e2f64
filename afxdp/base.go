package afxdp

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
)

// base is what the queues of both drivers have in common.
type base struct {
	sleeper
	at    place
	fd    int // the AF_XDP socket, -1 when closed
	pool  *frame.Pool
	stats Stats
	mac   [6]byte
	mtu   int
	mode  BoundMode

	down  bool          // the link was down, or gone, when last heard of
	slept time.Duration // since the socket's health was checked

	// Made beforehand: they are returned from the hot path, as long as a link is down at each turn.
	errDown, errGone error
}

const (
	longestSleep = time.Second           // then the socket's health is checked: poll does not report that a link is down or gone
	retrySleep   = time.Millisecond      // while frames wait for the device, the send buffer or completions
	downSleep    = 10 * time.Millisecond // while frames wait for the link
)

func (b *base) init(at place, info *Info, o *Options) {
	b.at, b.fd, b.event = at, -1, -1
	b.mac = info.MAC
	b.mtu = min(info.MTU, room(o.FrameSize, o.Headroom))
	b.errDown = at.fail("send and receive", ErrInterfaceDown, unix.ENETDOWN, "bring it up with: ip link set "+at.name+" up")
	b.errGone = at.fail("send and receive", ErrGone, unix.ENXIO, "the interface was removed: open it again when it is back")
}

// Index returns the queue's number.
func (b *base) Index() int { return b.at.queue }

// Pool returns the pool that the queue's frames are from.
func (b *base) Pool() *frame.Pool { return b.pool }

// HardwareAddr returns the interface's Ethernet address.
func (b *base) HardwareAddr() [6]byte { return b.mac }

// MTU returns the longest network packet in bytes, without the Ethernet header, that the queue can receive and send. One that is larger
// than a frame's room lies in several.
func (b *base) MTU() int { return b.mtu }

// Mode returns how the socket is bound.
func (b *base) Mode() BoundMode { return b.mode }

// Stats returns the queue's counters, which the queue's goroutine writes.
func (b *base) Stats() *Stats { return &b.stats }

// Statistics returns the kernel's counters of the socket.
func (b *base) Statistics() (Statistics, error) {
	if b.fd < 0 {
		return Statistics{}, b.at.fail("read statistics", ErrClosed, nil, "")
	}
	s, err := statistics(b.fd)
	if err != nil {
		return s, b.at.errno("read statistics", err)
	}
	return s, nil
}

// wait is Wait after the RX ring was found empty. With unsent, frames wait in the TX ring, or none is free until some complete:
// neither makes the socket readable, so the sleep is short.
func (b *base) wait(timeout time.Duration, unsent bool) error {
	if b.fd < 0 {
		return b.at.fail("wait", ErrClosed, nil, "")
	}
	if timeout < 0 || timeout > longestSleep {
		timeout = longestSleep
	}
	if unsent && b.down {
		timeout = min(timeout, downSleep)
	} else if unsent {
		timeout = min(timeout, retrySleep)
	}
	b.stats.Sleeps++
	packet, woken, err := b.sleep(timeout)
	if woken {
		b.stats.Wakes++
	}
	if err != nil {
		return b.at.errno("wait", err)
	}
	if packet || woken {
		return nil
	}
	b.slept += timeout
	if b.down || b.slept >= longestSleep {
		b.slept = 0
		return b.health()
	}
	return nil
}

// health asks the kernel whether the link is up. The error comes after a sleep, so a loop that goes on calling Wait neither spins
// nor misses the link's return.
func (b *base) health() error {
	errno := recvfrom(b.fd)
	b.down = errno == unix.ENETDOWN || errno == unix.ENXIO
	switch errno {
	case unix.ENETDOWN:
		return b.errDown
	case unix.ENXIO:
		return b.errGone
	}
	return nil
}
