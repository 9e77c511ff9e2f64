package afxdp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Errors of this package. Each error that is returned matches, by errors.Is, one of them and the system call's errno if there
// was one.
var (
	ErrOptions        = errors.New("unusable options")
	ErrNoInterface    = errors.New("no such interface")
	ErrInterfaceDown  = errors.New("interface is down")
	ErrNoQueue        = errors.New("no such queue")
	ErrQueueBusy      = errors.New("queue is in use")
	ErrPermission     = errors.New("missing privilege")
	ErrMemory         = errors.New("not enough memory")
	ErrNoZeroCopy     = errors.New("no zero-copy")
	ErrNoMultiBuffer  = errors.New("no multi-buffer: packets larger than a frame are neither received nor sent")
	ErrNoTxChecksum   = errors.New("the device does not compute checksums: the stack does")
	ErrNoTxTimestamps = errors.New("the driver does not say when it sends")
	ErrNoRxHints      = errors.New("nothing is noted about received packets")
	ErrUnsupported    = errors.New("not supported")
	ErrGone           = errors.New("interface is gone")
	ErrClosed         = errors.New("queue is closed")
)

// Error is what this package returns: what failed, where, and what to do about it.
type Error struct {
	Op        string // what was tried: "bind", "register UMEM"
	Interface string
	Queue     int    // -1 when it does not concern one queue
	Kind      error  // one of this package's errors, or nil
	Err       error  // the cause, often a syscall.Errno, or nil
	Cure      string // what the user can do; may be empty
}

// Error returns one line.
func (e *Error) Error() string {
	s := "afxdp: "
	if e.Interface != "" {
		s += e.Interface
		if e.Queue >= 0 {
			s += fmt.Sprintf(" queue %d", e.Queue)
		}
		s += ": "
	}
	s += e.Op
	if e.Kind != nil {
		s += ": " + e.Kind.Error()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Cure != "" {
		s += " (" + e.Cure + ")"
	}
	return s
}

// Unwrap makes errors.Is find the kind and the cause.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Kind != nil {
		all = append(all, e.Kind)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// place is where errors happen: an interface and a queue of it.
type place struct {
	name  string
	index int // interface index
	queue int // -1 for none
}

func (p place) fail(op string, kind, err error, cure string) *Error {
	return &Error{Op: op, Interface: p.name, Queue: p.queue, Kind: kind, Err: err, Cure: cure}
}

// errno explains an error of a system call that set up a socket.
func (p place) errno(op string, err error) *Error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return p.fail(op, ErrPermission, err, "run as root, or with the capabilities CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF")
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		return p.fail(op, ErrMemory, err, "run ulimit -l unlimited, or give CAP_IPC_LOCK, or use fewer frames")
	case errors.Is(err, unix.EBUSY):
		return p.fail(op, ErrQueueBusy, err, "another AF_XDP socket has the queue: end its program, or choose other queues")
	case errors.Is(err, unix.ENODEV):
		return p.fail(op, ErrNoInterface, err, "list the interfaces with: ip link")
	case errors.Is(err, unix.ENETDOWN):
		return p.fail(op, ErrInterfaceDown, err, "bring it up with: ip link set "+p.name+" up")
	case errors.Is(err, unix.ENXIO):
		return p.fail(op, ErrGone, err, "the interface was removed: open it again when it is back")
	case errors.Is(err, unix.EAFNOSUPPORT):
		return p.fail(op, ErrUnsupported, err, "the kernel was built without CONFIG_XDP_SOCKETS")
	}
	return p.fail(op, nil, err, "")
}

// privilege returns ErrPermission for an error that comes from a lack of it, else nil.
func privilege(err error) error {
	if errors.Is(err, unix.EPERM) {
		return ErrPermission
	}
	return nil
}
