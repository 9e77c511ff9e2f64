package afxdp

import (
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
)

// A packet that does not fit a frame has a descriptor for each of its frames, and all but the last say that it goes on
// (XDP_PKT_CONTD). The kernel publishes whole packets; a batch may end within one all the same, which is then left in the ring.

// receiveMulti is Receive on a socket with XDP_USE_SG.
func (q *native) receiveMulti(batch []frame.Desc) int {
	first, n := q.rx.Peek(len(batch))
	n = q.wholePackets(first, n, len(batch))
	if n == 0 {
		return 0
	}
	taken, start, packets, bytes := 0, 0, 0, 0 // start is where in the batch the present packet begins
	for i := range uint32(n) {
		d := q.rx.Slot(first + i)
		f, off := q.pool.Locate(d.Addr)
		ours := q.pool.Received(f, off, d.Len)
		more := d.Options&unix.XDP_PKT_CONTD != 0
		switch {
		case q.broken && ours:
			q.pool.Release(f)
		case q.broken:
		case !ours || taken-start == frame.MaxFrames:
			if ours {
				q.pool.Release(f)
			}
			q.dropPart(batch[start:taken])
			taken = start
		default:
			batch[taken] = frame.Desc{Frame: f, Off: off, Len: d.Len, Mark: frame.Mark{More: more}}
			taken++
		}
		if more {
			continue
		}
		if !q.broken {
			packets++
		}
		start, q.broken = taken, false
	}
	if taken > start { // longer than the batch
		q.dropPart(batch[start:taken])
		taken = start
	}
	q.rx.Release()
	for i := range batch[:taken] {
		bytes += int(batch[i].Len)
	}
	q.stats.RxPackets += uint64(packets)
	q.stats.RxFragments += uint64(taken - packets)
	q.stats.RxBytes += uint64(bytes)
	return taken
}

// dropPart drops a packet of which this much was received. What is still to come of it follows.
func (q *native) dropPart(batch []frame.Desc) {
	for _, d := range batch {
		q.pool.Release(d.Frame)
	}
	q.stats.RxInvalid++
	q.broken = true
}

// wholePackets returns how many of the n slots from first on are of packets whose end is among them, and gives the others back.
// But the beginning of a packet that is longer than any may be, or than the batch, is taken: it is dropped.
func (q *native) wholePackets(first uint32, n, batch int) int {
	part := 0
	for part < n && q.rx.Slot(first+uint32(n-1-part)).Options&unix.XDP_PKT_CONTD != 0 {
		part++
	}
	if part >= min(frame.MaxFrames, batch) || part != 0 && q.broken {
		return n
	}
	q.rx.Unpeek(part)
	return n - part
}

// transmitPackets is Transmit on a socket with XDP_USE_SG, or with room for metadata before packets.
func (q *native) transmitPackets(batch []frame.Desc) int {
	first, n := q.tx.Reserve(len(batch))
	next, bytes, packets, took := first, 0, 0, 0
	for took < n {
		k, ok := q.packetOf(batch[took:])
		if k > n-took {
			break
		}
		if !ok {
			q.stats.TxMalformed++
			took += k
			continue
		}
		for i := range batch[took : took+k] {
			d := &batch[took+i]
			if d.Ask.Stamp() {
				q.pool.TransmittingStamped(d.Frame)
			} else {
				q.pool.Transmitting(d.Frame)
			}
			slot := unix.XDPDesc{Addr: q.pool.Addr(d.Frame, d.Off), Len: d.Len}
			if d.More {
				slot.Options = unix.XDP_PKT_CONTD
			}
			if d.Ask != 0 {
				slot.Options |= q.request(d)
			}
			*q.tx.Slot(next) = slot
			next++
			bytes += int(d.Len)
		}
		took += k
		packets++
	}
	sent := int(next - first)
	q.tx.Unreserve(n - sent)
	q.queued += sent
	q.stats.TxPackets += uint64(packets)
	q.stats.TxFragments += uint64(sent - packets)
	q.stats.TxBytes += uint64(bytes)
	return took
}

// packetOf returns of how many frames the first packet of the batch is, and whether it can be sent: it is no longer than it may
// be, it ends, its ranges are within their frames, with room for metadata before them if there may be such, and its checksum
// within the first.
func (q *native) packetOf(batch []frame.Desc) (n int, ok bool) {
	size, most := uint32(q.pool.ChunkSize()), 1
	if q.mode.MultiBuffer {
		most = frame.MaxFrames
	}
	first := &batch[0]
	ok = first.Len >= shortestFrame && (first.Ask == 0 || q.canAsk(first))
	for i := range batch {
		d := &batch[i]
		ok = ok && d.Len != 0 && d.Off >= q.meta && d.Off <= size && d.Len <= size-d.Off &&
			(i == 0 || d.Ask == 0)
		if !d.More {
			return i + 1, ok && i < most
		}
	}
	return len(batch), false
}
