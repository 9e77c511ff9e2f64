package afxdp

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
)

// openNative opens one queue. The XDP program is attached already; mode is what that and the options make of all queues.
func openNative(at place, info *Info, o *Options, mode BoundMode) (*native, error) {
	q := &native{}
	q.init(at, info, o)
	q.mode, q.keepProcessor = mode, o.KeepProcessor
	q.can = info.canTransmit(runningRelease())
	q.stamps.ring = make([]TxStamp, o.TxStamps)
	if q.level.init(o.fillTarget()); mode.NoProgram {
		q.level.init(0)
	}
	var err error
	if err = q.makePool(info, o); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	if q.part != nil {
		err = q.part.memory.bind(q, info, o)
	} else {
		err = q.connect(info, o)
	}
	if err == nil {
		err = q.openEvent(at, q.fd)
	}
	if err == nil {
		err = q.busy.start(at, info, q.fd, o)
	}
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	q.mode.Memory, q.mode.Node = q.mem.kind, q.mem.node
	q.mode.NeedWakeup = !o.NoNeedWakeup
	q.copying = !q.mode.ZeroCopy
	q.level.settle(q.copying && o.AdaptiveFill)
	q.settleMTU(info, o)
	setSendBuffer(q.fd, o.SendBuffer)
	q.mode.TxBudget = setTxBudget(q.fd, o.TxBudget)
	q.maxKicks = 2*o.TxRing/q.mode.TxBudget + 2
	return q, nil
}

// makePool makes the pool of the queue's frames, in memory of its own or in its part of one that is shared.
func (q *native) makePool(info *Info, o *Options) (err error) {
	if o.Memory == nil {
		if q.mem, err = newUMEM(q.at, o, info.Node); err != nil {
			return err
		}
		q.pool, err = frame.NewPool(q.mem.frames, o.FrameSize)
		return err
	}
	if q.part, err = o.Memory.take(q.at, info.Node); err != nil {
		return err
	}
	q.mem = o.Memory.mem
	q.pool, err = frame.NewPart(q.part.bytes, o.FrameSize, q.part.base())
	return err
}

// connect binds a socket in the mode that the options ask for.
func (q *native) connect(info *Info, o *Options) error {
	if o.Mode == ModeCopy {
		return q.attemptMulti(o, unix.XDP_COPY)
	}
	err := q.connectZeroCopy(info, o)
	if err == nil || o.Mode == ModeZeroCopy || !errors.Is(err, ErrNoZeroCopy) {
		return err
	}
	q.mode.NoZeroCopy = err
	return q.attemptMulti(o, unix.XDP_COPY)
}

// connectZeroCopy binds a socket with zero-copy. That takes three things, none of which implies the others: a bind that may not fall back
// to copies, the kernel's word that it did not, and a program in the driver, for behind it frames have been copied whatever the socket
// says. Some drivers do not even send then.
func (q *native) connectZeroCopy(info *Info, o *Options) error {
	if q.mode.Attach != bpf.AttachNative || info.drops(o) {
		return q.at.noZeroCopy(o, &q.mode, nil)
	}
	attempt := q.attempt
	if o.Mode == ModeZeroCopy {
		attempt = q.attemptMulti
	}
	if err := attempt(o, unix.XDP_ZEROCOPY); err != nil {
		if errors.Is(err, ErrNoZeroCopy) {
			err = q.at.noZeroCopy(o, &q.mode, err)
		}
		return err
	}
	q.mode.ZeroCopy = zeroCopy(q.fd)
	if !q.mode.ZeroCopy {
		return errors.Join(q.at.noZeroCopy(o, &q.mode, nil), q.disconnect())
	}
	return nil
}

// attemptMulti is attempt, for packets of one frame only if it cannot be several: before Linux 6.6 the kernel does not know the flag,
// and a driver need not have it with zero-copy.
func (q *native) attemptMulti(o *Options, mode uint16) error {
	err := q.attempt(o, mode)
	if !q.mode.MultiBuffer || !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	q.mode.MultiBuffer, q.mode.NoMultiBuffer = false, q.at.fail("bind", ErrNoMultiBuffer, err, "use Linux 6.6 or later, and mode copy")
	return q.attempt(o, mode)
}

// settleMTU says how large packets can be in as many frames as they may have: one, or what the driver takes.
func (q *native) settleMTU(info *Info, o *Options) {
	if !q.mode.MultiBuffer {
		return
	}
	q.mtu = min(info.MTU, roomOfFrames(frame.MaxFrames, o.FrameSize, o.Headroom))
	switch {
	case q.mode.ZeroCopy && info.ZeroCopyFrames != 0:
		q.mtu = min(q.mtu, info.zeroCopyRoom(info.ZeroCopyFrames, o.FrameSize, o.Headroom))
	case q.mode.Attach == bpf.AttachNative && info.Kind != "veth":
		q.mtu = min(q.mtu, driverMTU)
	}
}

// driverMTU is the largest packet that surely comes through an XDP program in a driver whose buffers are pages of 4096 bytes: of each it
// has the headroom and, at its end, a skb_shared_info taken away, in the first may be a header of its own, and it may use no more of them
// than an sk_buff may have fragments. Veth makes buffers of its own, which are full.
const driverMTU = (frame.MaxFrames-1)*(4096-xdpHeadroom-fragmentInfo) - linkHeader

// attempt makes a socket with its rings and binds it in one mode; after an error nothing is left of it. A new socket for each
// attempt: a driver that gave up in the middle may have taken frames from the fill ring.
func (q *native) attempt(o *Options, mode uint16) error {
	q.settleChecksum(o, mode)
	q.settleTimestamps(o, mode)
	err := q.open(o)
	if err == nil {
		err = q.bind(o, mode)
	}
	if err != nil {
		return errors.Join(err, q.disconnect())
	}
	return nil
}

// open makes a socket that is ready to be bound: with UMEM, rings, and frames in the fill ring. Some drivers take their first
// buffers at bind and do not come back if there are none.
func (q *native) open(o *Options) error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return q.at.errno("make an AF_XDP socket", err)
	}
	q.fd = fd
	if err := q.register(o); err != nil {
		return err
	}
	if err := sizeRings(q.at, fd, o); err != nil {
		return err
	}
	if err := q.mapRings(q.at, fd, o); err != nil {
		return err
	}
	q.refill()
	return nil
}

// passingErrors are what a bind may end with that succeeds a moment later.
var passingErrors = []unix.Errno{unix.EBUSY, unix.ENETDOWN, unix.EAGAIN, unix.ENXIO}

// bind binds the socket to its queue. The kernel lets go of a queue some time after its last socket was closed, and a driver may
// take the link down for a moment to attach a program: both are waited out, up to a bound.
func (q *native) bind(o *Options, mode uint16) error {
	address := &unix.SockaddrXDP{Flags: mode, Ifindex: uint32(q.at.index), QueueID: uint32(q.at.queue)}
	if !o.NoNeedWakeup {
		address.Flags |= unix.XDP_USE_NEED_WAKEUP
	}
	if q.mode.MultiBuffer {
		address.Flags |= unix.XDP_USE_SG
	}
	if q.with != nil { // the flags are those of its socket
		address.Flags, address.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(q.with.fd)
	}
	pause := 5 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err := unix.Bind(q.fd, address)
		if err == nil {
			return nil
		}
		passing := slices.ContainsFunc(passingErrors, func(e unix.Errno) bool { return errors.Is(err, e) })
		if !passing || waited >= o.BindTimeout {
			return q.bindError(err, mode)
		}
		time.Sleep(pause)
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func (q *native) bindError(err error, mode uint16) error {
	for _, known := range []unix.Errno{unix.EPERM, unix.EBUSY, unix.ENODEV, unix.ENETDOWN} {
		if errors.Is(err, known) {
			return q.at.errno("bind", err)
		}
	}
	if mode == unix.XDP_ZEROCOPY {
		return q.at.fail("bind", ErrNoZeroCopy, err, useCopy)
	}
	if errors.Is(err, unix.EINVAL) {
		return q.at.fail("bind", ErrNoQueue, err, "see the queues with: ethtool -l "+q.at.name)
	}
	return q.at.errno("bind", err)
}

// disconnect closes the socket and takes back the frames that the kernel had.
func (q *native) disconnect() error {
	err := q.unmapRings()
	if q.fd >= 0 {
		err = errors.Join(err, unix.Close(q.fd))
		q.fd = -1
	}
	if q.pool != nil {
		q.pool.Reclaim()
	}
	if err != nil {
		return q.at.errno("close", err)
	}
	return nil
}
