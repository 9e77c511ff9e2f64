package stack

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// fill gives a shard connections that nobody talks to, and takes every third away again.
func fill(t *testing.T, s *Shard, n int) {
	t.Helper()
	s.now = clock.Time(1e9)
	for i := range n {
		f := tcp.Flow{LocalAddr: s.local, LocalPort: 80, RemoteAddr: [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, RemotePort: 4000}
		c := s.open(f, s.hash(&f), s.origins.add(&quiet{}, nil), nil)
		c.tcp.Connect(s.core, f, nil, s.now)
	}
	for i := uint32(0); i < uint32(n); i += 3 {
		s.destroy(s.conns.at(i), nil)
	}
}

// TestConnectionsBoundTheWorkOfATurn has several goroutines list many connections at once. No turn looks at more than its share of them,
// and everyone sees all.
func TestConnectionsBoundTheWorkOfATurn(t *testing.T) {
	const conns, listings = 20_000, 4
	var most, before uint64
	s := turnShard(t, func(s *Shard, _ clock.Time) clock.Time {
		most, before = max(most, s.stats.Listed-before), s.stats.Listed
		return clock.Never
	})
	fill(t, s, conns)
	want := s.conns.n
	s.stack.started.Store(true)
	var all sync.WaitGroup
	for range listings {
		all.Go(func() {
			seen := map[netip.AddrPort]int{}
			for c, err := range s.stack.Connections(t.Context(), ConnQuery{TCPInfo: true}) {
				if err != nil {
					t.Error(err)
				}
				seen[c.Remote]++
			}
			if len(seen) != want {
				t.Errorf("%d connections were shown, of %d", len(seen), want)
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for now := s.now; ; now++ {
		s.Step(now)
		select {
		case <-ended:
			s.stack.started.Store(false)
			if bound := uint64(listBudget/listConn + 1); most == 0 || most > bound {
				t.Errorf("a turn has looked at %d connections, want at most %d", most, bound)
			}
			if s.stats.Listed != uint64(listings*want) {
				t.Errorf("%d were looked at, of %d for each of %d listings", s.stats.Listed, want, listings)
			}
			return
		default:
		}
	}
}

// TestListingRecordsGoesOn walks the records of TIME-WAIT in parts, while others come and go: what stays is shown once.
func TestListingRecordsGoesOn(t *testing.T) {
	s := turnShard(t, nil)
	s.now = clock.Time(1e9)
	flow := func(i int) tcp.Flow {
		return tcp.Flow{LocalAddr: s.local, LocalPort: 80, RemoteAddr: [4]byte{10, 0, byte(i >> 8), byte(i)}, RemotePort: 9}
	}
	const n = 1000
	for i := range n {
		s.timeWait.Add(flow(i), tcp.TimeWaitRecord{}, s.now)
	}
	seen := map[netip.AddrPort]int{}
	changes := 0
	for c, err := range s.stack.Connections(t.Context(), ConnQuery{Kinds: KindTimeWait}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[c.Remote]++
		if changes < n { // those with an odd number go, others come in their places
			s.timeWait.Remove(flow(changes + 1))
			s.timeWait.Add(flow(n+changes), tcp.TimeWaitRecord{}, s.now)
			changes += 2
		}
	}
	for i := 0; i < n; i += 2 {
		if f := flow(i); seen[f.Remote()] != 1 {
			t.Fatalf("record %d was shown %d times", i, seen[f.Remote()])
		}
	}
}
