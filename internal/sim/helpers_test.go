package sim

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// device is a copy of stack.Device, which this package cannot import.
type device interface {
	Pool() *frame.Pool
	HardwareAddr() [6]byte
	MTU() int
	ChecksumOffload() (rx, tx bool)
	Receive(batch []frame.Desc) int
	Room() int
	Transmit(batch []frame.Desc) int
	Flush() error
	Recycle() int
	Wait(timeout time.Duration) error
	Wake()
	Close() error
}

var _ device = (*Device)(nil)

// pair makes two joined devices.
func pair(t *testing.T, seed uint64, cfg Config, imp Impairment) (n *Network, a, b *Device, l *Link) {
	t.Helper()
	n = NewNetwork(seed)
	var err error
	if a, err = n.NewDevice(cfg); err != nil {
		t.Fatal(err)
	}
	if b, err = n.NewDevice(cfg); err != nil {
		t.Fatal(err)
	}
	if l, err = n.Link(a, b, imp); err != nil {
		t.Fatal(err)
	}
	return n, a, b, l
}

// packet makes an IPv4 packet to a device, with a number in it.
func packet(to *Device, number, size int) []byte {
	b := make([]byte, max(size, 18))
	addr := to.HardwareAddr()
	copy(b, addr[:])
	b[12], b[13] = 0x08, 0
	binary.BigEndian.PutUint32(b[14:], uint32(number))
	return b
}

func number(b []byte) int { return int(binary.BigEndian.Uint32(b[14:])) }

// transmit sends one packet as a stack does, in as many frames as it needs, and reports whether the device took it.
func transmit(d *Device, b []byte) bool {
	p := d.Pool()
	var frames []frame.Desc
	for more := true; more; {
		f := p.Alloc()
		if f == frame.None {
			return false
		}
		desc := frame.Desc{Frame: f, Off: 100, Len: uint32(copy(p.Chunk(f)[100:], b))}
		b = b[desc.Len:]
		more = len(b) > 0
		desc.More = more
		frames = append(frames, desc)
	}
	n := d.Transmit(frames)
	for _, desc := range frames {
		p.Release(desc.Frame)
	}
	return n == len(frames)
}

// receive takes all received packets of a device.
func receive(d *Device) (packets [][]byte) {
	batch := make([]frame.Desc, frame.MaxFrames)
	for {
		n := d.Receive(batch)
		var b []byte
		for _, desc := range batch[:n] {
			b = append(b, d.Pool().Bytes(desc)...)
			d.Pool().Release(desc.Frame)
			if !desc.More {
				packets = append(packets, b)
				b = nil
			}
		}
		if n == 0 {
			d.Recycle()
			return packets
		}
	}
}

// stream is a Stepper that sends numbered packets, one a step, and another that keeps what it receives.
type stream struct {
	from, to *Device
	count    int
	size     int
	every    time.Duration
	sent     int
	next     clock.Time
	got      [][]byte
	at       []clock.Time
}

func (s *stream) Step(now clock.Time) bool {
	got := receive(s.to)
	s.got = append(s.got, got...)
	for range got {
		s.at = append(s.at, now)
	}
	s.from.Recycle()
	if s.sent == s.count || now < s.next || !transmit(s.from, packet(s.to, s.sent, s.size)) {
		return len(got) > 0
	}
	s.sent++
	s.next = now.Add(s.every)
	return s.from.Flush() == nil
}

func (s *stream) Deadline() clock.Time {
	if s.sent == s.count {
		return clock.Never
	}
	return s.next
}

// checkFrames checks that every frame of the devices is where it can be: with the device, or free.
func checkFrames(t *testing.T, devices ...*Device) {
	t.Helper()
	for _, d := range devices {
		if err := d.Pool().Check(); err != nil {
			t.Errorf("%s: %v", d.Name(), err)
		}
		if a := d.Pool().Account(); a.Held != 0 {
			t.Errorf("%s: %d frames are held: %+v", d.Name(), a.Held, a)
		}
	}
}
