package sim

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// event is something that happens at a time: a packet arrives, or a frame's transmission is completed.
type event struct {
	at     clock.Time
	seq    uint64 // breaks ties: first scheduled, first served
	dev    *Device
	from   *Device // the sender of a packet that arrives, nil for a completion
	packet []byte  // what arrives, or what the completed frame held when it was sent
	desc   frame.Desc
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// eventHeap is a binary heap, the first event at index 0.
type eventHeap []event

func (h *eventHeap) push(e event) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s[i].before(&s[up]) {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (h *eventHeap) pop() event {
	s := *h
	first := s[0]
	last := len(s) - 1
	s[0], s[last] = s[last], event{}
	s = s[:last]
	*h = s
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(s) {
			return first
		}
		if r := down + 1; r < len(s) && s[r].before(&s[down]) {
			down = r
		}
		if !s[down].before(&s[i]) {
			return first
		}
		s[i], s[down] = s[down], s[i]
		i = down
	}
}
