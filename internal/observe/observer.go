// Package observe watches TCP from outside: an [Observer] is shown the packets of both directions, as they are sent and as they are
// received, and says which of TCP's rules an end broke. It knows nothing of the ends but their packets, so what it finds is what a
// peer, or an operator with a capture, could hold against them.
//
// What it checks of what an end sends:
//
//   - checksums and options are well-formed, a segment is no longer than the peer's MSS, options included (RFC 9293 section 3.7.1);
//   - new data begins where the data before it ended, and bytes that are sent again are the same bytes (section 3.8.1);
//   - data lies within the window that the peer offered, but for the single byte of a probe (section 3.8.6.1);
//   - before the first acknowledgement there is no more than the initial window (RFC 6928);
//   - acknowledgements never go back, and acknowledge nothing that did not arrive (RFC 9293 section 3.4);
//   - the right edge of its window never retreats (section 3.8.6);
//   - SACK blocks name only what arrived, and are used only where both ends said so (RFC 2018 section 3);
//   - timestamps are on every segment or on none, never go back, and echo only what arrived (RFC 7323 section 3.2);
//   - nothing follows a FIN (RFC 9293 section 3.6);
//   - data is acknowledged within half a second (section 3.8.6.3), and promptly from the second full segment on, out of order, or
//     filling a hole (RFC 5681 section 4.2).
package observe

import (
	"errors"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// Observer watches the connections between hosts. The zero Observer applies every rule. One goroutine uses it.
type Observer struct {
	InitialSegments int           // full segments that an end may send before the first ACK; default 10, negative: any number
	Prompt          time.Duration // how long an acknowledgement may take that is due at once; default 2 ms, negative: for ever
	DelayedACK      time.Duration // how long one may take that may wait; default 500 ms, negative: for ever

	ends  map[key]*end
	now   clock.Time
	found []error
	trace trace
}

// key names an end: its address first, the peer's second.
type key struct {
	addr, peer     ipv4.Addr
	port, peerPort uint16
}

func (k key) reverse() key { return key{k.peer, k.addr, k.peerPort, k.port} }

// maxFound is how many violations are kept.
const maxFound = 10

// End tells what one end of a connection did, as far as it could be seen.
type End struct {
	Segments uint64 // that it sent
	Bytes    uint64 // of payload that it sent, what was sent again included
	Stream   uint64 // of payload that it sent for the first time
	Probes   uint64 // single bytes sent beyond the peer's window
	ACKs     uint64 // segments without payload, SYN, FIN or RST
	Resets   uint64
}

// Resent returns how many bytes of payload were sent again.
func (e *End) Resent() uint64 { return e.Bytes - e.Stream }

// Sent shows a packet, Ethernet header included, as its sender put it on the wire. What is not TCP over IPv4 is of no interest.
func (o *Observer) Sent(now clock.Time, b []byte) {
	o.now = now
	h, seg, ok := segmentOf(b)
	if !ok {
		o.asks(b)
		return
	}
	k := key{h.Src, h.Dst, 0, 0}
	var s tcp.Segment
	if err := tcp.Parse(seg, &s); err != nil {
		o.violated(k, "sends a segment that is none: %v", err)
		return
	}
	k.port, k.peerPort = s.SrcPort, s.DstPort
	o.trace.add(now, true, k, &s)
	if !tcp.VerifyChecksum(seg, ipv4.PseudoHeaderSum(h.Src, h.Dst, ipv4.ProtoTCP, len(seg))) {
		o.violated(k, "sends a segment with a wrong checksum")
	}
	e := o.end(k)
	e.overdue(o)
	e.sends(o, &s, seg[s.HeaderLen:])
}

// asks looks for an ARP request: until it is answered the host cannot send what it owes.
func (o *Observer) asks(b []byte) {
	const opcode, senderIP, length = ethernetHeader + 7, ethernetHeader + 14, ethernetHeader + 28
	if len(b) < length || b[12] != 0x08 || b[13] != 0x06 || b[opcode] != 1 {
		return
	}
	for k, e := range o.ends {
		if k.addr == ipv4.Addr(b[senderIP:]) {
			e.excused = true
		}
	}
}

// Received shows a packet as the receiver's device took it. A packet that was corrupted on its way counts as lost.
func (o *Observer) Received(now clock.Time, b []byte) {
	o.now = now
	h, seg, ok := segmentOf(b)
	if !ok || !tcp.VerifyChecksum(seg, ipv4.PseudoHeaderSum(h.Src, h.Dst, ipv4.ProtoTCP, len(seg))) {
		return
	}
	var s tcp.Segment
	if tcp.Parse(seg, &s) != nil {
		return
	}
	k := key{h.Dst, h.Src, s.DstPort, s.SrcPort}
	o.trace.add(now, false, k.reverse(), &s)
	e := o.end(k)
	e.overdue(o)
	e.receives(now, &s)
}

// Check looks for what is overdue at a time at which no packet was seen.
func (o *Observer) Check(now clock.Time) {
	o.now = now
	for _, e := range o.ends {
		e.overdue(o)
	}
}

// Err returns what was found, or nil.
func (o *Observer) Err() error { return errors.Join(o.found...) }

// Trace returns the last segments that were seen before the first violation, or until now, one in a line.
func (o *Observer) Trace() string { return o.trace.String() }

// Total returns what all ends with this address did.
func (o *Observer) Total(addr ipv4.Addr) End {
	var sum End
	for k, e := range o.ends {
		if k.addr == addr {
			sum.Segments += e.Segments
			sum.Bytes += e.Bytes
			sum.Stream += e.Stream
			sum.Probes += e.Probes
			sum.ACKs += e.ACKs
			sum.Resets += e.Resets
		}
	}
	return sum
}

func (o *Observer) end(k key) *end {
	if o.ends == nil {
		o.ends = map[key]*end{}
	}
	e := o.ends[k]
	if e == nil {
		e = &end{key: k}
		o.ends[k] = e
	}
	if e.other == nil {
		if e.other = o.ends[k.reverse()]; e.other != nil {
			e.other.other = e
		}
	}
	return e
}

func (o *Observer) violated(k key, format string, args ...any) {
	o.trace.frozen = true
	if len(o.found) < maxFound {
		o.found = append(o.found, fmt.Errorf("%v: %v:%d to %v:%d %s", time.Duration(o.now), k.addr, k.port, k.peer, k.peerPort,
			fmt.Sprintf(format, args...)))
	}
}

const ethernetHeader = 14

// segmentOf returns the TCP segment in an Ethernet frame, or false if there is no intact one.
func segmentOf(b []byte) (h ipv4.Header, seg []byte, ok bool) {
	if len(b) < ethernetHeader || b[12] != 0x08 || b[13] != 0 || ipv4.Parse(b[ethernetHeader:], &h) != nil {
		return h, nil, false
	}
	if h.Proto != ipv4.ProtoTCP || h.IsFragment() {
		return h, nil, false
	}
	return h, h.Payload(b[ethernetHeader:]), true
}
