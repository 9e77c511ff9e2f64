package afxdp

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
)

// native is a queue of the native driver.
type native struct {
	base
	rings
	mem           *umem
	part          *part   // of a memory that is shared, or nil
	with          *native // whose memory the socket is being bound with, or nil
	busy          busyPoll
	queued        int // frames in the TX ring that were not submitted
	txWakeup      wakeup
	fillWakeup    wakeup
	copying       bool // frames are copied, and sent, within the kick
	keepProcessor bool // from other goroutines meanwhile
	broken        bool // what is received next belongs to a packet that was dropped
	can           canTransmit
	stamps        stamps
	cookie        uint32 // of the hints that the XDP program notes in front of packets; 0: none
	meta          uint32 // bytes of metadata that there is room for in front of each sent frame
	level         fillLevel
	pause         holdOff
	maxKicks      int // bound of one Flush
	transfer
}

const (
	// shortestFrame is the least that the kernel's transmit path can handle, an Ethernet header.
	shortestFrame = 14
	// fillReserve is the share of the pool, 1/8, that is kept for transmission when frames run short, and
	// fillFloor the share of what it should have, 1/8, that the kernel gets all the same: without it no acknowledgement would come in
	// that frees what waits to be acknowledged.
	fillReserve = 8
	fillFloor   = 8
)

// Receive takes received packets, whole ones, up to the length of the batch in frames. The caller becomes the owner of their frames.
func (q *native) Receive(batch []frame.Desc) int {
	if q.fd < 0 {
		return 0
	}
	n := q.receive(batch)
	if n == 0 && q.busy.on && q.busy.poll(q.fd) {
		q.stats.BusyPolls++
		n = q.receive(batch)
	}
	return n
}

func (q *native) receive(batch []frame.Desc) int {
	if q.mode.MultiBuffer {
		return q.receiveMulti(batch)
	}
	first, n := q.rx.Peek(len(batch))
	if n == 0 {
		return 0
	}
	taken, bytes := 0, uint64(0)
	for i := range uint32(n) {
		d := q.rx.Slot(first + i)
		f, off := q.pool.Locate(d.Addr) // the address is that of the packet, not of the chunk
		if !q.pool.Received(f, off, d.Len) {
			q.stats.RxInvalid++
			continue
		}
		batch[taken] = frame.Desc{Frame: f, Off: off, Len: d.Len}
		bytes += uint64(d.Len)
		taken++
	}
	q.rx.Release()
	q.stats.RxPackets += uint64(taken)
	q.stats.RxBytes += bytes
	return taken
}

// Room returns how many frames Transmit would take now.
func (q *native) Room() int {
	if q.fd < 0 {
		return q.idleRoom()
	}
	return q.tx.Free(q.tx.Size())
}

// Transmit queues packets in order, whole ones, and returns how many frames it took; their owners keep them and must not write to
// them while the pool says that they are in transmission. A packet whose range is impossible is counted and not sent: the kernel
// would drop it without ever completing it.
func (q *native) Transmit(batch []frame.Desc) int {
	if q.fd < 0 {
		return 0
	}
	if q.mode.MultiBuffer || q.meta != 0 {
		return q.transmitPackets(batch)
	}
	first, n := q.tx.Reserve(len(batch))
	size := uint32(q.pool.ChunkSize())
	next, bytes := first, uint64(0)
	for i := range batch[:n] {
		d := &batch[i]
		if d.Len < shortestFrame || d.Off > size || d.Len > size-d.Off || d.More || d.Ask != 0 {
			q.stats.TxMalformed++
			continue
		}
		q.pool.Transmitting(d.Frame)
		*q.tx.Slot(next) = unix.XDPDesc{Addr: q.pool.Addr(d.Frame, d.Off), Len: d.Len}
		next++
		bytes += uint64(d.Len)
	}
	sent := int(next - first)
	q.tx.Unreserve(n - sent)
	q.queued += sent
	q.stats.TxPackets += uint64(sent)
	q.stats.TxBytes += bytes
	return n
}

// Flush hands the queued packets to the kernel and wakes it if it asks for that. Packets that an earlier flush left in the ring
// are tried again.
func (q *native) Flush() error {
	if q.fd < 0 {
		return q.idle("send")
	}
	if q.queued > 0 {
		q.tx.Submit()
		q.txWakeup.add(q.queued, q.tx.Size())
		q.queued = 0
	}
	left := q.tx.Pending()
	if left == 0 || q.mode.NeedWakeup && !q.tx.NeedWakeup() {
		return nil
	}
	if !q.copying {
		return q.start(left)
	}
	if q.pause.holds() {
		q.stats.KickStalls++
		return nil
	}
	return q.push(left)
}

// start has the driver begin to send what is in the TX ring, unless it is still at it. Who polls the driver himself has no interrupt that
// would make it go on.
func (q *native) start(left int) error {
	if q.busy.on && (q.busy.apart || q.busy.stuck(left)) {
		q.stats.Kicks++
		q.busy.wake(q.fd)
		return nil
	}
	if !q.busy.on && !q.txWakeup.due(left) {
		return nil
	}
	errno := sendto(q.fd, false)
	q.txWakeup.done(errno != 0)
	return q.judge(errno)
}

// push kicks until the TX ring is empty. In copy mode each kick sends a bounded number of frames (32, or the budget) and returns
// EAGAIN if there are more. It stops when a kick moves nothing, and when the device drops (EBUSY): what is beneath is full then,
// each further kick would lose a frame, and what waits in the ring holds the stack back until a flush after a pause.
func (q *native) push(left int) error {
	all := left
	for range q.maxKicks {
		errno := sendto(q.fd, !q.keepProcessor)
		if err := q.judge(errno); err != nil {
			return err
		}
		before := left
		left = q.tx.Pending()
		if errno == unix.EBUSY {
			q.pause.full(all-left > q.largest())
			break
		}
		if left == 0 {
			q.pause.empty()
			return nil
		}
		// A full completion ring holds the kernel up as well, and taking the completions is ours to do.
		if left == before && q.reap() == 0 {
			break
		}
	}
	if left > 0 {
		q.stats.KickStalls++
	}
	return nil
}

// largest is the number of frames that a packet may have.
func (q *native) largest() int {
	if q.mode.MultiBuffer {
		return frame.MaxFrames
	}
	return 1
}

// Recycle takes the completions, whose frames are free if nobody holds them any more, and gives the kernel free frames to
// receive into. It returns the number of completions.
func (q *native) Recycle() int {
	if q.fd < 0 {
		return 0
	}
	n := q.reap()
	if q.part != nil {
		q.part.takeBack(q.pool)
	}
	q.refill()
	if q.fill.NeedWakeup() && (q.busy.on || q.fillWakeup.due(q.fill.Pending())) {
		q.stats.FillKicks++
		q.fillWakeup.done(recvfrom(q.fd) != 0)
	}
	return n
}

// reap takes the completions.
func (q *native) reap() int {
	first, n := q.completion.Peek(q.completion.Size())
	if n == 0 {
		return 0
	}
	lent := false
	if q.mode.TxTimestamps {
		for i := range uint32(n) {
			q.noteStamp(*q.completion.Slot(first + i))
		}
	}
	for i := range uint32(n) {
		f, _ := q.pool.Locate(*q.completion.Slot(first + i))
		switch {
		case q.pool.Completed(f):
		case q.part.giveBack(*q.completion.Slot(first + i)):
			lent = true
		default:
			q.stats.CqInvalid++
		}
	}
	if lent {
		q.part.publish()
	}
	q.completion.Release()
	q.stats.Completions += uint64(n)
	return n
}

// refill tops up the fill ring.
func (q *native) refill() {
	have := q.pool.Account().Fill
	target := q.level.target(have)
	want := target - have
	if want <= 0 {
		return
	}
	spare := q.pool.Free() - q.pool.Size()/fillReserve
	if least := target/fillFloor - have; spare < least {
		spare = min(least, q.pool.Free())
	}
	if want = min(want, spare); want <= 0 {
		return
	}
	first, n := q.fill.Reserve(want)
	if n == 0 {
		return
	}
	for i := range uint32(n) {
		*q.fill.Slot(first + i) = q.pool.Addr(q.pool.GiveToFill(), 0)
	}
	q.fill.Submit()
	q.fillWakeup.add(n, q.fill.Size())
	q.stats.Filled += uint64(n)
}

// Wait sleeps until a packet may be there, another goroutine calls Wake, or the timeout has passed (below 0: none). It may return
// early. When the link is down or gone it says so, after having slept.
func (q *native) Wait(timeout time.Duration) error {
	if q.fd < 0 {
		return q.idleWait(timeout)
	}
	if !q.rx.Empty() {
		return nil
	}
	starved := q.pool.Free() == 0 && q.stats.TxPackets+q.stats.TxFragments != q.stats.Completions ||
		q.part != nil && q.pool.Account().Fill == 0 // others send its frames
	unsent := q.tx.Pending() > 0
	if unsent && q.pause.length > 0 {
		q.fds[1].Fd = -1 // to poll the socket would be to kick it, and nobody would know of what is dropped
	}
	err := q.wait(timeout, starved || unsent)
	q.fds[1].Fd = int32(q.fd)
	q.pause.slept(timeout)
	return err
}

// Mode returns how the socket is bound.
func (q *native) Mode() BoundMode {
	m := q.mode
	m.BusyPoll, m.BusyPolling, m.NoDeferral = q.busy.on, q.busy.active.Load(), q.busy.noDeferral()
	return m
}

// Close closes the socket and unmaps the memory: no byte of a frame may be touched after it. The frames that the kernel had are
// free then, those that are held stay so.
func (q *native) Close() error {
	if q.mem == nil {
		return nil
	}
	if q.part != nil {
		q.part.memory.unbind(q)
	}
	q.endTransfer()
	err := errors.Join(q.busy.stop(), q.closeEvent(), q.disconnect())
	if q.part != nil {
		q.part.giveAllBack()
		q.part.takeBack(q.pool)
		err = errors.Join(err, q.part.release())
	} else {
		err = errors.Join(err, q.mem.close())
	}
	q.mem = nil
	return err
}
