package core

import "github.com/xdpstack/xdpstack/bench/internal/peer"

// Batch is how many segments are delivered together: even, so that a receiver that acknowledges every second segment owes nothing
// after a batch.
const Batch = 64

// bulk is the work of one connection in one direction.
type bulk struct {
	peer      *peer.Peer
	work      Work
	counted   uint64 // bytes of the peer's Received
	data, ack func(b []byte) int

	hasRoom, acknowledged, owesAck, established func() bool
}

func newBulk(p *peer.Peer, w Work) *bulk {
	return &bulk{
		peer: p, work: w, data: p.Data, ack: p.Ack,
		hasRoom:      func() bool { return p.Room() >= 2 },
		acknowledged: func() bool { return p.InFlight() <= peer.Payload },
		owesAck:      func() bool { return p.Unacked() > 0 },
		established:  func() bool { return p.Established },
	}
}

func (s *bulk) open(h *harness) error {
	h.target.Deliver(1, s.peer.SYN)
	if err := h.until("answer to the SYN", s.established); err != nil {
		return err
	}
	h.target.Deliver(1, s.ack)
	h.turn()
	return s.peer.Err
}

func (s *bulk) step(h *harness) (uint64, error) {
	if s.work == Send {
		return s.send(h)
	}
	return s.receive(h)
}

// receive delivers a batch and waits until the stack has acknowledged it.
func (s *bulk) receive(h *harness) (uint64, error) {
	if err := h.until("room in the window", s.hasRoom); err != nil {
		return 0, err
	}
	n := min(s.peer.Room(), Batch) &^ 1 // less than a batch before the first scaled window is known
	h.target.Deliver(n, s.data)
	return uint64(n), h.until("acknowledgement", s.acknowledged)
}

// send waits for segments and acknowledges them.
func (s *bulk) send(h *harness) (uint64, error) {
	if err := h.until("segment", s.owesAck); err != nil {
		return 0, err
	}
	segments := (s.peer.Received - s.counted) / peer.Payload // an odd size counts by its bytes
	s.counted += segments * peer.Payload
	n := s.peer.Due()
	if n == 0 {
		n = 1 // a lone segment, acknowledged as by a delayed acknowledgement
	}
	h.target.Deliver(n, s.ack)
	return segments, s.peer.Err
}
