package tcp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// lossTotals is what many transfers under the same faults cost.
type lossTotals struct {
	timeouts, retransmits uint64
	spurious              uint64        // timeouts that were taken back
	took                  time.Duration // virtual, of all of them together
}

// transfersUnder runs so many transfers of size bytes, each with a seed of its own, with what faults sets, and adds up what they cost.
func transfersUnder(t *testing.T, seeds, size int, cfg Config, faults func(n *network)) (sum lossTotals) {
	t.Helper()
	for seed := range seeds {
		n := newNetwork(t, cfg, cfg)
		n.rnd = rand.New(rand.NewPCG(uint64(seed), 7))
		faults(n)
		var from clock.Time
		n.connect()
		from = n.now
		n.a.send, n.a.closes, n.b.closes = size, true, true
		n.run(2*time.Hour, func() bool { return n.b.received == size })
		sum.took += n.now.Sub(from)
		n.run(2*time.Hour, n.closedBoth)
		sum.timeouts += n.a.core.Stats.Timeouts
		sum.retransmits += n.a.core.Stats.Retransmits
		sum.spurious += n.a.core.Stats.SpuriousTimeouts
		n.finish()
	}
	return sum
}

// TestLossCosts bounds how many timeouts transfers under faults suffer: losses are to be repaired without them.
func TestLossCosts(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     int
		timeouts uint64 // of 100 transfers, at most
		faults   func(n *network)
	}{
		{"1% loss", 300_000, 10, func(n *network) { n.loss = 0.01 }},
		{"5% loss", 300_000, 100, func(n *network) { n.loss = 0.05 }},
		{"15% loss", 300_000, 1200, func(n *network) { n.loss = 0.15 }},
		{"5% loss, short", 20_000, 20, func(n *network) { n.loss = 0.05 }},
		{"reordering", 300_000, 3, func(n *network) { n.jitter = 3 * time.Millisecond }},
		{"2% loss and reordering", 300_000, 15, func(n *network) { n.loss, n.jitter = 0.02, 3*time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := transfersUnder(t, 100, c.size, Config{}, c.faults)
			t.Logf("%d timeouts, %d segments sent again, %v", sum.timeouts, sum.retransmits, sum.took)
			if sum.timeouts > c.timeouts {
				t.Errorf("%d timeouts, want at most %d", sum.timeouts, c.timeouts)
			}
		})
	}
}

// TestStallIsNoLoss has a path that delivers nothing for longer than the timeout cost one segment sent again for each time, and no window:
// by timestamps, and without them by what new data brings.
func TestStallIsNoLoss(t *testing.T) {
	for _, cfg := range []Config{{}, {NoTimestamps: true}} {
		sum := transfersUnder(t, 20, 300_000, cfg, func(n *network) { n.delay, n.stall = 60*time.Millisecond, 450*time.Millisecond })
		t.Logf("%d timeouts, %d of them taken back, %d segments sent again, %v", sum.timeouts, sum.spurious, sum.retransmits, sum.took)
		if sum.timeouts == 0 || sum.spurious != sum.timeouts || sum.retransmits != sum.timeouts {
			t.Errorf("timestamps %v: %d timeouts, %d of them taken back, %d segments sent again", !cfg.NoTimestamps, sum.timeouts,
				sum.spurious, sum.retransmits)
		}
	}
}

// TestLostACKIsNoMeasurement has the time that a lost ACK cost count as no round trip: the peer echoes an old timestamp when it sees
// for the second time what had arrived.
func TestLostACKIsNoMeasurement(t *testing.T) {
	o := sends
	o.ts = true
	s := established(t, o)
	s.write(988)
	s.want(seg{flags: fA, seq: 1, len: 988, ack: 1})
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 989})
	before := s.c.Info().RTO
	s.write(988)
	s.want(seg{flags: fA, seq: 989, len: 988, ack: 1})
	echo := s.c.tsValue(s.now)
	for range 2 {
		s.expire()
		s.want(seg{flags: fA, seq: 989, len: 988, ack: 1})
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1977, tsEcr: echo})
	if got := s.c.Info().RTO; got != before {
		t.Errorf("the timeout went from %v to %v by an ACK of what had long arrived", before, got)
	}
}

// TestFastRetransmitFarFromTheLastLoss has duplicates mean a loss on a connection that has sent more than half the sequence space since
// the last one. Nothing but the connection's memory of that can be so old in a test.
func TestFastRetransmitFarFromTheLastLoss(t *testing.T) {
	s := established(t, noSACK)
	s.c.needRare().recover -= 1<<31 + 5
	s.write(5000)
	s.wantData(1, 5001, 1000, 1)
	for range duplicateThreshold {
		s.inject(seg{flags: fA, seq: 1, ack: 1})
	}
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
}

// TestLinkUp has the link come back in the middle of a wait that has grown: what is outstanding goes at once, the next wait is a short one,
// and the retries before count no more.
func TestLinkUp(t *testing.T) {
	s := established(t, noSACK)
	if s.c.LinkUp(s.now) {
		t.Error("a connection with nothing outstanding has something to do")
	}
	s.write(100)
	s.want(seg{flags: fA, seq: 1, len: 100, ack: 1})
	if s.c.LinkUp(s.now) {
		t.Error("a connection whose timer has not expired yet sends again")
	}
	first := s.c.Info().RTO
	for range s.c.cfg.Retries - 1 {
		s.expire()
		s.want(seg{flags: fA, seq: 1, len: 100, ack: 1})
	}
	s.advance(s.c.Info().RTO / 4)
	s.wantNothing()
	if !s.c.LinkUp(s.now) {
		t.Fatal("a connection whose timer was doubled has nothing to do")
	}
	s.advance(0)
	s.want(seg{flags: fA, seq: 1, len: 100, ack: 1})
	if got := s.c.Info().RTO; got != 2*first {
		t.Errorf("the next wait is %v, want %v", got, 2*first)
	}
	for range 3 {
		s.expire()
		s.want(seg{flags: fA, seq: 1, len: 100, ack: 1})
	}
	s.inject(seg{flags: fA, seq: 1, ack: 101})
	if i := s.c.Info(); i.Unacked != 0 {
		t.Errorf("%+v", i)
	}
}
