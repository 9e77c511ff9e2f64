package pkt

import (
	"encoding/binary"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sock"
	"github.com/xdpstack/xdpstack/tcp"
)

const (
	servicePort = 8080
	peerPort    = 34567 // of a peer that connects
	firstPort   = 40000 // of the stack when it connects
)

// host is the host of the script, under virtual time.
type host struct {
	*sock.Host
	set    *settings
	base   clock.Time // when the script's time was 0
	now    time.Duration
	flow   tcp.Flow // of the connection that the script is about
	sent   []sent   // not yet expected by the script
	onSent func(*sent)
}

// sent is a segment that the stack sent.
type sent struct {
	at    time.Duration
	flow  tcp.Flow
	ecn   uint8 // of the IP header
	bytes []byte
}

// newHost makes a host whose first connection is one that it opens itself, or that a peer opens.
func newHost(set *settings, active bool) (*host, error) {
	h := &host{set: set}
	var err error
	h.Host, err = sock.New(sock.Config{
		TCP: set.tcp, Listener: set.listener, MTU: set.mtu, Budget: set.budget, Secret: [16]byte{7},
	})
	if err != nil {
		return nil, err
	}
	h.Sent = func(f tcp.Flow, b []byte, ecn uint8) {
		h.sent = append(h.sent, sent{at: h.now, flow: f, ecn: ecn, bytes: b})
		h.onSent(&h.sent[len(h.sent)-1])
	}
	h.flow = tcp.Flow{
		LocalAddr: [4]byte{192, 168, 0, 1}, RemoteAddr: [4]byte{192, 0, 2, 1}, LocalPort: servicePort, RemotePort: peerPort,
	}
	if active {
		h.flow.LocalPort, h.flow.RemotePort = firstPort, servicePort
	}
	h.startAt(h.flow)
	h.SetTime(h.clock())
	return h, nil
}

// startAt chooses the clock so that a connection of the flow that begins now has the wanted initial number: the ISN is a clock that
// ticks each 4 microseconds plus a constant of the flow.
func (h *host) startAt(f tcp.Flow) {
	const tick, origin = 4000, clock.Time(5 * time.Hour)
	h.base = origin + clock.Time(h.set.iss-uint32(h.Core.Keys.ISN(f, origin)))*tick
}

func (h *host) clock() clock.Time { return h.base.Add(h.now) }

// deadline returns when the next timer is due.
func (h *host) deadline() time.Duration {
	d := h.Deadline()
	if d == clock.Never {
		return never
	}
	return max(d.Sub(h.base), h.now)
}

// expire runs the timers that are due.
func (h *host) expire() {
	h.SetTime(h.clock())
	h.Expire()
}

// input takes a segment from the network, and the ECN field of its IP header.
func (h *host) input(b []byte, ecn uint8) error {
	h.SetTime(h.clock())
	return h.Input(h.flow, b, ecn)
}

// icmp gives an ICMP error about the segment with number seq to the connection that sent it.
func (h *host) icmp(e *icmpError, seq tcp.Seq) {
	h.SetTime(h.clock())
	h.ICMP(h.flow, e.kind, e.mtu, seq)
}

// pattern is the byte at a place of either stream, counted from the SYN's number. What arrives at the wrong place is found by it.
func pattern(at uint32) byte { return byte(at*2654435761>>24) ^ byte(at) }

// optionBytes returns the options of a segment.
func optionBytes(b []byte) []byte { return b[tcp.MinHeaderLen : int(b[12]>>4)*4] }

func putHeader(b []byte, f tcp.Flow, p *packet, seq, ack uint32) {
	binary.BigEndian.PutUint16(b[0:], f.RemotePort)
	binary.BigEndian.PutUint16(b[2:], f.LocalPort)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[13] = byte(p.flags)
	binary.BigEndian.PutUint16(b[14:], p.win)
	binary.BigEndian.PutUint16(b[18:], p.urg)
}
