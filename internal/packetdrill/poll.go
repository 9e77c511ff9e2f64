package packetdrill

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Poll waits until one of the descriptors is ready, for at most so many milliseconds; negative is for ever.
func (s *Stack) Poll(fds []unix.PollFd, timeout int) (int, syscall.Errno) {
	var deadline time.Time
	if timeout >= 0 {
		deadline = time.Now().Add(time.Duration(timeout) * time.Millisecond)
	}
	n, e := s.wait(timeout == 0, deadline, func() (int, syscall.Errno) {
		ready := 0
		for i := range fds {
			if fds[i].Revents = s.ready(&fds[i]); fds[i].Revents != 0 {
				ready++
			}
		}
		if ready == 0 {
			return 0, syscall.EAGAIN
		}
		return ready, 0
	})
	if e == syscall.EAGAIN {
		return 0, 0
	}
	return n, e
}

// ready returns what a descriptor is ready for, of what is asked and what is always told.
func (s *Stack) ready(p *unix.PollFd) int16 {
	if p.Fd < 0 {
		return 0
	}
	f := s.files[int(p.Fd)]
	if f == nil {
		return unix.POLLNVAL
	}
	r := f.sock.Ready()
	bits := int16(0)
	for _, b := range []struct {
		on  bool
		bit int16
	}{
		{r.In, unix.POLLIN}, {r.Out, unix.POLLOUT}, {r.RDHup, unix.POLLRDHUP},
		{r.Hup, unix.POLLHUP}, {r.Err, unix.POLLERR},
	} {
		if b.on {
			bits |= b.bit
		}
	}
	return bits & (p.Events | unix.POLLHUP | unix.POLLERR)
}
