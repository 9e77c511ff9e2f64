package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestImpairments(t *testing.T) {
	const count = 20000
	for name, test := range map[string]struct {
		imp   Impairment
		check func(s *stream, st LinkStats) string
	}{
		"loss": {Impairment{Loss: 0.1}, func(s *stream, st LinkStats) string {
			return near("lost", count-len(s.got), int(st.Lost), count/10)
		}},
		"burst": {Impairment{Burst: Burst{Enter: 0.01, Leave: 0.1}}, func(s *stream, st LinkStats) string {
			return near("lost", count-len(s.got), int(st.BurstLost), count/11)
		}},
		"duplicate": {Impairment{Duplicate: 0.2}, func(s *stream, st LinkStats) string {
			return near("duplicated", len(s.got)-count, int(st.Duplicated), count/5)
		}},
		"reorder": {Impairment{Reorder: 0.1}, func(s *stream, st LinkStats) string {
			return near("late", late(s), int(st.Reordered), count/10)
		}},
		"jitter keeps the order": {Impairment{Jitter: 3 * time.Millisecond}, func(s *stream, _ LinkStats) string {
			return near("late", late(s), 0, 0)
		}},
		"corrupt": {Impairment{Corrupt: 0.3}, func(s *stream, st LinkStats) string {
			return near("corrupted", corrupted(t, s), int(st.Corrupted), count*3/10)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n, a, b, l := pair(t, 42, Config{}, test.imp)
			s := &stream{from: a, to: b, count: count, size: 64}
			n.RunFor(time.Second, s)
			if msg := test.check(s, l.Stats(a)); msg != "" {
				t.Error(msg)
			}
			if st := l.Stats(a); st.Packets != count {
				t.Errorf("stats %+v", st)
			}
			checkFrames(t, a, b)
		})
	}
}

// near compares an observed number with the counter, and with what is expected on average.
func near(what string, got, counted, want int) string {
	if got != counted || got < want*8/10 || got > want*12/10 {
		return fmt.Sprintf("%s: %d, counted %d, want about %d", what, got, counted, want)
	}
	return ""
}

// late counts the packets that arrived after one with a higher number.
func late(s *stream) (n int) {
	highest := -1
	for _, p := range s.got {
		if number(p) < highest {
			n++
		}
		highest = max(highest, number(p))
	}
	return n
}

// corrupted counts the packets that differ from what was sent, in one bit behind the Ethernet header.
func corrupted(t *testing.T, s *stream) (n int) {
	for i, p := range s.got {
		diff := 0
		for j, c := range packet(s.to, i, s.size) {
			for x := c ^ p[j]; x != 0; x &= x - 1 {
				diff++
				if j < ethernetHeader {
					t.Errorf("packet %d: byte %d of the Ethernet header changed", i, j)
				}
			}
		}
		if diff > 1 {
			t.Errorf("packet %d: %d bits changed", i, diff)
		}
		n += diff
	}
	return n
}

func TestRateAndQueue(t *testing.T) {
	n, a, b, l := pair(t, 1, Config{}, Impairment{Rate: 10e6, QueueLen: 20})
	s := &stream{from: a, to: b, count: 1000, size: 1250, every: 500 * time.Microsecond} // twice the rate
	n.RunFor(10*time.Second, s)
	if got := len(s.got); got < 500 || got > 530 {
		t.Errorf("received %d, want half and the queue", got)
	}
	if st := l.Stats(a); int(st.QueueFull) != 1000-len(s.got) {
		t.Errorf("stats %+v", st)
	}
	took := s.at[len(s.at)-1].Sub(s.at[0])
	if rate := float64(len(s.got)-1) * 1250 * 8 / took.Seconds(); rate < 9.9e6 || rate > 10.1e6 {
		t.Errorf("rate %.0f bit/s", rate)
	}
	entered := Start.Add(time.Duration(number(s.got[300])) * s.every)
	if wait := s.at[300].Sub(entered); wait < 20*time.Millisecond || wait > 22*time.Millisecond {
		t.Errorf("a packet waited %v, want the time of the queue's 20 packets and its own", wait)
	}
}

func TestDownAndFilter(t *testing.T) {
	n, a, b, l := pair(t, 1, Config{}, Impairment{})
	l.Down = true
	s := &stream{from: a, to: b, count: 10}
	n.RunFor(time.Millisecond, s)
	l.Down = false
	l.Filter = func(_ clock.Time, from *Device, p []byte) bool { return from == a && number(p)%2 == 0 }
	s.count = 20
	n.RunFor(time.Millisecond, s)
	if st := l.Stats(a); st.Down != 10 || st.Filtered != 5 || len(s.got) != 5 {
		t.Errorf("stats %+v, received %d", st, len(s.got))
	}
}
