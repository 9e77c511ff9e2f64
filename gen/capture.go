package gen

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
)

// Errors of LoadCapture.
var (
	ErrCapture   = errors.New("gen: not a capture in pcap or pcapng")
	ErrTruncated = errors.New("gen: the capture ends within a packet")
	ErrLinkType  = errors.New("gen: the capture is not of Ethernet")
	ErrCut       = errors.New("gen: a packet was not captured whole")
	ErrNoPackets = errors.New("gen: the capture has no packets")
	ErrTooLarge  = errors.New("gen: the capture is too large")
)

// maxCapture is how many bytes of packets a capture has at most: they are kept in memory.
const maxCapture = 1 << 30

// maxSpan is the longest time that a capture may take: beyond it, its times are wrong.
const maxSpan = 366 * 24 * time.Hour

// CaptureOptions say what is done to the packets of a capture when it is loaded. The zero value changes nothing.
type CaptureOptions struct {
	Source, Target ethernet.Addr // in place of the MAC addresses of all packets; zero: leave them
	// Move replaces IPv4 addresses, in the packets' first IPv4 header and the checksums that cover it.
	Move []Move
	MTU  int // bytes; longer packets are refused. 0: any length
}

// Move replaces addresses of a prefix by those at the same place in another, which is of the same length.
type Move struct{ From, To netip.Prefix }

// Capture is the packets of a capture file. It may be shared by goroutines.
type Capture struct {
	data    []byte
	packets []captured
	longest int
	period  time.Duration // from the first packet to the first of the next round
}

// captured is where a packet is in the data, and when it came after the first one.
type captured struct {
	off int
	len int
	at  time.Duration
}

// LoadCapture reads a file in pcap, also compressed by gzip, or pcapng.
func LoadCapture(path string, o CaptureOptions) (*Capture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gen: capture: %w", err)
	}
	defer f.Close()
	c, err := ReadCapture(f, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	return c, nil
}

// ReadCapture reads a capture: see LoadCapture.
func ReadCapture(r io.Reader, o CaptureOptions) (*Capture, error) {
	for _, m := range o.Move {
		if !m.From.Addr().Is4() || !m.To.Addr().Is4() || m.From.Bits() != m.To.Bits() {
			return nil, fmt.Errorf("gen: capture: move %v to %v: expected two IPv4 prefixes of one length", m.From, m.To)
		}
	}
	read, err := open(r)
	if err != nil {
		return nil, err
	}
	c := &Capture{}
	var first time.Time
	for {
		packet, info, err := read()
		if errors.Is(err, io.EOF) && info.CaptureLength == 0 {
			break
		}
		if err != nil {
			return nil, c.wrong(err)
		}
		if len(c.packets) == 0 {
			first = info.Timestamp
		}
		if err := c.add(packet, info, first, &o); err != nil {
			return nil, fmt.Errorf("%w (packet %d)", err, len(c.packets)+1)
		}
	}
	return c.whole()
}

// wrong says that reading the next packet failed.
func (c *Capture) wrong(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w (packet %d); the file may still be written, or was copied in part", ErrTruncated, len(c.packets)+1)
	}
	if errors.Is(err, pcapgo.ErrNgLinkTypeMismatch) {
		return fmt.Errorf("%w only: it has packets of different link types (packet %d)", ErrLinkType, len(c.packets)+1)
	}
	return fmt.Errorf("%w: %w (packet %d)", ErrCapture, err, len(c.packets)+1)
}

// open returns what reads packet after packet.
func open(r io.Reader) (func() ([]byte, gopacket.CaptureInfo, error), error) {
	b := bufio.NewReader(r)
	magic, _ := b.Peek(4)
	var read func() ([]byte, gopacket.CaptureInfo, error)
	var link layers.LinkType
	if string(magic) == "\x0a\x0d\x0d\x0a" {
		o := pcapgo.DefaultNgReaderOptions
		o.ErrorOnMismatchingLinkType = true
		ng, err := pcapgo.NewNgReader(b, o)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCapture, err)
		}
		read, link = ng.ReadPacketData, ng.LinkType()
	} else {
		old, err := pcapgo.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCapture, err)
		}
		read, link = old.ReadPacketData, old.LinkType()
	}
	if link != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("%w but of link type %d, %v: capture on an Ethernet interface, not on \"any\"",
			ErrLinkType, uint32(link), link)
	}
	return read, nil
}

// add adds a packet.
func (c *Capture) add(packet []byte, info gopacket.CaptureInfo, first time.Time, o *CaptureOptions) error {
	switch {
	case info.Length > info.CaptureLength:
		return fmt.Errorf("%w: %d of its %d bytes; capture with a snap length of 0", ErrCut, info.CaptureLength, info.Length)
	case len(packet) < ethernet.HeaderLen:
		return fmt.Errorf("%w: %d bytes are less than an Ethernet header", ErrCut, len(packet))
	case len(c.data)+max(len(packet), MinLen) > maxCapture:
		return fmt.Errorf("%w: expected at most %d bytes of packets", ErrTooLarge, maxCapture)
	}
	off := len(c.data)
	c.data = append(c.data, packet...)
	for len(c.data) < off+MinLen {
		c.data = append(c.data, 0)
	}
	b := c.data[off:]
	link := linkLen(b)
	if o.MTU > 0 && len(b)-link > o.MTU {
		return fmt.Errorf("%w: %d bytes behind the Ethernet header, for an MTU of %d", ErrMTU, len(b)-link, o.MTU)
	}
	if !o.Target.IsZero() {
		copy(b[0:], o.Target[:])
	}
	if !o.Source.IsZero() {
		copy(b[6:], o.Source[:])
	}
	if len(o.Move) > 0 {
		moveAddresses(b, link, o.Move)
	}
	at := info.Timestamp.Sub(first)
	if n := len(c.packets); n > 0 {
		at = max(at, c.packets[n-1].at) // captures of several queues are not quite in order
	}
	if at > maxSpan {
		return fmt.Errorf("%w: it came %v after the first one, which is more than a year", ErrCapture, at)
	}
	c.packets = append(c.packets, captured{off, len(b), max(at, 0)})
	c.longest = max(c.longest, len(b))
	return nil
}

// whole finds the time from one round to the next: after the last packet comes what is between two packets in the mean.
func (c *Capture) whole() (*Capture, error) {
	n := len(c.packets)
	if n == 0 {
		return nil, ErrNoPackets
	}
	last := c.packets[n-1].at
	c.period = time.Millisecond
	if n > 1 && last > 0 {
		c.period = last + max(last/time.Duration(n-1), 1)
	}
	return c, nil
}

// Packets returns how many packets the capture has.
func (c *Capture) Packets() int { return len(c.packets) }

// Duration returns the time from the first packet to the last one.
func (c *Capture) Duration() time.Duration { return c.packets[len(c.packets)-1].at }

// linkLen returns the length of a frame's Ethernet header and tags.
func linkLen(b []byte) int {
	off := ethernet.HeaderLen
	for off+ethernet.TagLen <= len(b) {
		t := ethernet.Type(binary.BigEndian.Uint16(b[off-2:]))
		if t != ethernet.TypeVLAN && t != ethernet.TypeQinQ {
			break
		}
		off += ethernet.TagLen
	}
	return off
}

// moveAddresses replaces the addresses of the IPv4 header at off, and updates its checksum and that of TCP or UDP behind it (RFC 1624).
func moveAddresses(b []byte, off int, moves []Move) {
	if binary.BigEndian.Uint16(b[off-2:]) != uint16(ethernet.TypeIPv4) || len(b) < off+ipv4.MinHeaderLen {
		return
	}
	ip := b[off:]
	header := int(ip[0]&15) * 4
	if ip[0]>>4 != 4 || header < ipv4.MinHeaderLen || len(ip) < header {
		return
	}
	sum := -1 // where the checksum is that covers the addresses, too
	if first := binary.BigEndian.Uint16(ip[6:])&0x1fff == 0; first {
		switch ip[9] {
		case ipv4.ProtoTCP:
			sum = header + 16
		case ipv4.ProtoUDP:
			sum = header + 6
		}
	}
	if sum+2 > len(ip) || sum > 0 && ip[9] == ipv4.ProtoUDP && binary.BigEndian.Uint16(ip[sum:]) == 0 {
		sum = -1
	}
	for at := 12; at < 20; at += 4 {
		before := binary.BigEndian.Uint32(ip[at:])
		after := moved(before, moves)
		binary.BigEndian.PutUint32(ip[at:], after)
		update(ip[10:], before, after)
		if sum > 0 {
			update(ip[sum:], before, after)
			if ip[9] == ipv4.ProtoUDP && binary.BigEndian.Uint16(ip[sum:]) == 0 {
				binary.BigEndian.PutUint16(ip[sum:], 0xffff)
			}
		}
	}
}

func update(field []byte, before, after uint32) {
	binary.BigEndian.PutUint16(field, checksum.Update32(binary.BigEndian.Uint16(field), before, after))
}

// moved returns the address in its place.
func moved(a uint32, moves []Move) uint32 {
	for _, m := range moves {
		if from := toAddr(uint64(a)); m.From.Contains(from) {
			host := a & (1<<(32-m.From.Bits()) - 1)
			return uint32(fromAddr(m.To.Masked().Addr())) | host
		}
	}
	return a
}
