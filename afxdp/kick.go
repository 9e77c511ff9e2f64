package afxdp

import "golang.org/x/sys/unix"

// sendto wakes the kernel to transmit.
//
// In copy mode the call is the transmission, 64 full frames through veth take 100 to 200 µs, so the Go scheduler is told and
// may give this thread's P to other goroutines meanwhile. Measured on two cores, against a RawSyscall that keeps the P: the same
// number of frames sent, but computing goroutines get a third more done, and a timer of 1 ms goes off 0.2 to 1.7 ms late
// instead of 2.2 to 3.7 ms; where no other goroutine wants to run, keeping it is faster (Options.KeepProcessor). In zero-copy mode the call
// only starts the card, and the hand-off would cost more than it.
func sendto(fd int, lend bool) unix.Errno {
	if lend {
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		return errno
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// recvfrom wakes the kernel to look at the fill ring. It transmits nothing and returns at once.
func recvfrom(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// judge counts the outcome of a kick. What passes by itself is no error: the frames wait in the TX ring for the next flush, or,
// with EBUSY, one was dropped as any network may. The errors are a link that is down, which passes too but not soon, and what
// should not happen.
func (b *base) judge(errno unix.Errno) error {
	b.stats.Kicks++
	switch errno {
	case 0:
		b.down = false
	case unix.EINTR:
	case unix.EAGAIN:
		b.stats.KickEagain++
	case unix.EBUSY:
		b.stats.KickEbusy++
	case unix.ENOBUFS, unix.ENOMEM:
		b.stats.KickEnobufs++
	case unix.ENETDOWN:
		b.stats.KickDown++
		b.down = true
		return b.errDown
	case unix.ENXIO:
		b.stats.KickDown++
		b.down = true
		return b.errGone
	default:
		b.stats.KickErrors++
		return b.at.errno("send", errno)
	}
	return nil
}
