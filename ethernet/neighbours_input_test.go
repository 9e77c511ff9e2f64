package ethernet

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

func TestRequestsForUsAreAnswered(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.Input(question(peerIP, peerMAC), b.now)
	b.wantARP(ourReply(peerIP, peerMAC))
	b.wantState(peerIP, "stale") // learned, but the way back is not proved

	other := question(peerIP, peerMAC)
	other.TargetIP = [4]byte{192, 0, 2, 77}
	b.Input(other, b.now)
	b.wantARP()

	probe := &ARP{Op: ARPRequest, SenderMAC: otherMAC, TargetIP: ourIP}
	b.Input(probe, b.now)
	b.wantARP(ourReply([4]byte{}, otherMAC))
	if known, unresolved := b.Len(); known != 1 || unresolved != 0 {
		t.Errorf("a probe made an entry: %d known, %d unresolved", known, unresolved)
	}
}

func TestOnlyThoseWhoWantUsAreLearned(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	toOther := question(peerIP, peerMAC)
	toOther.TargetIP = [4]byte{192, 0, 2, 77}
	for _, a := range []*ARP{announcement(peerIP, peerMAC), answer(peerIP, peerMAC), toOther} {
		b.Input(a, b.now)
		b.wantState(peerIP, "")
	}
	b.wantARP()
}

func TestObserveDoesNotAnswer(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	d := b.resolve(peerIP, Queued)
	b.drainARP()
	b.Observe(answer(peerIP, peerMAC), b.now)
	b.wantReady(peerMAC, d)
	b.Observe(question(peerIP, peerMAC), b.now)
	b.Observe(announcement(ourIP, otherMAC), b.now)
	b.wantARP()
	if b.Stats.Conflicts != 0 {
		t.Error("a conflict was counted twice")
	}
}

func TestOurOwnPacketsAreIgnored(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.Input(announcement(ourIP, ourMAC), b.now)
	b.Input(question(peerIP, ourMAC), b.now)
	b.Observe(question(peerIP, ourMAC), b.now)
	b.wantARP()
	b.wantState(peerIP, "")
	if b.Stats.OwnPackets != 3 || b.Stats.Conflicts != 0 {
		t.Errorf("counters %+v", b.Stats)
	}
}

func TestAddressChange(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	b.wantLookup(peerIP, peerMAC)

	// Too soon: two hosts may be fighting.
	b.wantGeneration(false, func() { b.Input(announcement(peerIP, otherMAC), b.now) })
	b.wantLookup(peerIP, peerMAC)
	if b.Stats.ChangesRefused != 1 {
		t.Errorf("counters %+v", b.Stats)
	}

	// A standby takes over with a gratuitous ARP: used at once, verified with the first use.
	b.advance(time.Second)
	b.wantGeneration(true, func() { b.Input(announcement(peerIP, otherMAC), b.now) })
	b.wantState(peerIP, "stale")
	b.wantLookup(peerIP, otherMAC)
	b.wantARP(ourRequest(peerIP, otherMAC))
	b.Input(answer(peerIP, otherMAC), b.now)
	b.wantState(peerIP, "reachable")
	if b.Stats.Changes != 1 {
		t.Errorf("counters %+v", b.Stats)
	}

	// An answer to us counts as well.
	b.advance(time.Second)
	b.wantGeneration(true, func() { b.Input(answer(peerIP, peerMAC), b.now) })
	b.wantState(peerIP, "reachable")
	b.wantLookup(peerIP, peerMAC)
}

func TestUnsolicitedPacketsDoNotConfirm(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	b.reachable(peerIP, peerMAC)
	b.wantLookup(peerIP, peerMAC)
	b.advance(29 * time.Second)
	b.Input(question(peerIP, peerMAC), b.now)
	b.Input(announcement(peerIP, peerMAC), b.now)
	b.drainARP()
	b.advance(time.Second)
	b.wantState(peerIP, "stale")
}

func TestUnsolicitedPacketResolves(t *testing.T) {
	b := newBench(t, NeighboursConfig{})
	d := b.resolve(peerIP, Queued)
	b.drainARP()
	b.Input(question(peerIP, peerMAC), b.now)
	b.wantReady(peerMAC, d)
	b.wantARP(ourReply(peerIP, peerMAC))
	b.wantState(peerIP, "stale")
}

func TestFloodOfForgedRequests(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxKnown: 16, MaxOutput: 32})
	for i := range 6 {
		ip, mac := host(i)
		b.reachable(ip, mac)
		b.wantLookup(ip, mac)
	}
	b.wantGeneration(false, func() {
		for i := 1000; i < 6000; i++ {
			ip, mac := host(i)
			b.Input(question(ip, mac), b.now)
		}
	})
	b.check()
	if known, _ := b.Len(); known != 10 {
		t.Errorf("%d known entries, want 6 of ours and a quarter of 16", known)
	}
	for i := range 6 {
		ip, mac := host(i)
		b.wantLookup(ip, mac)
	}
	if sent := b.drainARP(); sent != 24 || b.Stats.RepliesDropped != 5000-24 {
		t.Errorf("%d replies wait, %d dropped", sent, b.Stats.RepliesDropped)
	}
}

func TestRequestsHaveRoomInAFlood(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxOutput: 8})
	for i := range 100 {
		ip, mac := host(i)
		b.Input(question(ip, mac), b.now)
	}
	b.resolve(peerIP, Queued)
	if b.Stats.Requests != 1 || b.Stats.RequestsDropped != 0 {
		t.Errorf("counters %+v", b.Stats)
	}
}

func TestScanOfHostsThatDoNotExist(t *testing.T) {
	// Somebody sends us packets with forged sources of our own link, and we try to answer all of them.
	b := newBench(t, NeighboursConfig{MaxUnresolved: 16, MaxPending: 2, Gateway: peerIP})
	b.resolve(peerIP, Queued)
	for i := range 5000 {
		ip, _ := host(i)
		b.resolve(ip, Queued)
		b.resolve(ip, Queued)
		if held := b.pool.Account().Held; held > 32 {
			t.Fatalf("%d frames are held", held)
		}
		if i%1000 == 0 {
			b.advance(10 * time.Millisecond)
		}
	}
	b.check()
	b.wantState(peerIP, "incomplete") // the gateway stays
	real, mac := host(100_000)
	d := b.resolve(real, Queued) // a host that exists still gets in
	b.Input(answer(real, mac), b.now)
	b.wantReady(mac, d)
	if b.Stats.UnresolvedEvicted == 0 || b.Stats.RequestsLimited == 0 {
		t.Errorf("counters %+v", b.Stats)
	}
	if sent := b.drainARP(); sent > 256 {
		t.Errorf("%d requests in 50 ms", sent)
	}
}

func TestEvictionIsToldToWhoWaitsWithoutFrame(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxUnresolved: 2})
	if v := b.Resolve(peerIP, frame.Desc{Frame: frame.None}, b.now); v != Queued {
		t.Fatalf("verdict %v", v)
	}
	ip, _ := host(1)
	b.resolve(ip, Queued)
	ip, _ = host(2)
	b.wantGeneration(true, func() { b.resolve(ip, Queued) })
	b.wantState(peerIP, "")
	ip, _ = host(3)
	b.wantGeneration(false, func() { b.resolve(ip, Queued) }) // here the frame's end is enough
	if v := b.Resolve(peerIP, frame.Desc{Frame: frame.None}, b.now); v != Queued {
		t.Fatalf("verdict %v", v)
	}
	b.wantGeneration(false, func() { b.advance(time.Minute) })
	var gone [4]byte
	for b.NextUnreachable(&gone) && gone != peerIP {
	}
	if gone != peerIP {
		t.Errorf("%v failed and nobody was told", peerIP)
	}
}

func TestEvictionSparesWhatIsInUse(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxKnown: 8, Gateway: peerIP})
	b.reachable(peerIP, peerMAC)
	for i := range 7 {
		ip, mac := host(i)
		b.reachable(ip, mac)
		b.wantLookup(ip, mac)
	}
	b.advance(30 * time.Second) // all are stale now
	for _, i := range []int{0, 2, 4, 6} {
		ip, mac := host(i)
		b.wantLookup(ip, mac)
		b.Input(answer(ip, mac), b.now)
	}
	for i := 100; i < 103; i++ {
		ip, mac := host(i)
		b.reachable(ip, mac)
	}
	for _, i := range []int{0, 2, 4, 6, 100, 101, 102} {
		ip, _ := host(i)
		b.wantState(ip, "reachable")
	}
	b.wantState(peerIP, "stale") // the gateway
	// Now all but the gateway are in use. An address that we want ourselves takes the place of the one that is confirmed
	// longest ago; one that only asks for us does not.
	ip, mac := host(200)
	b.Input(question(ip, mac), b.now)
	b.wantState(ip, "")
	b.wantGeneration(true, func() { b.reachable(ip, mac) })
	first, _ := host(0)
	b.wantState(first, "")
	if b.Stats.KnownEvicted != 4 || b.Stats.LearnRefused != 1 {
		t.Errorf("counters %+v", b.Stats)
	}
}

func TestResolveRefusedWhenNothingCanMakeRoom(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxUnresolved: 1, Gateway: peerIP})
	b.resolve(peerIP, Queued)
	ip, _ := host(1)
	b.resolve(ip, Refused)
	if b.Stats.ResolveRefused != 1 {
		t.Errorf("counters %+v", b.Stats)
	}
}

func TestNoQueueUntilReadyFramesAreTaken(t *testing.T) {
	b := newBench(t, NeighboursConfig{MaxUnresolved: 1})
	d := b.resolve(peerIP, Queued)
	b.Input(answer(peerIP, peerMAC), b.now)
	ip, mac := host(1)
	b.resolve(ip, Refused)
	b.wantReady(peerMAC, d)
	d = b.resolve(ip, Queued)
	b.Input(answer(ip, mac), b.now)
	b.wantReady(mac, d)
}

// FuzzNeighbours drives a small table with arbitrary packets, calls and times: it must stay within its bounds, keep its links in
// order, and lose no frame.
func FuzzNeighbours(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte("a few hosts come and go, and come again"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		b := newBench(t, NeighboursConfig{MaxKnown: 4, MaxUnresolved: 3, MaxPending: 2, MaxOutput: 4, Gateway: [4]byte{10, 0, 0, 1}})
		for i := 0; i+1 < len(ops) && i < 2000; i += 2 {
			op, arg := ops[i], int(ops[i+1])
			ip, mac := host(arg & 15)
			_, mac2 := host(arg >> 4)
			switch op % 12 {
			case 0, 1:
				if d := b.frame(); b.Resolve(ip, d, b.now) != Queued {
					b.pool.Release(d.Frame)
				}
			case 2:
				b.Lookup(ip, b.now)
			case 3:
				b.Input(answer(ip, mac), b.now)
			case 4:
				b.Input(question(ip, mac2), b.now)
			case 5:
				b.Input(announcement(ip, mac2), b.now)
			case 6:
				b.advance(time.Duration(arg) * 50 * time.Millisecond)
			case 7:
				b.Confirm(ip, mac, b.now)
			case 8:
				b.drainARP()
			case 9:
				var d frame.Desc
				var to Addr
				if b.NextReady(&d, &to) {
					b.pool.Release(d.Frame)
				}
			case 10:
				if arg&0x80 == 0 {
					b.Set(ip, mac, b.now)
				} else {
					b.Delete(ip)
				}
			case 11:
				b.Input(announcement(ourIP, mac), b.now)
				b.Claim(b.now, time.Millisecond)
			}
			b.check()
		}
	})
}
