package impair

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
)

const start = clock.Time(time.Second)

// frame1500 is an IPv4 packet of 1500 bytes behind its Ethernet header.
func frame1500() []byte {
	b := make([]byte, 1514)
	b[12] = 0x08
	return b
}

// fates decides about n frames that enter a microsecond apart.
func fates(d *Direction, n int) []Fate {
	b, f := frame1500(), make([]Fate, n)
	for i := range f {
		f[i] = d.Decide(start.Add(time.Duration(i)*time.Microsecond), b)
	}
	return f
}

func TestSameSeedSameFates(t *testing.T) {
	cfg := Config{
		Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.1, Burst: Burst{Enter: 0.01, Leave: 0.3}, Reorder: 0.1,
		Duplicate: 0.1, Corrupt: 0.1, Rate: 1e11,
	}
	a, b, other := NewDirection(cfg, 7, 0), NewDirection(cfg, 7, 0), NewDirection(cfg, 7, 1)
	same := 0
	fa, fb, fo := fates(&a, 5000), fates(&b, 5000), fates(&other, 5000)
	for i := range fa {
		if fa[i] != fb[i] {
			t.Fatalf("packet %d: %+v and %+v", i, fa[i], fb[i])
		}
		if fa[i] == fo[i] {
			same++
		}
	}
	if a.Stats != b.Stats || same > len(fa)/2 {
		t.Errorf("counters %+v and %+v, %d fates are those of another stream", a.Stats, b.Stats, same)
	}
}

func TestOneSettingLeavesOtherDecisionsAlone(t *testing.T) {
	plain, busy := NewDirection(Config{Loss: 0.1}, 3, 0), NewDirection(Config{Loss: 0.1, Jitter: time.Second, Duplicate: 0.5}, 3, 0)
	a, b := fates(&plain, 5000), fates(&busy, 5000)
	for i := range a {
		if (a[i].Copies == 0) != (b[i].Copies == 0) {
			t.Fatalf("packet %d is lost on one path only", i)
		}
	}
}

func TestLossesAreAsConfigured(t *testing.T) {
	const n = 200_000
	within := func(what string, got uint64, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > 0.05*want {
			t.Errorf("%s: %d, want about %.0f", what, got, want)
		}
	}
	random := NewDirection(Config{Loss: 0.02}, 1, 0)
	fates(&random, n)
	within("lost", random.Stats.Lost, 0.02*n)

	// A bad time lasts 1/Leave packets, a good one 1/Enter.
	burst := NewDirection(Config{Burst: Burst{Enter: 0.005, Leave: 0.2}}, 1, 0)
	runs, in := uint64(0), false
	for _, f := range fates(&burst, n) {
		if f.Copies == 0 && !in {
			runs++
		}
		in = f.Copies == 0
	}
	within("lost in bad times", burst.Stats.BurstLost, n*5.0/205)
	within("bad times", runs, n/205.0)
}

func TestOrderAndDelay(t *testing.T) {
	d := NewDirection(Config{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Reorder: 0.05, ReorderBy: 4 * time.Millisecond}, 1, 0)
	last, held := clock.Time(0), uint64(0)
	for i, f := range fates(&d, 20_000) {
		late := f.At.Sub(start.Add(time.Duration(i) * time.Microsecond))
		if late < 10*time.Millisecond || late > 16*time.Millisecond {
			t.Fatalf("packet %d takes %v", i, late)
		}
		if f.At < last || late > 12*time.Millisecond {
			held++
			continue
		}
		last = f.At
	}
	if held == 0 || held > d.Stats.Reordered {
		t.Errorf("%d packets out of order, %d were held back", held, d.Stats.Reordered)
	}
}

func TestRateAndQueue(t *testing.T) {
	d := NewDirection(Config{Rate: 1514 * 8 * 1000, QueueLen: 9}, 1, 0) // a frame a millisecond
	b := frame1500()
	for i := range 20 {
		f := d.Decide(start, b)
		if want := start.Add(time.Duration(i+1) * time.Millisecond); i < 10 && f.At != want {
			t.Errorf("packet %d arrives %v late", i, f.At.Sub(want))
		}
	}
	if d.Stats.QueueFull != 10 {
		t.Errorf("%d dropped, want 10: one is being sent and 9 wait", d.Stats.QueueFull)
	}
	if f := d.Decide(start.Add(3*time.Millisecond), b); f.Copies != 1 || f.At != start.Add(11*time.Millisecond) {
		t.Errorf("once three had left: %+v", f)
	}
}

func TestDamageInvertsOneBitBehindTheHeader(t *testing.T) {
	d := NewDirection(Config{Corrupt: 1}, 1, 0)
	for range 1000 {
		b := frame1500()
		f := d.Decide(start, b)
		f.Damage(b)
		ones := 0
		for i, v := range b {
			for ; v != 0; v &= v - 1 {
				if i != 12 {
					ones++
				}
				if i < ethernetHeader && i != 12 {
					t.Fatalf("byte %d of the Ethernet header was damaged", i)
				}
			}
		}
		if ones != 1 {
			t.Fatalf("%d bits were inverted", ones)
		}
	}
	arp := make([]byte, 60)
	arp[12], arp[13] = 0x08, 0x06
	if f := d.Decide(start, arp); f.Bit != -1 {
		t.Errorf("ARP was damaged: %+v", f)
	}
}

// TestQueueMarks has packets that find the queue long get CE, if they are ECN-capable, and their header's checksum stay right.
func TestQueueMarks(t *testing.T) {
	d := NewDirection(Config{Rate: 1514 * 8 * 1000, QueueLen: 9, MarkAt: 4}, 1, 0) // a frame a millisecond
	for i := range 12 {
		b := frame1500()
		ip := b[ethernetHeader:]
		copy(ip, []byte{0x45, byte(i*0x54) &^ 3, 5, 0xdc, 1, byte(i), 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
		ecn := byte(i % 4)
		ip[1] |= ecn
		binary.BigEndian.PutUint16(ip[10:], checksum.Finish(checksum.Sum(ip[:20], 0)))
		f := d.Decide(start, b)
		if f.Copies == 0 {
			if i < 10 {
				t.Errorf("packet %d was dropped", i)
			}
			continue
		}
		f.Damage(b)
		want := ecn
		if i >= 4 && (ecn == 1 || ecn == 2) {
			want = 3
		}
		if got := ip[1] & 3; got != want || f.Mark != (want != ecn) {
			t.Errorf("packet %d, %d waiting: ECN field %d became %d, want %d", i, i, ecn, got, want)
		}
		if !checksum.Valid(checksum.Sum(ip[:20], 0)) {
			t.Errorf("packet %d: the header's checksum is wrong", i)
		}
	}
	if d.Stats.Marked != 3 || d.Stats.QueueFull != 2 || d.Stats.Queued != 45+2*10 {
		t.Errorf("%+v", d.Stats)
	}
}
