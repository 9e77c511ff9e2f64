package pkt

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/xdpstack/xdpstack/tcp"
)

// wire translates between the numbers of the script and those on the wire.
type wire struct {
	iss, irs tcp.Seq // what the script's 0 is on the stack's side, and on the peer's
	known    bool    // iss was learned from the stack's SYN

	stamps    map[uint32]uint32 // timestamps of the stack: on the wire, by that of the script
	firstTS   uint32            // the first of them, in the script
	firstReal uint32            // and on the wire
	haveTS    bool

	cookies map[string]string // Fast Open cookies of the stack: on the wire, by those of the script
}

// incoming returns the segment that a script injects as it is on the wire. The payload is the pattern of its place.
func (w *wire) incoming(p *packet, h *host) []byte {
	ecrShift := uint32(0)
	for _, o := range p.options {
		if o.kind == kindTS && o.b != 0 {
			ecrShift = w.echo(o.b) - o.b
		}
	}
	opt := w.withCookies(p).encode(w.iss, ecrShift)
	n := tcp.MinHeaderLen + len(opt)
	b := make([]byte, n+int(p.length))
	ack := uint32(0)
	if p.flags&tcp.FlagACK != 0 {
		ack = uint32(w.iss.Add(p.ack))
	}
	putHeader(b, h.flow, p, uint32(w.irs.Add(p.seq)), ack)
	b[12] = byte(n/4) << 4
	copy(b[tcp.MinHeaderLen:], opt)
	for i := range p.length {
		b[n+int(i)] = pattern(p.first() + i)
	}
	return b
}

// withCookies returns the segment with the stack's cookies in the place of those that the script has for them.
func (w *wire) withCookies(p *packet) *packet {
	q := *p
	q.options = slices.Clone(p.options)
	for i := range q.options {
		if real, ok := w.cookies[q.options[i].cookie]; ok {
			q.options[i].cookie = real
		}
	}
	return &q
}

// first returns the number of the first byte of payload.
func (p *packet) first() uint32 {
	if p.flags&tcp.FlagSYN != 0 {
		return p.seq + 1
	}
	return p.seq
}

// echo returns the stack's timestamp on the wire for one of the script: the one that was sent under it, or else as long after the
// first one as the script has it.
func (w *wire) echo(ts uint32) uint32 {
	if !w.haveTS {
		return ts
	}
	if real, ok := w.stamps[ts]; ok {
		return real
	}
	return w.firstReal + (ts - w.firstTS)
}

// outgoing returns a segment of the stack in the numbers of the script.
func (w *wire) outgoing(b []byte, ecn uint8) *packet { return w.decode(b, ecn, w.iss, w.irs) }

// injected does the same for one that went to the stack.
func (w *wire) injected(b []byte, ecn uint8) *packet { return w.decode(b, ecn, w.irs, w.iss) }

func (w *wire) decode(b []byte, ecn uint8, own, other tcp.Seq) *packet {
	return &packet{
		ecn:     ipECN(ecn),
		flags:   tcp.Flags(b[13]),
		seq:     uint32(tcp.Seq(binary.BigEndian.Uint32(b[4:])) - own),
		ack:     uint32(tcp.Seq(binary.BigEndian.Uint32(b[8:])) - other),
		length:  uint32(len(b) - int(b[12]>>4)*4),
		win:     binary.BigEndian.Uint16(b[14:]),
		urg:     binary.BigEndian.Uint16(b[18:]),
		hasWin:  true,
		options: decodeOptions(optionBytes(b), -other),
	}
}

// compare reports how a segment that was sent differs from what is expected.
func (w *wire) compare(want *packet, s *sent, h *host, set *settings) error {
	b := s.bytes
	if want.flags&tcp.FlagSYN != 0 && !w.known {
		w.iss, w.known = tcp.Seq(binary.BigEndian.Uint32(b[4:])-want.seq), true
		w.haveTS = false
	}
	got := w.outgoing(b, s.ecn)
	differs := func(what string) error {
		return fmt.Errorf("%s differs\nexpected: > %v\n     got: > %v", what, want, got)
	}
	switch {
	case s.flow != h.flow:
		return fmt.Errorf("a segment of another connection, %v, was sent: %v", s.flow, got)
	case got.flags != want.flags:
		return differs("flags")
	case !want.ecn.matches(s.ecn):
		return differs("ECN field of the IP header")
	case got.seq != want.seq || got.length != want.length:
		return differs("sequence number or length")
	case want.flags&tcp.FlagACK != 0 && got.ack != want.ack:
		return differs("acknowledgment")
	case want.hasWin && got.win != want.win:
		return differs("window")
	case want.flags&tcp.FlagURG != 0 && got.urg != want.urg:
		return differs("urgent pointer")
	}
	if !want.anyOptions && !w.sameOptions(want, got, set) {
		return differs("options")
	}
	for i, c := range b[len(b)-int(got.length):] {
		if c != pattern(got.first()+uint32(i)) {
			return fmt.Errorf("byte %d of the payload of %v is not the one that was written there", i, got)
		}
	}
	return nil
}

// sameOptions compares options and their order. The stack's own timestamp is learned, and compared only if the script says what
// its tick is.
func (w *wire) sameOptions(want, got *packet, set *settings) bool {
	list := slices.Clone(got.options)
	for i := range list {
		if i < len(want.options) && got.flags&tcp.FlagACK != 0 {
			w.learnCookie(&list[i], &want.options[i])
		}
		if list[i].kind != kindTS || i >= len(want.options) || want.options[i].kind != kindTS {
			continue
		}
		real, script := list[i].a, want.options[i].a
		if !w.haveTS {
			w.haveTS, w.firstReal, w.firstTS, w.stamps = true, real, script, map[uint32]uint32{}
		}
		w.stamps[script] = real
		list[i].a = script
		if set.tick != 0 {
			list[i].a = w.firstTS + (real - w.firstReal)
		}
	}
	return formatOptions(list) == formatOptions(want.options)
}

// learnCookie takes a cookie that the stack gives for the one that the script has, unless that stands for another already.
func (w *wire) learnCookie(got, want *tcpOption) {
	if len(got.cookie) == 0 || len(got.cookie) != len(want.cookie) {
		return
	}
	if w.cookies == nil {
		w.cookies = map[string]string{}
	}
	if _, ok := w.cookies[want.cookie]; !ok {
		w.cookies[want.cookie] = got.cookie
	}
	if w.cookies[want.cookie] == got.cookie {
		got.cookie = want.cookie
	}
}
