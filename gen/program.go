package gen

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/udp"
)

// Program writes the packets of one worker. It is for one goroutine.
type Program struct {
	packet []byte
	worker uint8
	seq    uint32
	pseudo uint32
}

// Compile makes a program of streams.
func Compile(streams []Stream, o Options) (*Program, error) {
	if len(streams) != 1 {
		return nil, errors.New("gen: expected one stream")
	}
	s := streams[0]
	n := s.size - FCSLen
	const headers = ethernet.HeaderLen + ipv4.MinHeaderLen + udp.HeaderLen
	if n < MinLen {
		return nil, fmt.Errorf("gen: size: expected at least %d, got %d", MinLen+FCSLen, s.size)
	}
	src, ok := ipv4.AddrFrom(s.src)
	if !ok {
		src, _ = ipv4.AddrFrom(o.SourceIP)
	}
	dst, ok := ipv4.AddrFrom(s.dst)
	if !ok {
		dst, _ = ipv4.AddrFrom(o.TargetIP)
	}
	p := &Program{packet: make([]byte, n), worker: uint8(o.Worker)}
	eth := ethernet.Header{Dst: o.Target, Src: o.Source, Type: ethernet.TypeIPv4}
	off := eth.Marshal(p.packet)
	ip := ipv4.Header{TotalLen: uint16(n - off), TTL: ipv4.DefaultTTL, Proto: ipv4.ProtoUDP, Src: src, Dst: dst}
	off += ip.Marshal(p.packet[off:])
	h := udp.Header{SrcPort: s.sport, DstPort: s.dport, Length: uint16(n - off)}
	h.Marshal(p.packet[off:])
	p.pseudo = ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoUDP, n-off)
	return p, nil
}

// MaxLen returns the length of the longest packet in bytes, without the frame check sequence.
func (p *Program) MaxLen() int { return len(p.packet) }

// MeanLen returns the mean length of the packets in bytes, without the frame check sequence.
func (p *Program) MeanLen() float64 { return float64(len(p.packet)) }

// Next writes the next packet to the start of b, which must have room for MaxLen bytes, and returns its length. now is the time for the
// signature in nanoseconds of CLOCK_TAI; without a signature it has no meaning.
func (p *Program) Next(b []byte, now uint64) int {
	n := copy(b, p.packet)
	PutSignature(b[n-SignatureLen:], Signature{Worker: p.worker, Sequence: p.seq, Time: now})
	p.seq++
	const off = ethernet.HeaderLen + ipv4.MinHeaderLen
	binary.BigEndian.PutUint16(b[off+udp.ChecksumField:], 0)
	udp.SetChecksum(b[off:n], p.pseudo)
	return n
}
