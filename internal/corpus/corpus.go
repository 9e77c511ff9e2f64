package corpus

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// Read returns the byte slices in the seeds of a fuzz target, whose directory is given.
func Read(dir string) (seeds [][]byte, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("corpus: %s has no seeds", dir)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("corpus: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "[]byte(")
			if !ok {
				continue
			}
			s, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
			if err != nil {
				return nil, fmt.Errorf("corpus: %s: %w", f, err)
			}
			seeds = append(seeds, []byte(s))
		}
	}
	return seeds, nil
}

// Layer is what a seed stands for.
type Layer uint8

const (
	Frame   Layer = iota // an Ethernet frame
	ARP                  // what follows the Ethernet header of ARP
	Packet               // an IPv4 packet
	Piece                // the payload of a fragment
	UDP                  // a UDP datagram with its header
	Segment              // a TCP segment with its header
	Stream               // the payload of a TCP segment
	Control              // an ICMP message
)

// Ends are who frames are from and for.
type Ends struct {
	From, To     ethernet.Addr
	FromIP, ToIP ipv4.Addr
	Port         uint16 // that somebody listens on
}

// Frames makes frames of seeds. It repeats with the same seed of randomness.
type Frames struct {
	seeds  [][]byte
	layer  Layer
	ends   Ends
	random *rand.Rand
	buffer []byte
}

// maxFrame is the longest frame without a VLAN tag that an MTU of 1500 allows, bytes.
const maxFrame = ethernet.HeaderLen + 1500

// New makes frames of seeds that stand for a layer.
func New(seeds [][]byte, layer Layer, ends Ends, seed uint64) *Frames {
	return &Frames{seeds: seeds, layer: layer, ends: ends, random: rand.New(rand.NewPCG(seed, uint64(layer)))}
}

// Next returns a frame, valid until the next call.
func (f *Frames) Next() []byte {
	r := f.random
	b := f.buffer[:0]
	b = append(b, make([]byte, f.below())...)
	b = append(b, f.mutate(f.seeds[r.IntN(len(f.seeds))])...)
	for len(b) < ethernet.HeaderLen { // nothing shorter leaves a packet socket
		b = append(b, 0)
	}
	b = b[:min(len(b), maxFrame)]
	if f.layer == Frame && r.IntN(2) == 0 {
		f.link(b, ethernet.Type(binary.BigEndian.Uint16(b[12:]))) // else nobody would look at it
	}
	f.wrap(b)
	f.buffer = b
	return b
}

// below returns how many bytes of header go before a seed.
func (f *Frames) below() int {
	switch f.layer {
	case Frame:
		return 0
	case ARP, Packet:
		return ethernet.HeaderLen
	case Stream:
		return ethernet.HeaderLen + ipv4.MinHeaderLen + tcp.MinHeaderLen
	}
	return ethernet.HeaderLen + ipv4.MinHeaderLen
}

// mutate changes a copy of a seed a little: some bytes, or its length.
func (f *Frames) mutate(seed []byte) []byte {
	r := f.random
	b := append([]byte(nil), seed...)
	switch r.IntN(4) {
	case 0:
		b = b[:r.IntN(len(b)+1)]
	case 1:
		for range r.IntN(64) {
			b = append(b, byte(r.Uint32()))
		}
	}
	for range r.IntN(4) {
		if len(b) > 0 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
	}
	return b
}

func (f *Frames) link(b []byte, t ethernet.Type) {
	h := ethernet.Header{Dst: f.ends.To, Src: f.ends.From, Type: t}
	h.Marshal(b)
}

// wrap writes the headers below the seed.
func (f *Frames) wrap(b []byte) {
	r := f.random
	switch f.layer {
	case Frame:
	case ARP:
		f.link(b, ethernet.TypeARP)
	case Packet:
		f.link(b, ethernet.TypeIPv4)
		f.packet(b[ethernet.HeaderLen:])
	case Piece:
		f.ip(b, ipv4.ProtoUDP, uint16(r.IntN(2))<<13|uint16(r.IntN(200)))
	case UDP:
		f.ip(b, ipv4.ProtoUDP, 0)
	case Control:
		f.ip(b, ipv4.ProtoICMP, 0)
	case Segment, Stream:
		f.segment(b)
	}
}

// packet makes a seed that is an IPv4 packet one that is looked into, mostly.
func (f *Frames) packet(b []byte) {
	if len(b) < ipv4.MinHeaderLen || f.random.IntN(4) == 0 {
		return
	}
	copy(b[12:16], f.ends.FromIP[:])
	copy(b[16:20], f.ends.ToIP[:])
	if f.random.IntN(2) == 0 {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	if n := int(b[0]&15) * 4; n >= ipv4.MinHeaderLen && n <= len(b) {
		seal(b[:n], 10, 0)
	}
}

func (f *Frames) ip(b []byte, protocol uint8, fragment uint16) {
	f.link(b, ethernet.TypeIPv4)
	p := b[ethernet.HeaderLen:]
	p[0], p[8], p[9] = 4<<4|5, 64, protocol
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], uint16(f.random.IntN(4))) // few, so that fragments meet
	binary.BigEndian.PutUint16(p[6:], fragment)
	copy(p[12:16], f.ends.FromIP[:])
	copy(p[16:20], f.ends.ToIP[:])
	seal(p[:ipv4.MinHeaderLen], 10, 0)
}

// segment makes a seed one of TCP to the port that is listened on, mostly with a checksum that is right.
func (f *Frames) segment(b []byte) {
	f.ip(b, ipv4.ProtoTCP, 0)
	t := b[ethernet.HeaderLen+ipv4.MinHeaderLen:]
	if len(t) < tcp.MinHeaderLen {
		return
	}
	if f.layer == Stream {
		binary.BigEndian.PutUint32(t[4:], f.random.Uint32())
		binary.BigEndian.PutUint32(t[8:], f.random.Uint32())
		t[12], t[13] = 5<<4, byte(f.random.Uint32())
		binary.BigEndian.PutUint16(t[14:], uint16(f.random.Uint32()))
	}
	binary.BigEndian.PutUint16(t[0:], uint16(1024+f.random.IntN(64)))
	if f.random.IntN(8) != 0 {
		binary.BigEndian.PutUint16(t[2:], f.ends.Port)
	}
	if f.random.IntN(8) != 0 {
		seal(t, 16, ipv4.PseudoHeaderSum(f.ends.FromIP, f.ends.ToIP, ipv4.ProtoTCP, len(t)))
	}
}

// seal writes the Internet checksum of b, with what is added to it, at an offset of b.
func seal(b []byte, at int, sum uint32) {
	b[at], b[at+1] = 0, 0
	binary.BigEndian.PutUint16(b[at:], ^uint16(checksum.Sum(b, sum)))
}
