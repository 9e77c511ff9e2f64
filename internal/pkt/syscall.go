package pkt

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// blocked is a call that has not returned yet.
type blocked struct {
	call  *call
	line  int
	try   attempt
	until time.Duration // when it is to return
	wake  time.Duration // when it returns whatever happens
}

// call does a socket call. One that is not complete at once must have an end in the script; the script goes on meanwhile.
func (r *runner) call(c *call, line int, end time.Duration) error {
	if b := r.blocked; b != nil {
		return fmt.Errorf("%s is called while that of line %d still blocks: %s", c.name, b.line, b.call.text)
	}
	r.trace = append(r.trace, traced{at: r.host.now, text: c.text})
	r.host.SetTime(r.host.clock())
	b := &blocked{call: c, line: line, until: end, wake: never}
	if !c.blocks {
		b.until = r.host.now
	}
	try, err := r.attempt(c, b)
	if err != nil {
		return err
	}
	b.try = try
	r.blocked = b
	r.host.Settle()
	if err := r.retry(); err != nil {
		return err
	}
	if r.blocked != nil && !c.blocks {
		return fmt.Errorf("%s blocks; a script says how long it may with start...end in front", c.text)
	}
	return nil
}

// retry tries the blocked call again, and compares what it returns.
func (r *runner) retry() error {
	b := r.blocked
	if b == nil {
		return nil
	}
	got, done := b.try()
	r.host.Settle()
	if !done {
		return nil
	}
	r.blocked = nil
	now := r.host.now
	if b.call.blocks {
		r.trace = append(r.trace, traced{at: now, text: b.call.name + " returns"})
	}
	if late := now - b.until; late > r.set.tolerance || -late > r.set.tolerance {
		return r.errorAt(b.line, "%s returned at %v, expected at %v", b.call.text, seconds(now), seconds(b.until))
	}
	if errno := unix.ErrnoName(got.errno); got.n != b.call.result || errno != b.call.errno {
		return r.errorAt(b.line, "%s returned %d %s", b.call.text, got.n, errno)
	}
	return nil
}

// maxBytes is the most that one call can read or write.
const maxBytes = 1 << 24

// complete makes an attempt of what is complete already.
func complete(o outcome) attempt { return func() (outcome, bool) { return o, true } }

// attempt begins a call.
func (r *runner) attempt(c *call, b *blocked) (attempt, error) {
	switch c.name {
	case "socket":
		return r.socket(c)
	case "poll":
		return r.poll(c, b)
	}
	fd := c.arg(0).n
	s := r.sockets[fd]
	if s == nil {
		return complete(fail(syscall.EBADF)), nil
	}
	n, dontWait := int(c.arg(2).n), c.arg(3).has("MSG_DONTWAIT")
	if n < 0 || n > maxBytes {
		return nil, fmt.Errorf("%s of %d bytes: at most %d are possible", c.name, n, maxBytes)
	}
	switch c.name {
	case "bind":
		return complete(outcome{}), nil
	case "listen":
		return complete(r.listen(s, int(c.arg(1).n))), nil
	case "accept", "accept4":
		if c.result >= 0 && r.sockets[c.result] != nil {
			return nil, fmt.Errorf("descriptor %d is in use", c.result)
		}
		return r.accept(s, c.result), nil
	case "connect":
		return r.connect(s), nil
	case "sendto", "send":
		if c.arg(3).has("MSG_FASTOPEN") {
			return r.sendFast(s, n, dontWait), nil
		}
		return r.write(s, n, dontWait), nil
	case "write":
		return r.write(s, n, dontWait), nil
	case "read", "recv", "recvfrom":
		return r.read(s, n, dontWait), nil
	case "shutdown":
		return r.shutdownCall(c, s)
	case "close":
		return complete(r.close(fd, s)), nil
	case "fcntl":
		return r.fcntl(c, s)
	case "setsockopt":
		return r.setsockopt(c, s)
	case "getsockopt":
		return r.getsockopt(c, s)
	}
	return nil, fmt.Errorf("call %s is not supported", c.name)
}

func (r *runner) socket(c *call) (attempt, error) {
	if c.result < 0 || r.sockets[c.result] != nil {
		return nil, fmt.Errorf("descriptor %d is in use, or none", c.result)
	}
	t := c.arg(1)
	if t.kind != valueAny && !t.has("SOCK_STREAM") {
		return nil, fmt.Errorf("only SOCK_STREAM is supported")
	}
	r.sockets[c.result] = &socket{Socket: r.host.Socket(), nonblock: t.has("SOCK_NONBLOCK")}
	return complete(outcome{n: c.result}), nil
}

func (r *runner) shutdownCall(c *call, s *socket) (attempt, error) {
	how := c.arg(1)
	if !how.has("SHUT_RD") && !how.has("SHUT_WR") && !how.has("SHUT_RDWR") {
		return nil, fmt.Errorf("the second argument of shutdown must be SHUT_RD, SHUT_WR or SHUT_RDWR")
	}
	return complete(result(0, s.Shutdown(!how.has("SHUT_WR"), !how.has("SHUT_RD")))), nil
}

func (r *runner) fcntl(c *call, s *socket) (attempt, error) {
	switch cmd := c.arg(1); {
	case cmd.has("F_GETFL"):
		flags := int64(syscall.O_RDWR)
		if s.nonblock {
			flags |= syscall.O_NONBLOCK
		}
		return complete(outcome{n: flags}), nil
	case cmd.has("F_SETFL"):
		v := c.arg(2)
		s.nonblock = v.has("O_NONBLOCK") || v.n&syscall.O_NONBLOCK != 0
		return complete(outcome{}), nil
	}
	return nil, fmt.Errorf("fcntl knows F_GETFL and F_SETFL")
}
