package stack

import (
	"testing"

	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// TestIdentifications has the numbers of one destination come from all shards without repetition, and those of different destinations
// be unrelated.
func TestIdentifications(t *testing.T) {
	const shards = 4
	var ids [shards]identifications
	for i := range ids {
		ids[i] = identifications{key: [2]uint64{3, 5}, step: shards, shard: uint16(i)}
	}
	src, dst := ipv4.Addr{10, 0, 0, 1}, ipv4.Addr{10, 0, 0, 2}
	seen := map[uint16]bool{}
	for range 1 << 16 / shards {
		for i := range ids {
			n := ids[i].next(src, dst, ipv4.ProtoUDP)
			if seen[n] {
				t.Fatalf("%d comes again after %d numbers", n, len(seen))
			}
			seen[n] = true
		}
	}
	// Steps from one destination to the next, with a counter for all, would be small.
	small, last := 0, uint16(0)
	for i := range 1000 {
		n := ids[0].next(src, ipv4.Addr{10, 1, byte(i >> 8), byte(i)}, ipv4.ProtoUDP)
		if n-last < 256 {
			small++
		}
		last = n
	}
	if small > 20 {
		t.Errorf("%d of 1000 destinations have a number less than 256 after that of the one before, want about 4", small)
	}
}

// TestEphemeralPorts has ports be in their range, be distinct for one remote end, and begin elsewhere for each: what one end sees does not
// tell which ports are used with another (RFC 6056 section 3.3.3).
func TestEphemeralPorts(t *testing.T) {
	a, _ := newPair(t, Config{})
	first := map[uint16]bool{}
	a.shards[0].call(func(s *Shard) {
		for i := range 200 {
			f := tcp.Flow{LocalAddr: s.local, RemoteAddr: [4]byte{10, 1, 0, byte(i)}, RemotePort: 80}
			seen := map[uint16]bool{}
			for j := range 20 {
				f.LocalPort = 0 // as when a connection is opened
				if _, ok := s.choosePort(&f, numEphemeral); !ok || f.LocalPort < firstEphemeral || seen[f.LocalPort] {
					t.Errorf("port %d: %v, seen before: %v", f.LocalPort, ok, seen[f.LocalPort])
				}
				seen[f.LocalPort] = true
				if j == 0 {
					first[f.LocalPort/1024] = true
				}
			}
		}
	})
	if len(first) < 25 {
		t.Errorf("the first ports of 200 remote ends lie in %d of 32 parts of the range", len(first))
	}
}
