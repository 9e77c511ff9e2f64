package afxdp

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
)

// QueueState is where the frames of a queue are at a moment at which nobody uses it: a bit for each, that of frame 0 the lowest of the
// first byte.
type QueueState struct {
	Fill   []byte `json:"fill"` // the kernel has it to receive into, or with a packet that was not taken
	TX     []byte `json:"tx"`   // the kernel has it to send
	Broken bool   `json:"broken"`
}

// Transfer is what a queue can besides, whose interface is on its way from one process to another: queues of the native driver with
// Options.Transferable are Transfers. All methods but Prepare are for the goroutine that uses the queue, between two of its turns.
//
//	the process that has it                                the one that is given it
//	─────────────────────────────────────────────────────────────────────────────────
//	Interface.Offer, sent with its files  ───────────────► Adopt: its queues do nothing yet
//	Prepare
//	Suspend: nothing comes and goes, what held frames
//	         contain is copied             ───── state ──► TakeUp: it receives and sends
//	LetGo: the frames are private memory   ◄──────────────
//	   or, if that did not come: Resume, as if nothing had been
//
// Who has let go of a queue keeps its pool, with the frames that were held and what is in them, at the same addresses. What the kernel had
// is the other's. From then on the queue receives and takes nothing; Wait sleeps until Wake.
type Transfer interface {
	Prepare() error               // sets memory aside for LetGo
	Suspend() (QueueState, error) // the rings are at rest until Resume, or whatever the other process does
	Resume() error                // takes the rings up again. ErrTaken: the other process has used them
	LetGo() error                 // gives up the rings for good, and moves the frames to the memory of Prepare
	TakeUp(QueueState) error      // of an adopted queue
}

// ErrTaken says that a queue that was handed over cannot be taken back as it was: the other process has used it.
var ErrTaken = errors.New("the other process has used the queue")

// transfer is what a native queue knows of its being handed over.
type transfer struct {
	parked  bool      // nobody uses the rings here, as far as this process is concerned, and the queue is not closed
	socket  int       // of a parked queue; -1: it was let go
	private []byte    // what Prepare has set aside
	at4     [4]uint32 // the rings' position at Suspend
	last    Statistics
}

// Prepare sets memory aside for LetGo. The kernel gives the pages now: taking them while nobody serves the queue would cost packets.
func (q *native) Prepare() error {
	if q.mem == nil || q.mem.file == nil {
		return q.at.fail("hand over", ErrOptions, nil, "open the interface with Options.Transferable")
	}
	if q.private != nil {
		return nil
	}
	m, err := unix.Mmap(-1, 0, len(q.mem.mapping), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return q.at.fail("set memory aside", ErrMemory, err, fmt.Sprintf("%d MiB are needed", len(q.mem.mapping)>>20))
	}
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(m, unix.MADV_POPULATE_WRITE) // before Linux 5.14 they come when they are written
	q.private = m
	return nil
}

// Suspend stops the use of the rings and says where the frames are.
func (q *native) Suspend() (QueueState, error) {
	if q.fd < 0 || q.part != nil {
		return QueueState{}, q.at.fail("hand over", ErrClosed, nil, "")
	}
	if q.queued > 0 {
		q.tx.Submit()
		q.queued = 0
	}
	if err := q.busy.rest(); err != nil {
		return QueueState{}, q.at.errno("hand over", err)
	}
	q.last, _ = statistics(q.fd) // they are the socket's, and what is asked for later is not this process's
	s := QueueState{Broken: q.broken}
	s.Fill, s.TX = q.pool.KernelFrames()
	if q.private != nil {
		q.pool.CopyHeld(q.private)
	}
	q.at4 = q.position()
	q.park(q.fd)
	return s, nil
}

// park has the queue do nothing.
func (q *native) park(socket int) {
	q.socket, q.fd, q.parked = socket, -1, true
	q.fds[1].Fd = -1
}

// unpark has it use its socket.
func (q *native) unpark() {
	q.fd, q.parked = q.socket, false
	q.fds[1].Fd = int32(q.fd)
}

// Resume goes on where Suspend stopped.
func (q *native) Resume() error {
	if !q.parked || q.socket < 0 {
		return q.at.fail("take back", ErrClosed, nil, "")
	}
	if q.position() != q.at4 {
		return q.at.fail("take back", ErrTaken, nil, "")
	}
	q.unpark()
	return nil
}

// LetGo closes this process's side of the socket, and has the frames lie in the memory of Prepare, at the same addresses.
func (q *native) LetGo() error {
	if !q.parked || q.private == nil {
		return q.at.fail("let go", ErrClosed, nil, "")
	}
	err := q.unmapRings()
	if q.socket >= 0 {
		err = errors.Join(err, unix.Close(q.socket))
		q.socket = -1
	}
	to, length := unsafe.Pointer(unsafe.SliceData(q.mem.mapping)), uintptr(len(q.mem.mapping))
	_, _, errno := unix.Syscall6(unix.SYS_MREMAP, uintptr(unsafe.Pointer(unsafe.SliceData(q.private))), length, length,
		unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, uintptr(to), 0)
	if errno != 0 {
		return errors.Join(err, q.at.errno("move the frames", errno))
	}
	q.private = nil
	err = errors.Join(err, q.mem.file.Close())
	q.mem.file, q.mem.kind = nil, "pages"
	q.pool.Moved()
	return err
}

// TakeUp has an adopted queue receive and send.
func (q *native) TakeUp(s QueueState) error {
	if !q.parked || q.socket < 0 {
		return q.at.fail("take up", ErrClosed, nil, "")
	}
	if err := q.pool.Restore(s.Fill, s.TX); err != nil {
		return q.at.fail("take up", ErrHandover, err, "")
	}
	if err := q.view(); err != nil {
		return err
	}
	q.broken = s.Broken
	q.unpark()
	return nil
}

// endTransfer lets Close find the socket, and gives back what was set aside.
func (q *native) endTransfer() {
	if q.private != nil {
		_ = unix.Munmap(q.private)
		q.private = nil
	}
	if q.parked && q.socket >= 0 {
		q.fd = q.socket
	}
	q.parked, q.socket = false, -1
}

// idle is what a queue without a socket says that is asked to do something: nothing, if it is parked.
func (q *native) idle(op string) error {
	if q.parked {
		return nil
	}
	return q.at.fail(op, ErrClosed, nil, "")
}

// idleRoom is the room of a queue without a socket. A parked one takes nothing, but is not full either: its owner is not to wait for it.
func (q *native) idleRoom() int {
	if q.parked && q.tx != nil {
		return q.tx.Size()
	}
	return 0
}

func (q *native) idleWait(timeout time.Duration) error {
	if !q.parked {
		return q.idle("wait")
	}
	if timeout < 0 || timeout > longestSleep {
		timeout = longestSleep
	}
	q.stats.Sleeps++
	_, woken, err := q.sleep(timeout)
	if woken {
		q.stats.Wakes++
	}
	if err != nil {
		return q.at.errno("wait", err)
	}
	return nil
}

// Statistics returns the kernel's counters of the socket; of one that was handed over, those of that moment.
func (q *native) Statistics() (Statistics, error) {
	if q.parked {
		return q.last, nil
	}
	return q.base.Statistics()
}

// adoptNative makes a queue of files that another process has opened. It is parked.
func adoptNative(at place, info *Info, o *Options, h *QueueHandover, socket, memory *os.File) (*native, error) {
	q := &native{}
	q.init(at, info, o)
	q.park(-1)
	q.mode, q.keepProcessor, q.meta = h.Mode.mode(), o.KeepProcessor, h.Meta
	q.can = info.canTransmit(runningRelease())
	q.stamps.ring = make([]TxStamp, o.TxStamps)
	q.level.init(o.fillTarget())
	q.copying = !q.mode.ZeroCopy
	q.level.settle(q.copying && o.AdaptiveFill)
	q.mtu = h.MTU
	q.maxKicks = 2*o.TxRing/max(q.mode.TxBudget, 1) + 2
	if err := q.adopt(o, socket, memory); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	q.busy.adopt(at, info, q.socket, o)
	return q, nil
}

func (q *native) adopt(o *Options, socket, memory *os.File) error {
	var err error
	if q.mem, err = adoptUMEM(q.at, o, memory, &q.mode); err != nil {
		return err
	}
	if q.pool, err = frame.NewPool(q.mem.frames, o.FrameSize); err != nil {
		return err
	}
	domain, err := unix.GetsockoptInt(int(socket.Fd()), unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_XDP {
		return q.at.fail("adopt", ErrHandover, fmt.Errorf("what is said to be an AF_XDP socket is none (%w)", err), "")
	}
	fd, err := unix.FcntlInt(socket.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return q.at.errno("adopt", err)
	}
	q.park(fd)
	if err := q.mapRings(q.at, fd, o); err != nil {
		return err
	}
	q.last, _ = statistics(fd)
	return q.openEvent(q.at, -1)
}

// adoptUMEM maps the memory that is in a file of another process's.
func adoptUMEM(at place, o *Options, file *os.File, mode *BoundMode) (*umem, error) {
	size := o.Frames * o.FrameSize
	st, err := file.Stat()
	if err != nil {
		return nil, at.errno("adopt UMEM", err)
	}
	if st.Size() < int64(size) {
		return nil, at.fail("adopt UMEM", ErrHandover, fmt.Errorf("%d bytes for %d frames of %d", st.Size(), o.Frames, o.FrameSize), "")
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, at.errno("adopt UMEM", err)
	}
	m, err := unix.Mmap(fd, 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, errors.Join(at.errno("map UMEM", err), unix.Close(fd))
	}
	return &umem{mapping: m, file: os.NewFile(uintptr(fd), "UMEM"), frames: m[:size], kind: mode.Memory, node: mode.Node}, nil
}
