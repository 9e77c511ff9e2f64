package stack_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// splitter is a box on the link that replaces segments by pieces of them: overlapping, out of order, perhaps not all. A sender
// that divides its data anew for each retransmission looks like that, and so does an attacker.
type splitter struct {
	dev    *sim.Device
	random *rand.Rand
	splits int
}

// filter takes a packet off the link and sends pieces instead, or lets it pass.
func (s *splitter) filter(_ clock.Time, _ *sim.Device, b []byte) bool {
	ip := b[ethernet.HeaderLen:]
	if b[12] != 0x08 || b[13] != 0 || ip[9] != ipv4.ProtoTCP {
		return true
	}
	headers := ethernet.HeaderLen + ipv4.MinHeaderLen + int(ip[ipv4.MinHeaderLen+12]>>4)*4
	size := len(b) - headers
	if size < 2 || s.random.IntN(2) == 0 {
		return true
	}
	s.splits++
	for range 2 + s.random.IntN(5) {
		lo := s.random.IntN(size)
		hi := lo + 1 + s.random.IntN(size-lo)
		if s.random.IntN(3) == 0 {
			lo = 0
		}
		if s.random.IntN(3) == 0 {
			hi = size
		}
		s.send(b, headers, lo, hi)
	}
	_ = s.dev.Flush()
	s.dev.Recycle()
	return false
}

// send sends the bytes lo to hi of a segment's payload as a segment of its own.
func (s *splitter) send(b []byte, headers, lo, hi int) {
	p := s.dev.Pool()
	f := p.Alloc()
	if f == frame.None {
		return
	}
	d := frame.Desc{Frame: f, Len: uint32(headers + hi - lo)}
	c := p.Bytes(d)
	copy(c, b[:headers])
	copy(c[headers:], b[headers+lo:headers+hi])
	ip := c[ethernet.HeaderLen:]
	t := ip[ipv4.MinHeaderLen:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	fixIPChecksum(ip)
	binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(lo))
	if hi < len(b)-headers {
		t[13] &^= byte(tcp.FlagFIN)
	}
	t[16], t[17] = 0, 0
	pseudo := ipv4.PseudoHeaderSum(ipv4.Addr(ip[12:16]), ipv4.Addr(ip[16:20]), ipv4.ProtoTCP, len(t))
	binary.BigEndian.PutUint16(t[16:], checksum.Finish(checksum.Sum(t, pseudo)))
	s.dev.Transmit([]frame.Desc{d})
	p.Release(f)
}

// TestSegmentsInPieces lets segments arrive as overlapping pieces of themselves.
func TestSegmentsInPieces(t *testing.T) {
	forSeeds(t, 30, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 6))
		set := settings{link: impairments(r)}
		set.config.TCP = tcp.Config{NoSACK: r.IntN(4) == 0, NoTimestamps: r.IntN(4) == 0, RecvBuffer: 1 << (13 + r.IntN(6))}
		w := newWorld(t, seed, set)
		box, err := w.net.NewDevice(sim.Config{Name: "splitter"})
		if err != nil {
			t.Fatal(err)
		}
		delays := sim.Impairment{Delay: set.link.Delay, Reorder: 0.3, ReorderBy: time.Duration(1+r.IntN(3000)) * time.Microsecond}
		for _, d := range []*sim.Device{w.client.dev, w.server.dev} {
			if _, err := w.net.Link(box, d, delays); err != nil {
				t.Fatal(err)
			}
		}
		s := &splitter{dev: box, random: r}
		w.link.Filter = s.filter
		exchange(w, seed, 50_000+r.IntN(100_000), 50_000+r.IntN(100_000), 10*time.Hour)
		if s.splits < 20 {
			t.Errorf("only %d segments were split", s.splits)
		}
	})
}
