package tcp

import "syscall"

// Error is why a connection ended. It matches the errno that a kernel's socket would give (errors.Is), and tells like net.Error
// whether it is a timeout.
type Error struct {
	text  string
	errno syscall.Errno
}

// The ways a connection ends other than by both sides closing it.
var (
	ErrRefused         = &Error{"connection refused by the peer", syscall.ECONNREFUSED}
	ErrReset           = &Error{"connection reset by the peer", syscall.ECONNRESET}
	ErrTimeout         = &Error{"connection timed out: the peer does not answer", syscall.ETIMEDOUT}
	ErrHostUnreachable = &Error{"no route to host: nobody answers for its address", syscall.EHOSTUNREACH}
	ErrNetUnreachable  = &Error{"network is unreachable: a router has no route", syscall.ENETUNREACH}
	ErrProtocol        = &Error{"protocol error: a router or the peer rejects the IP header", syscall.EPROTO}
	ErrAborted         = &Error{"connection aborted by this side", syscall.ECONNABORTED}
)

// Error returns the text.
func (e *Error) Error() string { return "tcp: " + e.text }

// Is makes the error match its errno.
func (e *Error) Is(target error) bool { return target == e.errno }

// Timeout reports whether the error is a timeout, as net.Error has it.
func (e *Error) Timeout() bool { return e.errno == syscall.ETIMEDOUT }

// Temporary is always false: the connection is gone.
func (e *Error) Temporary() bool { return false }

// reason is an index into reasons: why a connection ended, without a pointer in the Conn.
type reason uint8

const (
	reasonNone reason = iota // closed by both sides
	reasonRefused
	reasonReset
	reasonTimeout
	reasonHostUnreachable
	reasonNetUnreachable
	reasonProtocol
	reasonAborted
)

var reasons = [...]*Error{
	reasonRefused:         ErrRefused,
	reasonReset:           ErrReset,
	reasonTimeout:         ErrTimeout,
	reasonHostUnreachable: ErrHostUnreachable,
	reasonNetUnreachable:  ErrNetUnreachable,
	reasonProtocol:        ErrProtocol,
	reasonAborted:         ErrAborted,
}
