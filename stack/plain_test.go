package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// plainShard makes a shard to parse frames with. Frames come to the first address and port of a flow.
func plainShard(t testing.TB, offload bool) *Shard {
	t.Helper()
	dev, err := sim.NewNetwork(1).NewDevice(sim.Config{Name: "plain", Offload: offload})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Address: netip.MustParsePrefix("10.0.0.1/24"), Seed: 1}, dev)
	if err != nil {
		t.Fatal(err)
	}
	return s.Shard(0)
}

// plainFrame builds a frame with a segment of n bytes of payload for the shard.
func plainFrame(s *Shard, flow tcp.Flow, tos uint8, n int) []byte {
	b := make([]byte, ethernet.HeaderLen+ipv4.MinHeaderLen+tcp.MinHeaderLen+12+n)
	eth := ethernet.Header{Dst: s.hw, Src: ethernet.Addr{2, 0, 0, 0, 0, 9}, Type: ethernet.TypeIPv4}
	eth.Marshal(b)
	ip := b[ethernet.HeaderLen:]
	src, dst := ipv4.Addr(flow.RemoteAddr), ipv4.Addr(flow.LocalAddr)
	h := ipv4.Header{TOS: tos, TTL: 64, DF: true, Proto: ipv4.ProtoTCP, Src: src, Dst: dst, TotalLen: uint16(len(ip))}
	h.Marshal(ip)
	seg := ip[ipv4.MinHeaderLen:]
	var o tcp.OutSegment
	o.Clear()
	o.Seq, o.Ack, o.Flags, o.Window, o.HasTS, o.TSVal = 1000, 2000, tcp.FlagACK|tcp.FlagPSH, 500, true, 7
	o.Marshal(seg, flow.RemotePort, flow.LocalPort)
	for i := range n {
		seg[len(seg)-n+i] = byte(i * 3)
	}
	setPlainSum(b)
	return b
}

// setPlainSum makes both checksums right, if there is anything like a header.
func setPlainSum(b []byte) {
	if len(b) < ethernet.HeaderLen+ipv4.MinHeaderLen {
		return
	}
	ip := b[ethernet.HeaderLen:]
	n, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if n < ipv4.MinHeaderLen || total > len(ip) || total < n+tcp.MinHeaderLen {
		return
	}
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], checksum.Finish(checksum.Sum(ip[:n], 0)))
	seg := ip[n:total]
	seg[16], seg[17] = 0, 0
	sum := ipv4.PseudoHeaderSum(ipv4.Addr(ip[12:16]), ipv4.Addr(ip[16:20]), ipv4.ProtoTCP, len(seg))
	binary.BigEndian.PutUint16(seg[16:], checksum.Finish(checksum.Sum(seg, sum)))
}

// parsed is what became of a frame.
type parsed struct {
	segments int
	flow     tcp.Flow
	hash     uint32
	off, len uint32
	flags    uint16
}

// parseBy has a frame parsed behind the segments that came before it, and takes it out again.
func parseBy(s *Shard, b []byte, parse func(frame.Index)) parsed {
	f := s.pool.Alloc()
	m := s.pool.Meta(f)
	m.Off, m.Len = 256, uint32(copy(s.pool.Chunk(f)[256:], b))
	n := len(s.segments)
	parse(f)
	p := parsed{segments: len(s.segments) - n}
	if p.segments == 1 {
		g := &s.segments[n]
		p.flow, p.hash, p.off, p.len, p.flags = g.flow, g.hash, m.Off, m.Len, m.Flags
		if g.follows {
			p.flow, p.hash = s.segments[n-1].flow, s.segments[n-1].hash
		}
		s.pool.Release(f)
	}
	s.segments = s.segments[:n]
	return p
}

// checkPlain has a frame parsed in both ways and compares, with and without a segment of the same flow before it. It reports whether
// the frame was taken for plain.
func checkPlain(t *testing.T, s *Shard, b []byte, flow tcp.Flow) (plain bool) {
	t.Helper()
	free := s.pool.Free()
	first := plainFrame(s, flow, 0, 0)
	for _, before := range []bool{false, true} {
		if s.segments = s.segments[:0]; before {
			f := s.pool.Alloc()
			m := s.pool.Meta(f)
			m.Len = uint32(copy(s.pool.Chunk(f), first))
			s.plain(f)
			s.pool.Release(f)
		}
		quick := parseBy(s, b, func(f frame.Index) {
			drops := s.stats.Drop
			if plain = s.plain(f); !plain {
				if s.stats.Drop != drops {
					t.Error("a frame that is not plain was counted as dropped already")
				}
				s.pool.Release(f)
			}
		})
		slow := parseBy(s, b, s.parseFrame)
		if plain && quick != slow {
			t.Fatalf("%x: taken for plain as %+v, layer by layer it is %+v", b, quick, slow)
		}
		if !plain && quick.segments != 0 {
			t.Fatalf("%x: not plain, but it is in the batch", b)
		}
	}
	s.segments = s.segments[:0]
	for len(s.txq) != 0 { // an answer of ICMP
		s.transmit()
	}
	if s.pool.Free() > free {
		t.Fatalf("%x: frames were released twice", b)
	}
	return plain
}

var plainFlow = tcp.Flow{LocalAddr: [4]byte{10, 0, 0, 1}, RemoteAddr: [4]byte{10, 0, 0, 2}, LocalPort: 80, RemotePort: 40000}

// TestPlainAgrees changes every byte of the headers, in many ways, with checksums that are right and that are wrong: what is taken
// on the short way is what the layers would take, and as they would.
func TestPlainAgrees(t *testing.T) {
	for _, offload := range []bool{false, true} {
		s := plainShard(t, offload)
		for _, n := range []int{0, 1, 300, 1448} {
			b := plainFrame(s, plainFlow, 0, n)
			if !checkPlain(t, s, b, plainFlow) {
				t.Errorf("offload %v: a segment of %d bytes is not plain", offload, n)
			}
			if !checkPlain(t, s, append(b, 0, 0, 0), plainFlow) {
				t.Errorf("offload %v: a segment of %d bytes with padding is not plain", offload, n)
			}
			for cut := range min(len(b), 80) {
				checkPlain(t, s, b[:len(b)-1-cut], plainFlow)
			}
		}
		for at := range plainLen + 12 {
			for _, v := range []byte{0, 1, 2, 3, 4, 6, 7, 17, 0x20, 0x40, 0x45, 0x46, 0x44, 0x50, 0x55, 0x80, 0x81, 0xf0, 0xff, 127, 224, 10} {
				b := plainFrame(s, plainFlow, 0, 20)
				b[at] = v
				checkPlain(t, s, b, plainFlow)
				setPlainSum(b)
				checkPlain(t, s, b, plainFlow)
			}
		}
	}
}

// TestPlainRefuses names what must not pass on the short way, each in a frame that is right otherwise.
func TestPlainRefuses(t *testing.T) {
	s := plainShard(t, false)
	for _, c := range []struct {
		name   string
		change func(b []byte)
	}{
		{"for another station", func(b []byte) { b[5]++ }},
		{"from a group", func(b []byte) { b[6] |= 1 }},
		{"another host's address", func(b []byte) { b[33]++ }},
		{"from the network's broadcast address", func(b []byte) { b[29] = 255 }},
		{"from this host", func(b []byte) { b[29] = 1 }},
		{"from loopback", func(b []byte) { b[26] = 127 }},
		{"a first fragment", func(b []byte) { b[20] |= 0x20 }},
		{"a later fragment", func(b []byte) { b[21] = 1 }},
		{"UDP", func(b []byte) { b[23] = 17 }},
		{"port 0", func(b []byte) { b[36], b[37] = 0, 0 }},
		{"a data offset behind the end", func(b []byte) { b[46] = 0xf0 }},
		{"a data offset within the header", func(b []byte) { b[46] = 0x40 }},
	} {
		b := plainFrame(s, plainFlow, 0, 4)
		c.change(b)
		setPlainSum(b)
		if checkPlain(t, s, b, tcp.Flow{}) {
			t.Errorf("%s: taken", c.name)
		}
	}
	for at := range plainLen {
		b := plainFrame(s, plainFlow, 0, 4)
		if b[at] ^= 0x08; at >= ethernet.HeaderLen && checkPlain(t, s, b, plainFlow) {
			t.Errorf("with a wrong bit in byte %d: taken", at)
		}
	}
}

// TestPlainMarked has the mark of a congested router be seen.
func TestPlainMarked(t *testing.T) {
	s := plainShard(t, false)
	p := parseBy(s, plainFrame(s, plainFlow, tcp.CE, 4), func(f frame.Index) { s.plain(f) })
	if p.segments != 1 || p.flags != tcp.MetaCE {
		t.Errorf("parsed as %+v, want the mark", p)
	}
}

// TestPlainRuns has dispatch find the flow of every segment of runs that plain and parseFrame have put into one batch after another.
func TestPlainRuns(t *testing.T) {
	s := plainShard(t, false)
	r := rand.New(rand.NewPCG(1, 2))
	for batch := range 200 {
		var want []tcp.Flow
		s.segments = s.segments[:0]
		for range 1 + r.IntN(20) {
			flow := plainFlow
			flow.RemotePort += uint16(r.IntN(3))
			f := s.pool.Alloc()
			m := s.pool.Meta(f)
			m.Len = uint32(copy(s.pool.Chunk(f), plainFrame(s, flow, 0, r.IntN(10))))
			if r.IntN(3) != 0 || !s.plain(f) {
				s.parseFrame(f)
			}
			want = append(want, flow)
		}
		if len(s.segments) != len(want) {
			t.Fatalf("batch %d: %d segments of %d", batch, len(s.segments), len(want))
		}
		for i := range s.segments {
			s.segments[i].conn = nil
		}
		s.lookUp()
		for i, flow := range want {
			if g := &s.segments[i]; g.flow != flow || g.hash != s.hash(&flow) || g.conn != nil {
				t.Fatalf("batch %d: segment %d of %d is of flow %v, want %v", batch, i, len(want), g.flow, flow)
			}
			s.pool.Release(s.segments[i].frame)
		}
	}
}

func FuzzPlain(f *testing.F) {
	s := plainShard(f, false)
	f.Add(plainFrame(s, plainFlow, 0, 10), false)
	f.Add(plainFrame(s, plainFlow, 3, 0), true)
	f.Fuzz(func(t *testing.T, b []byte, right bool) {
		if len(b) > 1600 {
			return
		}
		if right {
			setPlainSum(b)
		}
		checkPlain(t, s, b, plainFlow)
	})
}
