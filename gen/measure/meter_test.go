package measure

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/xdpstack/xdpstack/gen"
)

const second = uint64(1e9)

// origin is a time by CLOCK_TAI at which tests begin.
const origin = 1_800_000_000 * second

// sent is a packet of stream 0 of worker 0 as it came: its number, when it was sent, and how long it was under way, in ns.
type sent struct {
	seq  uint32
	at   uint64
	took uint64
}

// every sends numbers one µs apart; each is 100 µs under way.
func every(seqs ...uint32) (list []sent) {
	for _, n := range seqs {
		list = append(list, sent{n, origin + uint64(n)*1000, 100_000})
	}
	return list
}

func run1(from, to uint32) (seqs []uint32) {
	for n := from; n != to; n++ {
		seqs = append(seqs, n)
	}
	return seqs
}

func measure(t *testing.T, cfg Config, lists ...[]sent) Report {
	t.Helper()
	m := newMeter(t, cfg)
	for _, list := range lists {
		for _, p := range list {
			m.Packet(packet(gen.Signature{Sequence: p.seq, Time: p.at}), p.at+p.took, false)
		}
	}
	return report(m)
}

// later moves packets to a later time.
func later(list []sent, by uint64) []sent {
	for i := range list {
		list[i].at += by
	}
	return list
}

func TestSequences(t *testing.T) {
	wrapping := func(seqs ...uint32) []sent { // numbers around the wrap, times in their order
		list := every(seqs...)
		for i := range list {
			list[i].at = origin + uint64(list[i].seq-(1<<32-100))*1000
		}
		return list
	}
	for name, tt := range map[string]struct {
		cfg   Config
		lists [][]sent
		want  Counts
		lost  uint64
	}{
		"all in order":          {lists: [][]sent{every(run1(0, 1000)...)}, want: Counts{Received: 1000}},
		"begins in the middle":  {lists: [][]sent{every(run1(500, 1000)...)}, want: Counts{Received: 500}},
		"a gap":                 {lists: [][]sent{every(0, 1, 5, 6)}, want: Counts{Received: 4}, lost: 3},
		"a duplicate":           {lists: [][]sent{every(0, 1, 1, 2)}, want: Counts{Received: 3, Duplicates: 1}},
		"three copies":          {lists: [][]sent{every(0, 1, 1, 1, 2)}, want: Counts{Received: 3, Duplicates: 2}},
		"two change places":     {lists: [][]sent{every(0, 2, 1, 3)}, want: Counts{Received: 4, Reordered: 1}},
		"reordered, then again": {lists: [][]sent{every(0, 2, 1, 1, 3)}, want: Counts{Received: 4, Reordered: 1, Duplicates: 1}},
		"before the first":      {lists: [][]sent{every(5, 3, 4, 6)}, want: Counts{Received: 4, Reordered: 2}},
		"at the window's edge": {cfg: Config{Window: 64}, lists: [][]sent{every(run1(1, 65)...), every(1)},
			want: Counts{Received: 64, Duplicates: 1}},
		"behind the window": {cfg: Config{Window: 64}, lists: [][]sent{every(0), every(run1(2, 67)...), every(1)},
			want: Counts{Received: 66, Late: 1}, lost: 1},
		"a gap wider than the window": {cfg: Config{Window: 64}, lists: [][]sent{every(0, 1, 1000, 999)},
			want: Counts{Received: 4, Reordered: 1}, lost: 997},
		"wraps":             {lists: [][]sent{wrapping(run1(1<<32-100, 100)...)}, want: Counts{Received: 200}},
		"wraps in a gap":    {lists: [][]sent{wrapping(1<<32-2, 3, 1<<32-1, 0)}, want: Counts{Received: 4, Reordered: 2}, lost: 2},
		"wraps, twice":      {lists: [][]sent{wrapping(1<<32-1, 0, 1<<32-1, 0)}, want: Counts{Received: 2, Duplicates: 2}},
		"a long outage":     {lists: [][]sent{every(0, 1<<25, 1<<25+1, 1<<25+2)}, want: Counts{Received: 4, Jumps: 1}, lost: 1<<25 - 1},
		"one far ahead":     {lists: [][]sent{every(0, 1<<25, 1, 2)}, want: Counts{Received: 3, Implausible: 1}},
		"two far and apart": {lists: [][]sent{every(0, 1<<25, 1, 1<<28, 2)}, want: Counts{Received: 3, Implausible: 2}},
		"begins anew": {lists: [][]sent{every(run1(0, 100)...), later(every(run1(0, 50)...), second)},
			want: Counts{Received: 150, Restarts: 1}},
		"begins anew with a loss before": {lists: [][]sent{every(0, 1, 5), later(every(0, 1, 3), second)},
			want: Counts{Received: 6, Restarts: 1}, lost: 4},
		"begins anew far behind": {cfg: Config{Window: 64}, lists: [][]sent{every(run1(1e6, 1e6+100)...), later(every(0, 1, 2), 2*second)},
			want: Counts{Received: 103, Restarts: 1}},
		"an old one that claims to be new": {lists: [][]sent{every(run1(0, 100)...), later(every(50), second), every(100, 101)},
			want: Counts{Received: 102, Implausible: 1}},
		"without times, begins anew": {cfg: Config{Window: 64}, lists: [][]sent{
			{{seq: 1000}, {seq: 1001}, {seq: 0}, {seq: 1}}}, want: Counts{Received: 4, Restarts: 1, Untimed: 4}},
		"the sender's clock goes back": {lists: [][]sent{later(every(0, 1), second), every(2, 3)},
			want: Counts{Received: 4, TimeJumps: 1}},
		"clocks apart": {lists: [][]sent{{{0, origin, 0}, {1, origin, ^uint64(0)}, {2, origin, 100 * second}}},
			want: Counts{Received: 3, Untimed: 2, Negative: 1, TooLong: 1, TimeJumps: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := measure(t, tt.cfg, tt.lists...)
			for _, list := range tt.lists {
				tt.want.Packets += uint64(len(list))
			}
			tt.want.Bytes = tt.want.Packets * 62
			if r.Counts != tt.want || r.Lost != tt.lost {
				t.Errorf("lost %d, %+v\nwant %d, %+v", r.Lost, r.Counts, tt.lost, tt.want)
			}
			checkSum(t, r.Counts)
		})
	}
}

// checkSum checks that every packet has a name.
func checkSum(t *testing.T, c Counts) {
	t.Helper()
	sum := c.Received + c.Duplicates + c.Late + c.Implausible + c.NoSignature + c.BadChecksum + c.Foreign + c.TooManyStreams
	if sum != c.Packets {
		t.Errorf("%d packets came and %d have a name: %+v", c.Packets, sum, c)
	}
}

func TestOtherPackets(t *testing.T) {
	good := packet(gen.Signature{})
	damaged := func(at int) []byte {
		b := packet(gen.Signature{})
		b[at] ^= 4
		return b
	}
	noChecksum := packet(gen.Signature{Sequence: 1})
	noChecksum[40], noChecksum[41], noChecksum[50] = 0, 0, 7
	padded := append(packet(gen.Signature{Sequence: 2}), 1, 2, 3, 4, 5)
	unsigned := append([]byte(nil), good...)
	unsigned[46], unsigned[48] = 0x00, 0x78 // the magic's word gets another place: the sum stays
	fragment := packet(gen.Signature{})
	fragment[20], fragment[24] = 0x20, fragment[24]-0x20 // more fragments
	for name, tt := range map[string]struct {
		packets [][]byte
		want    Counts
	}{
		"intact":                {[][]byte{good}, Counts{Received: 1, Untimed: 1}},
		"no UDP checksum":       {[][]byte{noChecksum}, Counts{Received: 1, Untimed: 1}},
		"padded":                {[][]byte{padded}, Counts{Received: 1, Untimed: 1}},
		"damaged IPv4 header":   {[][]byte{damaged(22)}, Counts{BadChecksum: 1}},
		"damaged version":       {[][]byte{damaged(14)}, Counts{BadChecksum: 1}},
		"damaged length":        {[][]byte{damaged(16)}, Counts{BadChecksum: 1}},
		"damaged UDP port":      {[][]byte{damaged(36)}, Counts{BadChecksum: 1}},
		"damaged UDP length":    {[][]byte{damaged(38), damaged(39)}, Counts{BadChecksum: 2}},
		"damaged signature":     {[][]byte{damaged(46), damaged(61)}, Counts{BadChecksum: 2}},
		"no signature":          {[][]byte{unsigned}, Counts{BadChecksum: 0, NoSignature: 1}},
		"a fragment":            {[][]byte{fragment}, Counts{Received: 1, Untimed: 1}},
		"ARP":                   {[][]byte{append([]byte{12: 8, 13: 6}, make([]byte, 46)...)}, Counts{NoSignature: 1}},
		"short, and of nothing": {[][]byte{nil, good[:13], good[:14], good[:30], good[:61]}, Counts{BadChecksum: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeter(t, Config{})
			for _, b := range tt.packets {
				m.Packet(b, origin, false)
				tt.want.Packets++
				tt.want.Bytes += uint64(len(b))
			}
			if got := report(m).Counts; got != tt.want {
				t.Errorf("%+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestStreamsAreBounded(t *testing.T) {
	many := func(cfg Config) Counts {
		m := newMeter(t, cfg)
		for id := range 1 << 16 {
			for seq := range uint32(2) {
				m.Packet(packet(gen.Signature{Worker: uint8(id >> 8), Stream: uint8(id), Sequence: seq}), 0, false)
			}
		}
		c := report(m).Counts
		checkSum(t, c)
		return c
	}
	if c := many(Config{Streams: 10, Window: 64}); c.Received != 20 || c.TooManyStreams != 1<<17-20 {
		t.Errorf("%+v", c)
	}
	if c := many(Config{Known: []uint16{3, 0x105}, Window: 64}); c.Received != 4 || c.Foreign != 1<<17-4 {
		t.Errorf("%+v", c)
	}
}

func TestStreamsApart(t *testing.T) {
	m := newMeter(t, Config{})
	for seq := range uint32(100) {
		m.Packet(packet(gen.Signature{Worker: 1, Stream: 2, Sequence: seq}), 0, false)
		if seq%2 == 0 {
			m.Packet(packet(gen.Signature{Worker: 2, Stream: 1, Sequence: seq}), 0, false)
		}
	}
	r := report(m)
	if len(r.Streams) != 2 || r.Lost != 49 {
		t.Fatalf("lost %d of %+v", r.Lost, r.Streams)
	}
	for i, want := range []StreamReport{{Worker: 1, Stream: 2, Highest: 99}, {Worker: 2, Stream: 1, Highest: 98, Lost: 49}} {
		got := r.Streams[i]
		if got.Worker != want.Worker || got.Stream != want.Stream || got.Highest != want.Highest || got.Lost != want.Lost {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestExtents(t *testing.T) {
	// RFC 4737's example in section 4.2.2 is of this kind: 4 and 5 come early, so 3 has an extent of 2, and 1, last, one of 4.
	r := measure(t, Config{}, every(0, 2, 4, 5, 3, 1, 6))
	if want := (Extent{Mean: 3, P99: 4, Max: 4}); r.Reordered != 2 || r.Extent != want {
		t.Errorf("%d reordered, %+v, want %+v", r.Reordered, r.Extent, want)
	}
	if share := r.ReorderedShare(); math.Abs(share-2.0/7) > 1e-9 {
		t.Errorf("share %v", share)
	}
}

func TestLatencyAndVariation(t *testing.T) {
	var list []sent
	for n := range uint32(1000) {
		list = append(list, sent{n, origin + uint64(n)*1e6, 10_000 + uint64(n%2)*2_000}) // 10 and 12 µs in turn
	}
	r := measure(t, Config{}, list)
	within := func(got, want int64) bool { return math.Abs(float64(got-want)) <= float64(want)/1000+1 }
	if l := r.Latency; l.Count != 1000 || !within(l.Min, 10_000) || !within(l.Max, 12_000) || !within(l.Mean, 11_000) {
		t.Errorf("latency %+v", l)
	}
	if v := r.Variation; v.Count != 999 || !within(v.Min, 2_000) || !within(v.Max, 2_000) {
		t.Errorf("variation %+v", v)
	}
	if j := r.Streams[0].Jitter; math.Abs(j-2_000) > 2 {
		t.Errorf("jitter %v ns", j)
	}
}

// TestDeviceTime is about arrivals by a clock that has nothing to do with the sender's.
func TestDeviceTime(t *testing.T) {
	m := newMeter(t, Config{})
	for n := range uint64(100) {
		b := packet(gen.Signature{Sequence: uint32(n), Time: origin + n*1000})
		m.Packet(b, 5+n*1500, n != 50) // one of them only the kernel has noted
	}
	r := report(m)
	if r.Latency.Count != 0 || r.Untimed != 100 || r.Negative != 1 || r.Variation.Count != 97 || r.Variation.Min != 500 ||
		r.Variation.Max != 500 {
		t.Errorf("%+v, latency %+v, variation %+v", r.Counts, r.Latency, r.Variation)
	}
}

func TestSettle(t *testing.T) {
	for name, tt := range map[string]struct {
		came []sent
		sent uint64
		lost uint64
		err  error
	}{
		"nothing lost":       {came: every(run1(0, 100)...), sent: 100},
		"lost at both ends":  {came: every(run1(10, 90)...), sent: 100, lost: 20},
		"all lost":           {sent: 5, lost: 5},
		"more than was sent": {came: every(0, 1), sent: 1, err: ErrSettle},
		"began anew":         {came: append(every(0, 1), later(every(0, 1), second)...), sent: 9, err: ErrSettle},
	} {
		t.Run(name, func(t *testing.T) {
			r := measure(t, Config{}, tt.came)
			if err := r.Settle(tt.sent); !errors.Is(err, tt.err) || err == nil && (r.Lost != tt.lost || !r.Settled) {
				t.Errorf("%v, lost %d, want %v, %d", err, r.Lost, tt.err, tt.lost)
			}
		})
	}
}

// TestRecorder looks now and then at what is measured.
func TestRecorder(t *testing.T) {
	r, err := NewRecorder(Config{Window: 64})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Report(); got.Packets != 0 || got.Latency.Count != 0 {
		t.Errorf("before the first packet: %+v", got)
	}
	var seq uint32
	for round := 1; round <= 5; round++ {
		m := r.Take()
		for range 100 {
			for stream := range uint8(round) { // one more in each round
				at := origin + uint64(seq)*1000
				m.Packet(packet(gen.Signature{Stream: stream, Sequence: seq, Time: at}), at+uint64(round)*10_000, false)
			}
			seq++
		}
		r.Release()
		got := r.Report()
		all := 100 * round * (round + 1) / 2
		_, _, since := got.Histograms()
		if got.Packets != uint64(all) || got.Latency.Count != int64(all) || got.Counts != r.Counts() || len(got.Streams) != round {
			t.Errorf("round %d: %+v, %d latencies", round, got.Counts, got.Latency.Count)
		}
		if got.Since.Received != uint64(100*round) || since.TotalCount() != int64(100*round) || since.Min() < int64(round)*9_990 {
			t.Errorf("round %d: since the one before %+v, %d latencies from %d on", round, got.Since, since.TotalCount(), since.Min())
		}
		if n := got.Streams[0].Latency.Count; n != int64(100*round) {
			t.Errorf("round %d: %d latencies of the first stream", round, n)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{Streams: -1}, {Streams: 5000}, {Streams: 1, Known: []uint16{1, 2}}, {Window: -1}, {Window: 1 << 25}} {
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestPacketsDoNotAllocate(t *testing.T) {
	m := newMeter(t, Config{})
	var seq uint32
	b := packet(gen.Signature{})
	if n := testing.AllocsPerRun(1000, func() {
		for _, step := range []uint32{1, 1, 3, 0xffffffff, 0xffffffff, 1 << 25} { // in order, gaps, back, double, far
			resign(b, gen.Signature{Sequence: seq + step, Time: origin + uint64(seq)})
			m.Packet(b, origin+uint64(seq)+100, false)
			if step < 10 {
				seq += step
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzPacket feeds a meter anything: it does not panic, and everything is counted once.
func FuzzPacket(f *testing.F) {
	f.Add(packet(gen.Signature{Sequence: 5, Time: origin}), uint32(7))
	f.Add([]byte{12: 0x81, 16: 8}, uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, other uint32) {
		m := newMeter(t, Config{Window: 64, Streams: 2})
		for i := range uint32(4) {
			m.Packet(b, origin, false)
			m.Packet(packet(gen.Signature{Stream: uint8(other), Sequence: other * i, Time: uint64(i * other)}), uint64(other), i&1 != 0)
		}
		r := report(m)
		checkSum(t, r.Counts)
		if r.Packets != 8 {
			t.Errorf("%+v", r.Counts)
		}
	})
}

// BenchmarkPacket measures packets in their order, of a pool that does not fit the cache, as frames do not.
func BenchmarkPacket(b *testing.B) {
	for _, size := range []int{62, 1514} {
		for name, cfg := range map[string]Config{"checksums": {}, "no checksums": {NoChecksums: true}} {
			b.Run(fmt.Sprintf("%d bytes/%s", size, name), func(b *testing.B) {
				m := newMeter(b, cfg)
				packets := make([][]byte, 1<<15) // as many as numbers that a window has
				for i := range packets {
					packets[i] = packetOf(size, gen.Signature{Sequence: uint32(i), Time: origin + uint64(i)*100})
				}
				b.ResetTimer()
				for i := range b.N {
					n := i % len(packets)
					if n == 0 { // the sender begins anew, as far as the meter is concerned
						b.StopTimer()
						m = newMeter(b, cfg)
						b.StartTimer()
					}
					m.Packet(packets[n], origin+uint64(n)*100+20_000+uint64(n*7919%4096), false)
				}
			})
		}
	}
}
