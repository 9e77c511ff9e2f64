package ethernet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// others returns the addresses of prefixes.
func others(t testing.TB, prefixes ...string) addrset.Set {
	t.Helper()
	var ranges []addrset.Range
	for _, p := range prefixes {
		ranges = append(ranges, addrset.FromPrefix(netip.MustParsePrefix(p)))
	}
	s, err := addrset.New(ranges...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOthersAreAnswered asks for addresses in and beside the further ones.
func TestOthersAreAnswered(t *testing.T) {
	b := newBench(t, NeighboursConfig{Others: others(t, "10.1.0.0/16", "192.0.2.128/30")})
	for _, test := range []struct {
		ip   [4]byte
		ours bool
	}{
		{ourIP, true}, {[4]byte{10, 1, 0, 0}, true}, {[4]byte{10, 1, 255, 255}, true}, {[4]byte{192, 0, 2, 131}, true},
		{[4]byte{10, 2, 0, 0}, false}, {[4]byte{192, 0, 2, 132}, false}, {[4]byte{10, 0, 255, 255}, false},
	} {
		b.Input(&ARP{Op: ARPRequest, SenderMAC: peerMAC, SenderIP: peerIP, TargetIP: test.ip}, b.now)
		var want []ARP
		if test.ours {
			want = []ARP{{Op: ARPReply, SenderMAC: ourMAC, SenderIP: test.ip, TargetMAC: peerMAC, TargetIP: peerIP}}
		}
		b.wantARP(want...)
	}
	// What is asked comes from the first address.
	b.Resolve([4]byte{192, 0, 2, 9}, b.frame(), b.now)
	b.wantARP(ARP{Op: ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP, TargetIP: [4]byte{192, 0, 2, 9}})
}

// TestOthersAreClaimed claims many addresses: each is asked for three times, at least an interval apart, and announced twice; no
// more than 32 packets are sent at a time. Of too many only the first is.
func TestOthersAreClaimed(t *testing.T) {
	for _, test := range []struct {
		prefix string
		want   int
		within time.Duration
	}{
		{"10.1.0.0/24", 257, 400 * time.Millisecond},
		{"10.1.0.0/20", 4097, 2 * time.Second},
		{"10.1.0.0/16", 1, 300 * time.Millisecond},
	} {
		const interval = 30 * time.Millisecond
		b := newBench(t, NeighboursConfig{Others: others(t, test.prefix)})
		start := b.now
		b.Claim(b.now, interval)
		last := map[[4]byte]clock.Time{}
		probes, announcements := map[[4]byte]int{}, map[[4]byte]int{}
		owned := clock.Time(0)
		for b.Deadline() != clock.Never {
			b.advance(b.Deadline().Sub(b.now))
			if b.ClaimState() == Owned && owned == 0 {
				owned = b.now
			}
			n := 0
			for a := (ARP{}); b.NextOutput(&a); n++ {
				if a.IsProbe() {
					if at, ok := last[a.TargetIP]; ok && b.now.Sub(at) < interval {
						t.Errorf("%s: two probes for %v within %v", test.prefix, a.TargetIP, b.now.Sub(at))
					}
					last[a.TargetIP] = b.now
					probes[a.TargetIP]++
				} else if a.IsAnnouncement() && a.SenderIP == a.TargetIP {
					announcements[a.TargetIP]++
				}
			}
			if n > 32 {
				t.Errorf("%s: %d packets at a time", test.prefix, n)
			}
		}
		if len(probes) != test.want || len(announcements) != test.want || owned.Sub(start) > test.within {
			t.Errorf("%s: %d addresses asked for, %d announced, owned after %v; want %d within %v", test.prefix, len(probes),
				len(announcements), owned.Sub(start), test.want, test.within)
		}
		for ip, n := range probes {
			if n != 3 || announcements[ip] != 2 {
				t.Errorf("%s: %v asked for %d times, announced %d times", test.prefix, ip, n, announcements[ip])
			}
		}
		if b.Stats.RequestsDropped != 0 {
			t.Errorf("%s: %d packets dropped", test.prefix, b.Stats.RequestsDropped)
		}
	}
}

// TestOthersAreLost has a host that has one of the addresses answer for it.
func TestOthersAreLost(t *testing.T) {
	b := newBench(t, NeighboursConfig{Others: others(t, "10.1.0.0/24")})
	b.Claim(b.now, 0)
	b.advance(time.Second)
	taken := [4]byte{10, 1, 0, 77}
	b.Input(&ARP{Op: ARPReply, SenderMAC: otherMAC, SenderIP: taken, TargetMAC: ourMAC}, b.now)
	var rival Conflict
	if b.ClaimState() != Lost || !b.NextConflict(&rival) || rival != (Conflict{IP: taken, MAC: otherMAC}) {
		t.Errorf("state %v, rival %v", b.ClaimState(), rival)
	}
}

// TestOthersAreDefended has a rival claim one address after the other, all the time: what is sent in defence has a bound.
func TestOthersAreDefended(t *testing.T) {
	b := newBench(t, NeighboursConfig{Others: others(t, "10.1.0.0/16")})
	for i := range 20_000 {
		b.Input(announcement([4]byte{10, 1, byte(i >> 8), byte(i)}, otherMAC), b.now)
		if i == 0 {
			a := ourAnnouncement
			a.SenderIP, a.TargetIP = [4]byte{10, 1, 0, 0}, [4]byte{10, 1, 0, 0}
			b.wantARP(a)
		}
		b.drainARP()
	}
	if b.Stats.Conflicts != 20_000 || b.Stats.Defences != 64 || b.ClaimState() != Owned {
		t.Errorf("counters %+v", b.Stats)
	}
	if known, unresolved := b.Len(); known+unresolved != 0 {
		t.Errorf("%d entries for addresses of our own", known+unresolved)
	}
}
