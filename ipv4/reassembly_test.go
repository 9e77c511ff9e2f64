package ipv4

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// content is what byte i of every test payload is.
func content(i int) byte { return byte(i*7 + i>>8) }

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = content(i)
	}
	return b
}

var whole = Header{ID: 99, TTL: 64, Proto: ProtoUDP, Src: Addr{192, 0, 2, 1}, Dst: Addr{192, 0, 2, 2}}

// fragment returns the packet that carries bytes start to end of a datagram like h.
func fragment(h Header, start, end int, more bool) []byte {
	b := make([]byte, MinHeaderLen+end-start)
	h.FragOffset, h.MF, h.TotalLen = uint16(start), more, uint16(len(b))
	h.Marshal(b)
	for i := range end - start {
		b[MinHeaderLen+i] = content(start + i)
	}
	return b
}

// pieces returns the fragments of a datagram of n bytes of payload, each of size bytes.
func pieces(h Header, n, size int) (f [][]byte) {
	for start := 0; start < n; start += size {
		f = append(f, fragment(h, start, min(start+size, n), start+size < n))
	}
	return f
}

type reassembly struct {
	*Reassembler
	t   testing.TB
	now clock.Time
}

func newReassembly(t testing.TB, cfg ReassemblerConfig) *reassembly {
	t.Helper()
	r, err := NewReassembler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &reassembly{r, t, clock.Time(time.Hour)}
}

// input parses the packet and hands it in.
func (r *reassembly) input(b []byte) []byte {
	r.t.Helper()
	var h Header
	if err := Parse(b, &h); err != nil {
		r.t.Fatalf("fragment %x: %v", b[:min(len(b), 24)], err)
	}
	return r.Input(b, &h, r.now)
}

// wantWhole wants d to be a whole datagram like whole with n bytes of payload.
func (r *reassembly) wantWhole(d []byte, n int) {
	r.t.Helper()
	if d == nil {
		r.t.Fatalf("no datagram; counters %+v", r.Stats)
	}
	var h Header
	if err := Parse(d, &h); err != nil {
		r.t.Fatalf("datagram: %v", err)
	}
	if h.IsFragment() || int(h.TotalLen) != len(d) || h.Src != whole.Src || h.Dst != whole.Dst || h.Proto != whole.Proto {
		r.t.Fatalf("header %+v", h)
	}
	if !bytes.Equal(h.Payload(d), payload(n)) {
		r.t.Fatalf("payload of %d bytes differs, want %d bytes", h.PayloadLen(), n)
	}
	if r.Len() != 0 {
		r.t.Fatalf("%d datagrams still wait", r.Len())
	}
}

func TestReassembleInAnyOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	r := newReassembly(t, ReassemblerConfig{})
	for round := range 300 {
		n := 9 + rnd.IntN(9000)
		f := pieces(whole, n, 8*(1+rnd.IntN(200))+n/100&^7)
		if len(f) == 1 {
			continue
		}
		switch round % 3 {
		case 1:
			for i, j := 0, len(f)-1; i < j; i, j = i+1, j-1 {
				f[i], f[j] = f[j], f[i]
			}
		case 2:
			rnd.Shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] })
		}
		for i, b := range f {
			d := r.input(b)
			if i < len(f)-1 {
				if d != nil {
					t.Fatal("a datagram before all fragments are there")
				}
				r.input(b) // what a network repeats does no harm
				continue
			}
			r.wantWhole(d, n)
		}
	}
	if r.Stats.Reassembled < 200 || r.Stats.Overlaps != 0 || r.Stats.Repeated == 0 {
		t.Errorf("counters %+v", r.Stats)
	}
}

func TestReassembleLargest(t *testing.T) {
	r := newReassembly(t, ReassemblerConfig{})
	const n = MaxLen - MinHeaderLen
	var d []byte
	for _, b := range pieces(whole, n, 1480) {
		d = r.input(b)
	}
	r.wantWhole(d, n)
}

func TestReassembledHeader(t *testing.T) {
	// Options of the first fragment stay, the marks of congestion are gathered.
	r := newReassembly(t, ReassemblerConfig{})
	h := whole
	h.TOS = 0xb8 | 2
	f := pieces(h, 40, 16)
	first := append(append(bytes.Clone(f[0][:20]), 0x94, 4, 0, 0, 1, 1, 1, 0), f[0][20:]...)
	first[0], first[3] = 0x47, byte(len(first))
	fixChecksum(first)
	f[1][1] |= 3
	fixChecksum(f[1])
	r.input(f[1])
	r.input(first)
	d := r.input(f[2])
	r.wantWhole(d, 40)
	if d[1] != 0xb8|3 || d[0] != 0x47 || d[20] != 0x94 {
		t.Errorf("header %x", d[:28])
	}
}

func TestHostileFragments(t *testing.T) {
	withTOS := func(b []byte, tos byte) []byte {
		b[1] = tos
		fixChecksum(b)
		return b
	}
	type frags [][]byte
	tests := []struct {
		name   string
		cfg    ReassemblerConfig
		frags  frags
		reason func(*ReassemblyStats) uint64
	}{
		{"overlap behind", ReassemblerConfig{}, frags{fragment(whole, 0, 24, true), fragment(whole, 16, 40, true)}, overlaps},
		{"overlap before", ReassemblerConfig{}, frags{fragment(whole, 16, 40, true), fragment(whole, 0, 24, true)}, overlaps},
		{"contained", ReassemblerConfig{}, frags{fragment(whole, 0, 64, true), fragment(whole, 16, 24, true)}, overlaps},
		{"containing", ReassemblerConfig{}, frags{fragment(whole, 16, 24, true), fragment(whole, 0, 64, true)}, overlaps},
		{"same start", ReassemblerConfig{}, frags{fragment(whole, 0, 16, true), fragment(whole, 0, 24, true)}, overlaps},
		{"two ends", ReassemblerConfig{}, frags{fragment(whole, 32, 40, false), fragment(whole, 48, 56, false)}, overlaps},
		{"beyond the end", ReassemblerConfig{}, frags{fragment(whole, 32, 40, false), fragment(whole, 40, 48, true)}, overlaps},
		{"end before others", ReassemblerConfig{}, frags{fragment(whole, 40, 48, true), fragment(whole, 16, 24, false)}, overlaps},
		{"longer than allowed", ReassemblerConfig{MaxSize: 100},
			frags{fragment(whole, 0, 8, true), fragment(whole, 80, 88, true)}, tooLong},
		{"first header makes it too long", ReassemblerConfig{MaxSize: 100},
			frags{fragment(whole, 8, 80, false), withOptionsOf(fragment(whole, 0, 8, true), 4)}, tooLong},
		{"many small ones", ReassemblerConfig{MaxFragments: 3}, pieces(whole, 40, 8), tooMany},
		{"congestion on what cannot be marked", ReassemblerConfig{},
			frags{withTOS(fragment(whole, 0, 8, true), 0), withTOS(fragment(whole, 8, 16, true), 3)}, badECN},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReassembly(t, tt.cfg)
			for _, b := range tt.frags {
				if d := r.input(b); d != nil {
					t.Fatalf("a datagram of %d bytes came out", len(d))
				}
				if tt.reason(&r.Stats) != 0 {
					break
				}
			}
			if tt.reason(&r.Stats) != 1 || r.Len() != 0 {
				t.Errorf("%d datagrams wait, counters %+v", r.Len(), r.Stats)
			}
		})
	}
}

func overlaps(s *ReassemblyStats) uint64 { return s.Overlaps }
func tooLong(s *ReassemblyStats) uint64  { return s.TooLong }
func tooMany(s *ReassemblyStats) uint64  { return s.TooMany }
func badECN(s *ReassemblyStats) uint64   { return s.ECN }

// withOptionsOf puts n bytes of no-operation options into the header of b.
func withOptionsOf(b []byte, n int) []byte {
	b = append(append(bytes.Clone(b[:20]), bytes.Repeat([]byte{1}, n)...), b[20:]...)
	b[0] += byte(n / 4)
	b[3] = byte(len(b))
	fixChecksum(b)
	return b
}

func TestDatagramsAreKeptApart(t *testing.T) {
	r := newReassembly(t, ReassemblerConfig{MaxPerSource: 16})
	others := []func(*Header){
		func(h *Header) { h.ID++ },
		func(h *Header) { h.Proto = ProtoICMP },
		func(h *Header) { h.Src[3]++; h.Src[2]++ },
		func(h *Header) { h.Dst[3]++; h.Dst[2]++ },
	}
	r.input(fragment(whole, 0, 16, true))
	for _, edit := range others {
		h := whole
		edit(&h)
		if r.input(fragment(h, 16, 24, false)) != nil {
			t.Error("fragments of two datagrams were put together")
		}
	}
	if r.Len() != 5 {
		t.Errorf("%d datagrams wait, want 5", r.Len())
	}
}

func TestOldestMakesRoom(t *testing.T) {
	r := newReassembly(t, ReassemblerConfig{MaxDatagrams: 4, MaxPerSource: 2})
	of := func(src byte, id uint16) Header {
		h := whole
		h.Src[3], h.ID = src, id
		return h
	}
	r.input(fragment(of(10, 1), 0, 8, true))
	// One source floods: it only replaces its own.
	for id := range uint16(1000) {
		r.input(fragment(of(20, id), 0, 8, true))
	}
	if r.Len() != 3 || r.Stats.Evicted != 998 {
		t.Errorf("%d wait, counters %+v", r.Len(), r.Stats)
	}
	if r.input(fragment(of(10, 1), 8, 16, false)) == nil {
		t.Error("the flood of one source took another's datagram")
	}
	// Many sources flood: no more than the bound, and a datagram whose fragments come together still gets through.
	for src := byte(30); src < 130; src++ {
		r.input(fragment(of(src, 7), 0, 8, true))
		if r.Len() > 4 {
			t.Fatalf("%d datagrams wait", r.Len())
		}
	}
	r.input(fragment(of(10, 2), 0, 8, true))
	if r.input(fragment(of(10, 2), 8, 16, false)) == nil {
		t.Error("no datagram gets through the flood")
	}
}

func TestReassemblyTimeout(t *testing.T) {
	r := newReassembly(t, ReassemblerConfig{})
	if r.Deadline() != clock.Never {
		t.Error("an empty Reassembler has a deadline")
	}
	r.input(fragment(whole, 0, 16, true))
	second := whole
	second.ID++
	r.now = r.now.Add(time.Second)
	r.input(fragment(second, 16, 24, true)) // its first fragment never comes
	r.now = r.now.Add(29 * time.Second)
	if r.Deadline() != r.now {
		t.Errorf("deadline %v, want %v", r.Deadline(), r.now)
	}
	r.Expire(r.now - 1)
	if r.Len() != 2 || r.NextExpired() != nil {
		t.Error("a timeout too early")
	}
	r.Expire(r.now)
	if got := r.NextExpired(); !bytes.Equal(got, fragment(whole, 0, 16, true)) {
		t.Errorf("expired fragment %x", got)
	}
	if r.NextExpired() != nil || r.Len() != 1 {
		t.Errorf("%d wait", r.Len())
	}
	r.now = r.now.Add(time.Second)
	r.Expire(r.now)
	if r.NextExpired() != nil || r.Len() != 0 || r.Stats.Timeouts != 2 || r.Deadline() != clock.Never {
		t.Errorf("%d wait, counters %+v", r.Len(), r.Stats)
	}
}

func TestExpiredSlotsAreUsedAgain(t *testing.T) {
	r := newReassembly(t, ReassemblerConfig{MaxDatagrams: 2, MaxPerSource: 2})
	for id := range uint16(50) {
		h := whole
		h.ID = id
		r.input(fragment(h, 0, 8, true))
		r.now = r.now.Add(time.Minute)
		r.Expire(r.now) // and nobody asks for what expired
	}
	r.input(fragment(whole, 0, 8, true))
	r.wantWhole(r.input(fragment(whole, 8, 12, false)), 12)
}

func TestReassemblerConfigRefused(t *testing.T) {
	for _, cfg := range []ReassemblerConfig{
		{MaxDatagrams: -1}, {MaxDatagrams: 257}, {MaxPerSource: -1}, {MaxFragments: -1}, {MaxFragments: 8193},
		{MaxSize: 67}, {MaxSize: 65536}, {Timeout: -1},
	} {
		if _, err := NewReassembler(cfg); !errors.Is(err, ErrReassembler) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestReassemblyDoesNotAllocate(t *testing.T) {
	r := newReassembly(t, ReassemblerConfig{MaxDatagrams: 4})
	f := pieces(whole, 9000, 1480)
	stray := fragment(whole, 16, 24, true)
	headers := make([]Header, len(f))
	for i := range f {
		if err := Parse(f[i], &headers[i]); err != nil {
			t.Fatal(err)
		}
	}
	id := uint16(0)
	if n := testing.AllocsPerRun(100, func() {
		for i := range f {
			r.Input(f[i], &headers[i], r.now)
		}
		h := headers[1]
		h.ID = id + 1000
		id++
		r.Input(stray, &Header{HeaderLen: 20, TotalLen: 28, FragOffset: 16, MF: true, ID: h.ID, Src: h.Src, Dst: h.Dst}, r.now)
		r.now = r.now.Add(10 * time.Second)
		r.Expire(r.now)
		r.NextExpired()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReassemble(b *testing.B) {
	r := newReassembly(b, ReassemblerConfig{})
	f := pieces(whole, 9000, 1480)
	b.SetBytes(9000)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range f {
			r.input(p)
		}
	}
}
