package pkt

import (
	"syscall"

	"github.com/xdpstack/xdpstack/internal/sock"
)

// socket is a descriptor of the script.
type socket struct {
	*sock.Socket
	nonblock bool
	wrote    uint32 // bytes of the stream
	read     uint32
}

// outcome is what a call returns.
type outcome struct {
	n     int64
	errno syscall.Errno
}

func fail(e syscall.Errno) outcome { return outcome{-1, e} }

// result makes an outcome of what a call of package sock returns.
func result(n int, e syscall.Errno) outcome {
	if e != 0 {
		return fail(e)
	}
	return outcome{n: int64(n)}
}

// attempt tries to complete a call, and reports whether it did.
type attempt func() (outcome, bool)

func (r *runner) listen(s *socket, backlog int) outcome {
	e := s.Listen(servicePort, backlog)
	if e == 0 {
		r.host.flow.LocalPort, r.host.flow.RemotePort = servicePort, peerPort
	}
	return result(0, e)
}

// connect begins an active open; the call completes when the connection is established or has failed.
func (r *runner) connect(s *socket) attempt {
	h := r.host
	if s.Conn() != nil {
		return func() (outcome, bool) { return result(0, s.Connect(h.flow)), true }
	}
	h.flow.LocalPort, h.flow.RemotePort = firstPort, servicePort
	for h.Has(h.flow) {
		h.flow.LocalPort++
	}
	if e := s.Connect(h.flow); e != 0 {
		return complete(fail(e))
	}
	r.wire.known = false
	return func() (outcome, bool) {
		e := s.Opened()
		return result(0, e), e != syscall.EINPROGRESS || s.nonblock
	}
}

func (r *runner) accept(s *socket, fd int64) attempt {
	return func() (outcome, bool) {
		n, e := s.Accept()
		if e != 0 {
			return fail(e), e != syscall.EAGAIN || s.nonblock
		}
		r.sockets[fd] = &socket{Socket: n}
		return outcome{n: fd}, true
	}
}

// write takes n bytes; a blocking one completes when all were taken.
func (r *runner) write(s *socket, n int, dontWait bool) attempt {
	total := 0
	return func() (outcome, bool) {
		took, e := s.writePattern(n - total)
		for total += took; took > 0 && total < n && !s.nonblock && !dontWait; total += took {
			took, e = s.writePattern(n - total)
		}
		switch {
		case total == n:
			return outcome{n: int64(n)}, true
		case e != 0 && e != syscall.EAGAIN:
			return fail(e), true
		case !s.nonblock && !dontWait:
			return outcome{}, false
		case total == 0:
			return fail(e), true
		}
		return outcome{n: int64(total)}, true
	}
}

// sendFast is sendto with MSG_FASTOPEN: connect, and the data with the SYN if there is a cookie. Without one a call that must not wait
// only begins to connect.
func (r *runner) sendFast(s *socket, n int, dontWait bool) attempt {
	if s.Conn() != nil {
		return r.write(s, n, dontWait)
	}
	_ = s.SetOption("TCP_FASTOPEN_CONNECT", sock.Value{N: 1}) // which every socket takes
	connect := r.connect(s)
	var write attempt
	return func() (outcome, bool) {
		if write == nil {
			if got, done := connect(); !done || got.n != 0 {
				return got, done
			}
			write = r.write(s, n, dontWait)
		}
		return write()
	}
}

// writePattern writes as much of the next n bytes of the stream as there is room for.
func (s *socket) writePattern(n int) (int, syscall.Errno) {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(1 + s.wrote + uint32(i))
	}
	took, e := s.Write(b)
	s.wrote += uint32(took)
	return took, e
}

// read completes when there is anything to read, or nothing more can come.
func (r *runner) read(s *socket, n int, dontWait bool) attempt {
	return func() (outcome, bool) {
		b := make([]byte, n)
		got, e := s.Read(b)
		if e != 0 {
			return fail(e), e != syscall.EAGAIN || s.nonblock || dontWait
		}
		for _, c := range b[:got] {
			if s.read++; c != pattern(s.read) {
				r.trace = append(r.trace, traced{at: r.host.now, text: "the bytes read are not those that were sent there"})
				return fail(syscall.EIO), true
			}
		}
		return outcome{n: int64(got)}, true
	}
}

func (r *runner) close(fd int64, s *socket) outcome {
	delete(r.sockets, fd)
	s.Close()
	return outcome{}
}

// lastConn returns the connection that the script last opened or accepted, also if it is gone.
func (r *runner) lastConn() *sock.Conn {
	if c := r.host.Last(); c != nil {
		return c
	}
	best := int64(-1)
	for fd, s := range r.sockets {
		if s.Conn() != nil && fd > best {
			best = fd
		}
	}
	if best < 0 {
		return nil
	}
	return r.sockets[best].Conn()
}
