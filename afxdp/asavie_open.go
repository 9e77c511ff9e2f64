package afxdp

import (
	"errors"
	"strings"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
)

// openAsavie opens one queue. The XDP program is attached already: that package's own Attach would remove any program that is
// there. mode is what that and the options make of all queues.
func openAsavie(at place, info *Info, o *Options, mode BoundMode) (*asavie, error) {
	q := &asavie{txRing: o.TxRing, filled: o.FillRing, chunks: o.FillRing + 2*o.TxRing}
	q.init(at, info, o)
	q.mode = mode
	q.mtu = min(info.MTU, room(o.FrameSize, 0)) // the package has no headroom
	var err error
	if q.mem, err = newUMEM(at, o, info.Node); err != nil {
		return nil, err
	}
	raiseMemlock()
	if q.pool, err = frame.NewPool(q.mem.frames, o.FrameSize); err == nil {
		err = q.connect(info, o)
	}
	if err == nil {
		q.fd = q.sock.FD()
		err = q.openEvent(at, q.fd)
	}
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	q.mode.Memory, q.mode.Node = q.mem.kind, q.mem.node
	setSendBuffer(q.fd, o.SendBuffer)
	q.mode.TxBudget = setTxBudget(q.fd, o.TxBudget)
	q.spare = make([]xdp.Desc, 0, o.TxRing)
	q.queued = make([]xdp.Desc, 0, o.TxRing)
	q.filled = q.sock.Fill(q.sock.GetDescs(q.filled))
	q.stats.Filled = uint64(q.filled)
	return q, nil
}

// connect binds a socket in the mode that the options ask for.
func (q *asavie) connect(info *Info, o *Options) error {
	if o.Mode == ModeCopy {
		return q.bind(o, unix.XDP_COPY)
	}
	err := q.connectZeroCopy(info, o)
	if err == nil || o.Mode == ModeZeroCopy || !errors.Is(err, ErrNoZeroCopy) {
		return err
	}
	q.mode.NoZeroCopy = err
	return q.bind(o, unix.XDP_COPY)
}

// connectZeroCopy is what native.connectZeroCopy is.
func (q *asavie) connectZeroCopy(info *Info, o *Options) error {
	if q.mode.Attach != bpf.AttachNative || info.drops(o) {
		return q.at.noZeroCopy(o, &q.mode, nil)
	}
	if err := q.bind(o, unix.XDP_ZEROCOPY); err != nil {
		if errors.Is(err, ErrNoZeroCopy) {
			err = q.at.noZeroCopy(o, &q.mode, err)
		}
		return err
	}
	q.mode.ZeroCopy = zeroCopy(q.sock.FD())
	if !q.mode.ZeroCopy {
		return errors.Join(q.at.noZeroCopy(o, &q.mode, nil), q.disconnect())
	}
	return nil
}

// bind makes the package's socket, and retries as long as the kernel has not let go of the queue, or of the memory.
func (q *asavie) bind(o *Options, mode uint16) error {
	pause := 20 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		sock, err := newSocket(q.at, &xdp.SocketOptions{
			NumFrames:              q.chunks,
			FrameSize:              o.FrameSize,
			FillRingNumDescs:       o.FillRing,
			CompletionRingNumDescs: o.CompletionRing,
			RxRingNumDescs:         o.RxRing,
			TxRingNumDescs:         o.TxRing,
		}, mode)
		if err == nil {
			q.sock = sock
			return nil
		}
		errno := errnoIn(err)
		passing := errno == unix.EBUSY || errno == unix.ENETDOWN ||
			errno == unix.ENOBUFS && q.mode.NoZeroCopy != nil // the memory of the first attempt, not yet released
		if !passing || waited >= o.BindTimeout {
			return q.bindError(err, errno, mode)
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func (q *asavie) bindError(err error, errno unix.Errno, mode uint16) error {
	switch {
	case errno == 0:
		return q.at.fail("open", nil, err, "")
	case !strings.Contains(err.Error(), "Bind"), errno == unix.EPERM, errno == unix.EBUSY, errno == unix.ENODEV,
		errno == unix.ENETDOWN:
		return q.at.errno("open", errno)
	case mode == unix.XDP_ZEROCOPY:
		return q.at.fail("bind", ErrNoZeroCopy, errno, useCopy)
	}
	return q.at.errno("bind", errno)
}

// newSocket makes a socket. A global variable is the only way to tell the package how to bind. When it fails, it closes the
// socket but leaves the rings that it had mapped.
func newSocket(at place, o *xdp.SocketOptions, flags uint16) (*xdp.Socket, error) {
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	before := xdp.DefaultSocketFlags
	xdp.DefaultSocketFlags = flags
	defer func() { xdp.DefaultSocketFlags = before }()
	mapped, err := socketMappings()
	if err != nil {
		return nil, err
	}
	sock, err := xdp.NewSocket(at.index, at.queue, o)
	if err != nil {
		return nil, errors.Join(err, unmapOrphans(mapped))
	}
	return sock, nil
}

// errnoIn finds the errno in the text of an error, where that package has left nothing else of it.
func errnoIn(err error) unix.Errno {
	for _, e := range []unix.Errno{unix.EBUSY, unix.EPERM, unix.EACCES, unix.ENOBUFS, unix.ENOMEM, unix.ENODEV, unix.ENETDOWN,
		unix.EINVAL, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EIO} {
		if strings.HasSuffix(err.Error(), e.Error()) {
			return e
		}
	}
	return 0
}

// Close closes the socket and unmaps the memory: no byte of a frame may be touched after it. The package leaves its ring mappings
// behind, and with them the socket stays bound to the queue: unmapping them is done here.
func (q *asavie) Close() error {
	if q.mem == nil {
		return nil
	}
	err := errors.Join(q.closeEvent(), q.disconnect(), q.mem.close())
	q.mem = nil
	if err != nil {
		return q.at.errno("close", err)
	}
	return nil
}

func (q *asavie) disconnect() error {
	if q.sock == nil {
		return nil
	}
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	inode, noInode := socketInode(q.fd)
	err := errors.Join(noInode, q.sock.Close())
	if noInode == nil {
		err = errors.Join(err, unmapSocket(inode))
	}
	q.sock, q.fd = nil, -1
	return err
}
