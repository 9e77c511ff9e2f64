package afxdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// TxStamp says when a packet was sent whose descriptor asked for it (frame.AskStamp).
type TxStamp struct {
	// Seq is that of the packet's first frame (frame.Meta.Seq) when its frames came back: what its sender set it to, to know it
	// by.
	Seq uint32
	// At is in ns. With zero-copy it is when the network card sent the packet, by the card's clock. In copy mode it is when the
	// kernel was done with it, by the clock CLOCK_TAI: when the card's driver had it back or, on veth, when the other end was
	// given it.
	At uint64
}

// leastTime is a time that no clock shows: where the kernel has left none there is a smaller number.
const leastTime = 1 << 32

// stamps are the times that wait to be taken, the oldest at first.
type stamps struct {
	ring  []TxStamp
	first int
	n     int
}

// add appends a time. It reports false if there is no room.
func (s *stamps) add(t TxStamp) bool {
	if s.n == len(s.ring) {
		return false
	}
	at := s.first + s.n
	if at >= len(s.ring) {
		at -= len(s.ring)
	}
	s.ring[at] = t
	s.n++
	return true
}

// take moves the oldest to dst.
func (s *stamps) take(dst []TxStamp) int {
	n := min(len(dst), s.n)
	k := copy(dst[:n], s.ring[s.first:])
	copy(dst[k:n], s.ring)
	if s.first += n; s.first >= len(s.ring) {
		s.first -= len(s.ring)
	}
	s.n -= n
	return n
}

// TxStamps moves times of sent packets to dst, in the order in which the packets' frames came back, and returns how many.
func (q *native) TxStamps(dst []TxStamp) int { return q.stamps.take(dst) }

// settleTimestamps decides whether times of sent packets can be had through a socket that is bound in that mode.
func (q *native) settleTimestamps(o *Options, mode uint16) {
	m := &q.mode
	m.TxTimestamps, m.NoTxTimestamps = o.TxStamps != 0, nil
	switch {
	case !m.TxTimestamps:
	case mode == unix.XDP_COPY && !q.can.copies:
		m.TxTimestamps, m.NoTxTimestamps = false, q.at.fail("open", ErrNoTxTimestamps, nil, cureCopyMetadata)
	case mode != unix.XDP_COPY && !q.can.stamps:
		m.TxTimestamps = false
		m.NoTxTimestamps = q.at.fail("open", ErrNoTxTimestamps, nil, "use mode copy, where the kernel takes the time")
	}
}

// noteStamp keeps the time that the kernel has left in front of a packet that begins at off in a frame.
func (q *native) noteStamp(addr uint64) {
	f, off := q.pool.Locate(addr)
	if !q.pool.Stamped(f) || off < txMetaLen {
		return
	}
	at := (*txCompletion)(unsafe.Pointer(q.metadata(f, off))).at
	if at < leastTime || !q.stamps.add(TxStamp{Seq: q.pool.Meta(f).Seq, At: at}) {
		q.stats.TxStampsLost++
	}
}
