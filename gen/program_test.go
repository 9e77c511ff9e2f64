package gen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// write returns the next n packets of p, which are copies.
func write(p *Program, n int) [][]byte {
	b := make([]byte, p.MaxLen())
	var packets [][]byte
	for range n {
		packets = append(packets, slices.Clone(b[:p.Next(b, 0)]))
	}
	return packets
}

// field returns the 16-bit words at an offset of the next n packets.
func words(p *Program, n, off int) []int {
	var w []int
	for _, b := range write(p, n) {
		w = append(w, int(binary.BigEndian.Uint16(b[off:])))
	}
	return w
}

const (
	atSrcLow = 14 + 14 // the low half of the IPv4 source address
	atSport  = 14 + 20
	atDport  = 14 + 22
)

func TestVariation(t *testing.T) {
	for _, c := range []struct {
		spec string
		off  int
		want []int
	}{
		{"udp,sport=7", atSport, []int{7, 7, 7}},
		{"udp,sport=7-9", atSport, []int{7, 8, 9, 7, 8}},
		{"udp,sport=10-20/4", atSport, []int{10, 14, 18, 10, 14}},
		{"udp,sport=65534-65535", atSport, []int{65534, 65535, 65534}},
		{"udp,sport=9,5,7-8", atSport, []int{9, 5, 7, 8, 9}},
		{"udp,src=10.0.0.254-10.0.1.1", atSrcLow, []int{0xfe, 0xff, 0x100, 0x101, 0xfe}},
		{"udp,src=10.0.0.0/30", atSrcLow, []int{1, 2, 1}},
		{"udp,src=10.0.0.2/31", atSrcLow, []int{2, 3, 2}},
		{"udp,sport=1-2,dport=1-3", atDport, []int{1, 2, 3, 1, 2, 3}},
		{"udp,sport=1-2,dport=1-3", atSport, []int{1, 2, 1, 2, 1, 2}},
		{"udp,sport=1-2,dport=1-3,vary=nested", atDport, []int{1, 2, 3, 1, 2, 3, 1}},
		{"udp,sport=1-2,dport=1-3,vary=nested", atSport, []int{1, 1, 1, 2, 2, 2, 1}},
		{"udp,dport=1-3,sport=1-2,vary=nested", atDport, []int{1, 1, 2, 2, 3, 3, 1}},
		{"vlan=4095-4095,prio=1-2,dei=on/udp", 14, []int{0x3fff, 0x5fff, 0x3fff}},
		{"tcp,flags=syn,none,fin+ack", 14 + 20 + 12, []int{0x5002, 0x5000, 0x5011, 0x5002}},
	} {
		if got := words(compile(t, c.spec, testOptions), len(c.want), c.off); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.spec, got, c.want)
		}
	}
}

// TestRandom: values are in their range, reach all of it, and are the same for the same seed only.
func TestRandom(t *testing.T) {
	spec := "udp,sport=random:100-109,dport=random:5,7"
	first := words(compile(t, spec, testOptions), 1000, atSport)
	seen := map[int]int{}
	for _, v := range first {
		seen[v]++
	}
	if len(seen) != 10 || slices.Min(first) != 100 || slices.Max(first) != 109 {
		t.Errorf("random of 100 to 109: got %v", seen)
	}
	for v, n := range seen {
		if n < 60 || n > 140 { // 100 in the mean, standard deviation 9.5
			t.Errorf("%d occurred %d times of 1000", v, n)
		}
	}
	if again := words(compile(t, spec, testOptions), 1000, atSport); !slices.Equal(again, first) {
		t.Error("the same seed gave other values")
	}
	if other := words(compile(t, spec+",seed=1", testOptions), 1000, atSport); slices.Equal(other, first) {
		t.Error("another seed gave the same values")
	}
	both := map[[2]int]bool{}
	p := compile(t, spec, testOptions)
	for _, b := range write(p, 1000) {
		both[[2]int{int(binary.BigEndian.Uint16(b[atSport:])), int(binary.BigEndian.Uint16(b[atDport:]))}] = true
	}
	if len(both) != 20 {
		t.Errorf("of 20 pairs of independent values %d occurred", len(both))
	}
}

// TestWorkers: workers make together the packets that one alone makes.
func TestWorkers(t *testing.T) {
	const packets = 12 * 12 * shiftEvery
	for _, spec := range []string{
		"udp,src=10.0.0.1-10.0.0.254,sport=1024-65535,size=64,signature=off",
		"udp,src=10.0.0.1-10.0.0.7,sport=1-5,dport=1-3,vary=nested,size=64,signature=off",
		"udp,src=random:10.0.0.0/8,sport=random,dport=9,53,80,size=imix,signature=off",
		"udp,sport=1-5,size=64-1518,signature=off",
		"udp,sport=1-5,size=random:64-80,signature=off",
	} {
		alone := count(write(compile(t, spec, testOptions), packets))
		for _, workers := range []int{2, 3, 12} {
			together := map[string]int{}
			for w := range workers {
				o := testOptions
				o.Worker, o.Workers = w, workers
				part := write(compile(t, spec, o), packets/workers)
				for k, n := range count(part) {
					together[k] += n
				}
				checkShare(t, fmt.Sprintf("%s: worker %d of %d", spec, w, workers), part, packets/workers, compile(t, spec, o).MeanLen())
			}
			if !maps.Equal(alone, together) {
				t.Errorf("%s: %d workers make other packets (%d different ones) than one (%d)", spec, workers, len(together), len(alone))
			}
			few := map[string]int{} // not a whole number of shifts
			for w := range workers {
				o := testOptions
				o.Worker, o.Workers = w, workers
				maps.Copy(few, count(write(compile(t, spec, o), 101)))
			}
			if want := count(write(compile(t, spec, testOptions), 101*workers)); len(few) != len(want) {
				t.Errorf("%s: of 101 packets each, %d workers make %d different ones, want %d", spec, workers, len(few), len(want))
			}
		}
	}
}

// TestWorkersOfStreams: that holds for several streams, too, when each worker has gone whole rounds of their weights.
func TestWorkersOfStreams(t *testing.T) {
	var streams []Stream
	for i, spec := range []string{"udp,src=10.0.0.1-10.0.0.7,signature=off", "tcp,seq=random,sport=1-9", "icmp,seq=0-65535,size=64-70"} {
		s, err := ParseStream(spec)
		if err != nil {
			t.Fatal(err)
		}
		s.Weight = i + 1
		streams = append(streams, s)
	}
	program := func(worker, workers int) *Program {
		o := testOptions
		o.Worker, o.Workers = worker, workers
		p, err := Compile(streams, o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	alone, together := count(write(program(0, 1), 6*700)), map[string]int{}
	for w := range 7 {
		for k, n := range count(write(program(w, 7), 6*100)) {
			together[k] += n
		}
	}
	if !maps.Equal(alone, together) {
		t.Errorf("7 workers make other packets (%d different ones) than one (%d)", len(together), len(alone))
	}
}

func count(packets [][]byte) map[string]int {
	m := map[string]int{}
	for _, b := range packets {
		m[string(b)]++
	}
	return m
}

// checkShare: the packets of one worker are as long in the mean as all.
func checkShare(t *testing.T, what string, packets [][]byte, n int, mean float64) {
	t.Helper()
	total := 0
	for _, b := range packets {
		total += len(b)
	}
	if got := float64(total) / float64(n); got < mean*0.95 || got > mean*1.05 {
		t.Errorf("%s: packets of %.1f bytes in the mean, want %.1f", what, got, mean)
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		size string
		want map[int]int // packets of 1200, by size
	}{
		{"64", map[int]int{64: 1200}},
		{"64,128,1518", map[int]int{64: 400, 128: 400, 1518: 400}},
		{"imix", map[int]int{64: 700, 594: 400, 1518: 100}},
		{"64:1,1518:2", map[int]int{64: 400, 1518: 800}},
		{"64-67", map[int]int{64: 300, 65: 300, 66: 300, 67: 300}},
		{"100-1000/300", map[int]int{100: 300, 400: 300, 700: 300, 1000: 300}},
	} {
		p := compile(t, "udp,size="+c.size, testOptions)
		got := map[int]int{}
		mean := 0.0
		for _, b := range write(p, 1200) {
			got[len(b)+FCSLen]++
			mean += float64(len(b)) / 1200
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("size %s: got %v, want %v", c.size, got, c.want)
		}
		if m := p.MeanLen(); m < mean-0.001 || m > mean+0.001 {
			t.Errorf("size %s: mean said to be %f, is %f", c.size, m, mean)
		}
		s, _ := ParseSize(c.size)
		if again, err := ParseSize(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("size %s: as text %s, which is read as %s, %v", c.size, s, again, err)
		}
	}
	// The mix is spread: no two of its longest packets are closer than half a round.
	last := -12
	for i, b := range write(compile(t, "udp,size=imix", testOptions), 120) {
		if len(b) == 1514 {
			if i-last < 6 {
				t.Errorf("packets %d and %d are both of 1518 bytes", last, i)
			}
			last = i
		}
	}
}

// TestWeights: streams have their share of the packets, and sequence numbers of their own.
func TestWeights(t *testing.T) {
	var streams []Stream
	for i, w := range []int{3, 1, 0} {
		s, err := ParseStream(fmt.Sprintf("udp,dport=%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		s.Weight = w
		streams = append(streams, s)
	}
	p, err := Compile(streams, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	next := map[uint8]uint32{}
	for _, b := range write(p, 500) {
		s, ok := FindSignature(b)
		if !ok || s.Sequence != next[s.Stream] || int(s.Stream)+1 != int(b[atDport+1]) {
			t.Fatalf("signature %+v %v, want sequence %d", s, ok, next[s.Stream])
		}
		next[s.Stream]++
	}
	if want := map[uint8]uint32{0: 300, 1: 100, 2: 100}; !maps.Equal(next, want) {
		t.Errorf("packets by stream: got %v, want %v", next, want)
	}
	if got, ok := reduce([]int{1 << 20, 1 << 10, 1 << 10, 77777}); !ok || got[0] != 3806 || got[1] != 4 || got[3] != 282 {
		t.Errorf("large weights reduced to %v", got)
	}
	streams[0].Weight = 1 << 20
	if _, err := Compile(streams, testOptions); !errors.Is(err, ErrStream) {
		t.Errorf("weights of 2^20 and 1: got %v", err)
	}
}

func TestReset(t *testing.T) {
	p := compile(t, "udp,sport=1-7,src=random:10.0.0.0/8,size=imix", testOptions)
	first := write(p, 100)
	p.Reset()
	if again := write(p, 100); !slices.EqualFunc(first, again, slices.Equal) {
		t.Error("after Reset the packets are others")
	}
}

// TestBadChecksums: what is wrong on purpose is wrong, and nothing else.
func TestBadChecksums(t *testing.T) {
	for spec, want := range map[string]string{
		"ipv4,checksum=bad/udp,sport=random":                    "IPv4 checksum",
		"udp,checksum=bad,sport=random":                         "UDP checksum",
		"tcp,checksum=bad,seq=random":                           "TCP checksum",
		"icmp,checksum=bad,seq=random":                          "ICMP checksum",
		"vxlan/udp,checksum=bad,src=random:10.0.0.0/8,size=120": "inner UDP checksum",
	} {
		for i, b := range write(compile(t, spec, testOptions), 70000) {
			if got := verify(b); got != want {
				t.Fatalf("%s: packet %d: %q is wrong, want %q", spec, i, got, want)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, spec := range []string{
		"udp,src=10.0.0.1-10.0.0.254,sport=1024-65535,size=imix",
		"vxlan=random/udp,checksum=good,src=random:10.0.0.0/8,sport=1,2,5,size=random:128-1518",
	} {
		p := compile(t, spec, testOptions)
		b := make([]byte, p.MaxLen())
		if n := testing.AllocsPerRun(1000, func() { p.Next(b, 1) }); n != 0 {
			t.Errorf("%s: %v allocations for a packet", spec, n)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	s, err := ParseStream("udp,size=1518")
	if err != nil {
		t.Fatal(err)
	}
	small := s
	small.Size = FixedSize(40)
	for _, c := range []struct {
		streams []Stream
		change  func(*Options)
		want    error
	}{
		{nil, func(*Options) {}, ErrStreams},
		{make([]Stream, 257), func(*Options) {}, ErrStreams},
		{make([]Stream, 1), func(*Options) {}, ErrStream},
		{[]Stream{small}, func(*Options) {}, ErrStream},
		{[]Stream{s}, func(o *Options) { o.Worker, o.Workers = 2, 2 }, ErrWorkers},
		{[]Stream{s}, func(o *Options) { o.Worker = -1 }, ErrWorkers},
		{[]Stream{s}, func(o *Options) { o.Workers = 257 }, ErrWorkers},
		{[]Stream{s}, func(o *Options) { o.MTU = 1499 }, ErrMTU},
		{[]Stream{s}, func(o *Options) { *o = Options{} }, ErrAddress},
		{[]Stream{s}, func(o *Options) { o.MTU = 1500 }, nil},
	} {
		o := testOptions
		c.change(&o)
		if _, err := Compile(c.streams, o); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}
