package core

import "github.com/xdpstack/xdpstack/bench/internal/peer"

// AtATime is how many connections are open at a time.
const AtATime = 64

// connecting is the work of many connections with one request each.
type connecting struct {
	peer *peer.Short
	// frame and over are the peer's methods, made once.
	frame func(b []byte) int
	over  func() bool
}

func (s *connecting) open(*harness) error {
	s.frame = s.peer.Frame
	s.over = func() bool { return s.peer.Due() > 0 || s.peer.Done == s.peer.Opened }
	return nil
}

// step makes a batch of connections and sees them to their end.
func (s *connecting) step(h *harness) (uint64, error) {
	s.peer.Start(AtATime)
	for s.peer.Done < s.peer.Opened && s.peer.Err == nil {
		if n := s.peer.Due(); n > 0 {
			h.target.Deliver(n, s.frame)
		}
		if err := h.until("answer on a connection", s.over); err != nil {
			return 0, err
		}
	}
	return AtATime, s.peer.Err
}
