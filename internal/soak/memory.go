package soak

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Memory is what the server had resident, in KiB: after each fault, and when all connections were over. The process is another after each
// upgrade, and its heap is as full as the garbage collector lets it be, so single figures say little.
type Memory struct {
	samples []int64
	End     int64
}

// slackKiB is how much more memory a server may have than a quarter: another process has another heap.
const slackKiB = 16 << 10

func (m *Memory) add(kib int64) { m.samples = append(m.samples, kib) }

// thirds returns the medians of the first third of the samples, and of the last.
func (m *Memory) thirds() (first, last int64) {
	n := len(m.samples)
	if n == 0 {
		return m.End, m.End
	}
	k := (n + 2) / 3
	return median(m.samples[:k]), median(m.samples[n-k:])
}

func median(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// grown returns an error if the server has more memory towards the end than in the beginning.
func (m *Memory) grown() error {
	first, last := m.thirds()
	if limit := first*5/4 + slackKiB; max(last, m.End) > limit {
		return fmt.Errorf("soak: the server's memory grew from %d to %d, and %d KiB at the end (medians of a third of the time)",
			first, last, m.End)
	}
	return nil
}

func (m *Memory) String() string {
	first, last := m.thirds()
	most := m.End
	if len(m.samples) > 0 {
		most = max(most, slices.Max(m.samples))
	}
	return fmt.Sprintf("%d MiB in the first third, %d in the last (medians), %d at most, %d at the end",
		first>>10, last>>10, most>>10, m.End>>10)
}

// rss returns the server's resident memory in KiB.
func (w *world) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	if err != nil {
		return 0, fmt.Errorf("soak: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		}
	}
	return 0, fmt.Errorf("soak: process %d has no memory", w.pid)
}
