package afxdp

import (
	"time"

	"github.com/asavie/xdp"

	"github.com/xdpstack/xdpstack/frame"
)

// asavie is a queue of the driver on github.com/asavie/xdp. That package has a UMEM and bookkeeping of its own, in which a frame
// is free as soon as it was received. So each packet is copied: between that UMEM and frames in ordinary memory.
//
//	kernel ─► UMEM chunk ─ Receive copies ─► frame of Pool ─ Transmit copies ─► UMEM chunk ─► kernel
//
// A frame is therefore never in transmission, and one that was transmitted is free as soon as its owners release it.
type asavie struct {
	base
	mem    *umem // of the pool; the UMEM is in the socket
	sock   *xdp.Socket
	spare  []xdp.Desc // free chunks that the packets of this round may go to
	queued []xdp.Desc // chunks with packets that are not submitted yet
	unsent int        // packets that were submitted and not completed
	txRing int
	filled int // chunks that the kernel has, or should have, to receive into
	chunks int
}

// Receive copies received packets into frames, which are the caller's. What finds no free frame stays in the RX ring.
func (q *asavie) Receive(batch []frame.Desc) int {
	if q.fd < 0 {
		return 0
	}
	n := min(len(batch), q.sock.NumReceived())
	if free := q.pool.Free(); n > free {
		q.stats.RxNoFrame++
		n = free
	}
	if n == 0 {
		return 0
	}
	mask := uint64(q.pool.ChunkSize() - 1)
	taken := 0
	received := q.sock.Receive(n)
	for i, d := range received {
		off := uint32(d.Addr & mask) // with the kernel's headroom, as the other driver has it
		received[i].Addr &^= mask
		f := q.pool.GiveToFill()
		if !q.pool.Received(f, off, d.Len) {
			q.stats.RxInvalid++
			continue
		}
		copy(q.pool.Data(f), q.sock.GetFrame(d))
		batch[taken] = frame.Desc{Frame: f, Off: off, Len: d.Len}
		q.stats.RxBytes += uint64(d.Len)
		taken++
	}
	// At once, before GetDescs can name these chunks for transmission.
	q.stats.Filled += uint64(q.sock.Fill(received))
	q.stats.RxPackets += uint64(taken)
	return taken
}

// ChecksumOffload reports that the driver leaves all checksums to the caller.
func (q *asavie) ChecksumOffload() (rx, tx bool) { return false, false }

// Hints reports that the driver knows nothing of packets: what was noted in front of them is lost when it copies them.
func (q *asavie) Hints(frame.Desc) (Hints, bool) { return Hints{}, false }

// TxStamps reports that the driver has no times.
func (q *asavie) TxStamps([]TxStamp) int { return 0 }

// Room returns how many packets Transmit would take now.
func (q *asavie) Room() int {
	if q.fd < 0 {
		return 0
	}
	return max(0, min(q.sock.NumFreeTxSlots(), q.chunks-q.filled-q.unsent)-len(q.queued))
}

// Transmit copies packets to be sent, in order, and returns how many it took. Their frames may be written to again at once.
func (q *asavie) Transmit(batch []frame.Desc) int {
	n := min(len(batch), q.Room())
	if n == 0 {
		return 0
	}
	if len(q.queued) == 0 {
		// GetDescs does not reserve what it names: once a round, and all that the round can need.
		q.spare = append(q.spare[:0], q.sock.GetDescs(q.txRing)...)
	}
	size := uint32(q.pool.ChunkSize())
	for i := range batch[:n] {
		d := &batch[i]
		if d.Len < shortestFrame || d.Off > size || d.Len > size-d.Off || d.More || d.Ask != 0 {
			q.stats.TxMalformed++
			continue
		}
		if len(q.spare) == 0 {
			n = i
			break
		}
		c := q.spare[len(q.spare)-1]
		q.spare = q.spare[:len(q.spare)-1]
		c.Len = d.Len
		copy(q.sock.GetFrame(c), q.pool.Bytes(*d))
		q.queued = append(q.queued, c)
		q.stats.TxPackets++
		q.stats.TxBytes += uint64(d.Len)
	}
	return n
}

// Flush submits the queued packets and kicks the kernel. Packets that an earlier flush left in the ring are tried again.
func (q *asavie) Flush() error {
	if q.fd < 0 {
		return q.at.fail("send", ErrClosed, nil, "")
	}
	left := q.pending()
	if len(q.queued) == 0 && left == 0 {
		return nil
	}
	descs := q.queued
	q.queued = q.queued[:0]
	left += len(descs)
	q.unsent += len(descs)
	for range q.txRing/minTxBudget + 2 {
		if err := q.send(descs); err != nil {
			return err
		}
		descs = nil // submitted: from now on it is only kicks
		before := left
		if left = q.pending(); left == 0 {
			return nil
		}
		if left == before && q.reap() == 0 {
			break
		}
	}
	q.stats.KickStalls++
	return nil
}

// pending returns how many packets are in the TX ring.
func (q *asavie) pending() int { return q.txRing - q.sock.NumFreeTxSlots() }

// send is the package's Transmit, which panics when sendto fails in a way that it does not know: ENETDOWN, for one, while a link
// is down. The packets are in the ring by then. The panic has lost the errno, and the kernel gives it again.
func (q *asavie) send(descs []xdp.Desc) (err error) {
	defer func() {
		if recover() != nil {
			err = q.judge(sendto(q.fd, true))
		}
	}()
	q.sock.Transmit(descs)
	q.stats.Kicks++
	q.down = false
	return nil
}

// Recycle takes the completions and returns their number.
func (q *asavie) Recycle() int {
	if q.fd < 0 {
		return 0
	}
	return q.reap()
}

func (q *asavie) reap() int {
	n := q.sock.NumCompleted()
	if n == 0 {
		return 0
	}
	q.sock.Complete(n)
	q.unsent -= n
	q.stats.Completions += uint64(n)
	return n
}

// Wait sleeps until a packet may be there, another goroutine calls Wake, or the timeout has passed (below 0: none). It may return
// early. When the link is down or gone it says so, after having slept.
func (q *asavie) Wait(timeout time.Duration) error {
	if q.fd < 0 {
		return q.at.fail("wait", ErrClosed, nil, "")
	}
	if q.sock.NumReceived() > 0 && q.pool.Free() > 0 {
		return nil
	}
	return q.wait(timeout, q.pending() > 0)
}
