package ethernet

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

var (
	ourProbe        = ARP{Op: ARPRequest, SenderMAC: ourMAC, TargetIP: ourIP}
	ourAnnouncement = ARP{Op: ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP, TargetIP: ourIP}
)

func TestClaim(t *testing.T) {
	// The times of RFC 5227 section 1.1, on a link where nobody objects.
	b := newBench(t, NeighboursConfig{})
	b.Claim(b.now, 0)
	start := b.now
	var at []clock.Time
	for b.Deadline() != clock.Never {
		b.advance(b.Deadline().Sub(b.now))
		for a := (ARP{}); b.NextOutput(&a); {
			at = append(at, b.now)
			want := ourProbe
			if len(at) > 3 {
				want = ourAnnouncement
			}
			if a != want || a.Destination() != Broadcast {
				t.Errorf("packet %d is %+v, want %+v", len(at), a, want)
			}
		}
		if owned := b.ClaimState() == Owned; owned != (len(at) > 3) {
			t.Errorf("after %d packets: owned %v", len(at), owned)
		}
	}
	if len(at) != 5 {
		t.Fatalf("%d packets, want 3 probes and 2 announcements", len(at))
	}
	between := func(name string, d, least, most time.Duration) {
		if d < least || d > most {
			t.Errorf("%s after %v, want %v to %v", name, d, least, most)
		}
	}
	between("first probe", at[0].Sub(start), 0, time.Second)
	between("second probe", at[1].Sub(at[0]), time.Second, 2*time.Second)
	between("third probe", at[2].Sub(at[1]), time.Second, 2*time.Second)
	between("first announcement", at[3].Sub(at[2]), 2*time.Second, 2*time.Second)
	between("second announcement", at[4].Sub(at[3]), 2*time.Second, 2*time.Second)
}

func TestClaimIsLost(t *testing.T) {
	tests := []struct {
		name string
		a    *ARP
	}{
		{"the owner answers", &ARP{Op: ARPReply, SenderMAC: otherMAC, SenderIP: ourIP, TargetMAC: ourMAC}},
		{"the owner announces", announcement(ourIP, otherMAC)},
		{"another wants it too", &ARP{Op: ARPRequest, SenderMAC: otherMAC, TargetIP: ourIP}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, NeighboursConfig{})
			b.Claim(b.now, 0)
			b.advance(time.Second)
			b.drainARP()
			b.Input(question(peerIP, peerMAC), b.now) // not ours to answer yet
			b.wantARP()
			b.Input(tt.a, b.now)
			var rival Conflict
			if b.ClaimState() != Lost || !b.NextConflict(&rival) || rival != (Conflict{IP: ourIP, MAC: otherMAC}) {
				t.Errorf("state %v, rival %v", b.ClaimState(), rival)
			}
			b.advance(time.Minute)
			b.Input(question(peerIP, peerMAC), b.now)
			b.wantARP()
		})
	}
}

func TestOwnProbesComeBack(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.Claim(b.now, 0)
	b.advance(time.Second)
	probe := ourProbe
	b.Input(&probe, b.now)
	if b.ClaimState() != Claiming {
		t.Errorf("state %v", b.ClaimState())
	}
}

func TestDefence(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	var rival Conflict
	if b.NextConflict(&rival) {
		t.Error("a conflict from the start")
	}
	b.Input(announcement(ourIP, otherMAC), b.now)
	b.wantARP(ourAnnouncement)
	if !b.NextConflict(&rival) || rival != (Conflict{IP: ourIP, MAC: otherMAC}) || b.NextConflict(&rival) {
		t.Errorf("conflict with %v, want just one with %v", rival, otherMAC)
	}
	// The other one defends it as well: no more than one announcement in ten seconds.
	for range 99 {
		b.advance(100 * time.Millisecond)
		b.Input(announcement(ourIP, otherMAC), b.now)
		b.wantARP()
	}
	b.advance(100 * time.Millisecond)
	b.Input(question(ourIP, otherMAC), b.now)
	b.wantARP(ourAnnouncement)
	if b.Stats.Conflicts != 101 || b.Stats.Defences != 2 || b.ClaimState() != Owned {
		t.Errorf("counters %+v", b.Stats)
	}
	b.wantState(ourIP, "")
}

func TestAnnounce(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.Announce(b.now)
	b.Expire(b.now)
	b.wantARP(ourAnnouncement)
	b.advance(2*time.Second - 1)
	b.wantARP()
	b.advance(1)
	b.wantARP(ourAnnouncement)
	b.advance(time.Minute)
	b.wantARP()
}
