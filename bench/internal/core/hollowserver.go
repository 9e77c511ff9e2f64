package core

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// Where things lie in a frame with timestamps.
const (
	portsAt   = 34
	seqAt     = 38
	flagsAt   = 47
	optionsAt = 54
	iss       = 5000
)

// hollowServer answers the segments of short connections from templates, by nothing but what is in them.
type hollowServer struct {
	frames [256][2048]byte
	next   int
	heads  [512][peer.HeaderSize]byte
	sizes  [512]int
	n      int
}

// Deliver implements Target.
func (h *hollowServer) Deliver(n int, next func(b []byte) int) {
	for range n {
		f := h.frames[h.next][:]
		h.next = (h.next + 1) % len(h.frames)
		h.answer(f, next(f))
	}
}

func (h *hollowServer) answer(f []byte, size int) {
	const fin, syn, ack = 1, 2, 16
	seq, payload := binary.BigEndian.Uint32(f[seqAt:]), uint32(size-peer.HeaderSize)
	switch flags := f[flagsAt]; {
	case flags&syn != 0:
		h.reply(f, iss, seq+1, syn|ack, 0)
	case flags&fin != 0:
		h.reply(f, iss+1+uint32(len(app.Response))+1, seq+1, ack, 0)
	case payload > 0:
		h.reply(f, iss+1, seq+payload, fin|ack, len(app.Response))
	}
}

// reply writes what a peer looks at: the addresses are the wrong way round.
func (h *hollowServer) reply(to []byte, seq, ack uint32, flags byte, payload int) {
	b := h.heads[h.n][:]
	copy(b, to[:portsAt])
	copy(b[portsAt:], to[portsAt+2:portsAt+4])
	copy(b[portsAt+2:], to[portsAt:portsAt+2])
	binary.BigEndian.PutUint32(b[seqAt:], seq)
	binary.BigEndian.PutUint32(b[seqAt+4:], ack)
	b[flagsAt-1], b[flagsAt] = (peer.HeaderSize-portsAt)/4<<4, flags
	copy(b[optionsAt:], []byte{1, 1, 8, 10, 0, 0, 0, 1})
	h.sizes[h.n] = peer.HeaderSize + payload
	h.n++
}

// Work implements Target.
func (h *hollowServer) Work(take func(head []byte, size int)) {
	n := h.n
	h.n = 0
	for i := range n {
		take(h.heads[i][:], h.sizes[i])
	}
}

// Close implements Target.
func (h *hollowServer) Close() {}
