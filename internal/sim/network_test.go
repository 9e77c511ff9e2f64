package sim

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestPerfectLink(t *testing.T) {
	n, a, b, _ := pair(t, 1, Config{}, Impairment{Delay: 5 * time.Millisecond})
	s := &stream{from: a, to: b, count: 5000, size: 1514}
	n.RunFor(time.Second, s)
	if len(s.got) != s.count {
		t.Fatalf("received %d of %d", len(s.got), s.count)
	}
	for i, p := range s.got {
		if !bytes.Equal(p, packet(b, i, 1514)) {
			t.Fatalf("packet %d arrived as number %d with %d bytes", i, number(p), len(p))
		}
	}
	if d := s.at[0].Sub(Start); d != 5*time.Millisecond {
		t.Errorf("the first packet took %v", d)
	}
	if a.Stats().Sent != 5000 || b.Stats().Received != 5000 {
		t.Errorf("stats %+v %+v", a.Stats(), b.Stats())
	}
	checkFrames(t, a, b)
}

func TestSameSeedSameRun(t *testing.T) {
	trace := func(seed uint64) string {
		imp := Impairment{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.1, Reorder: 0.1, Duplicate: 0.1, Corrupt: 0.1,
			Burst: Burst{Enter: 0.01, Leave: 0.3}, Rate: 100e6}
		n, a, b, _ := pair(t, seed, Config{}, imp)
		h := fnv.New64()
		n.Tap = func(now clock.Time, from, to *Device, b []byte) {
			fmt.Fprint(h, now, from.Name(), to.Name())
			h.Write(b)
		}
		n.RunFor(time.Second, &stream{from: a, to: b, count: 2000, size: 300}, &stream{from: b, to: a, count: 2000, size: 200})
		return fmt.Sprintf("%x", h.Sum64())
	}
	first, again, other := trace(1), trace(1), trace(2)
	if first != again {
		t.Error("two runs with the same seed differ")
	}
	if first == other {
		t.Error("two runs with different seeds are the same")
	}
}

func TestSeveralLinks(t *testing.T) {
	n := NewNetwork(1)
	var devs []*Device
	for range 4 {
		d, err := n.NewDevice(Config{})
		if err != nil {
			t.Fatal(err)
		}
		devs = append(devs, d)
	}
	for _, d := range devs[1:] {
		if _, err := n.Link(devs[0], d, Impairment{}); err != nil {
			t.Fatal(err)
		}
	}
	transmit(devs[0], packet(devs[2], 5, 60))
	everyone := packet(devs[2], 6, 60)
	copy(everyone, "\xff\xff\xff\xff\xff\xff")
	transmit(devs[0], everyone)
	_ = devs[0].Flush()
	n.RunFor(time.Millisecond)
	for i, want := range []int{0, 1, 2, 1} {
		if got := len(receive(devs[i])); got != want {
			t.Errorf("device %d received %d, want %d", i, got, want)
		}
	}
	if _, err := n.Link(devs[0], devs[0], Impairment{}); err == nil {
		t.Error("a device can be linked to itself")
	}
}
