package tcp

import (
	"testing"
	"time"
)

// rated is a connection with an established round trip of 10 ms and nothing outstanding.
func rated(t *testing.T) *script {
	t.Helper()
	s := established(t, scriptOptions{iss: 1<<32 - 5000, mss: 1000, sack: true, cfg: Config{InitialWindow: 10}})
	s.write(1000)
	s.wantData(1, 1001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	return s
}

func wantRate(t *testing.T, s *script, rate uint64, limited bool) {
	t.Helper()
	got, l := s.c.DeliveryRate()
	if got < rate*98/100 || got > rate*102/100 || l != limited {
		t.Errorf("%d bytes/s, limited %v; want %d, %v", got, l, rate, limited)
	}
}

func TestDeliveryRateOfOneFlight(t *testing.T) {
	s := rated(t)
	wantRate(t, s, 1000*100, true) // a segment in a round trip, and the application had no more
	s.write(30_000)
	s.wantData(1001, 11_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 11_001})
	wantRate(t, s, 10_000*100, true) // the flight began when nothing else was there to be sent
}

// TestDeliveryRateOfSqueezedACKs has ACKs that come closer together than the segments were sent not tell of more bandwidth.
func TestDeliveryRateOfSqueezedACKs(t *testing.T) {
	s := rated(t)
	for i := range uint32(10) { // a segment each millisecond
		s.write(1000)
		s.wantData(1001+i*1000, 2001+i*1000, 1000, 1)
		s.advance(time.Millisecond)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 2001})
	for i := range uint32(9) { // and then the ACKs in one
		s.advance(100 * time.Microsecond)
		s.inject(seg{flags: fA, seq: 1, ack: 3001 + i*1000})
	}
	if got, _ := s.c.DeliveryRate(); got > 1_020_000 {
		t.Errorf("%d bytes/s, but they were sent at 1 MB/s", got)
	}
}

// TestDeliveryRateIsLimitedUntilDelivered has the mark of the application's limit last for what was in flight when it was seen, and no
// longer; and a limited sample that is lower than what is known is not kept.
func TestDeliveryRateIsLimitedUntilDelivered(t *testing.T) {
	s := rated(t)
	s.write(30_000)
	s.wantData(1001, 11_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 11_001})
	s.wantData(11_001, 31_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 31_001}) // all of it: nothing is left to send
	wantRate(t, s, 2_000_000, false)
	s.write(2000)
	s.wantData(31_001, 33_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 33_001})
	wantRate(t, s, 2_000_000, false)
}

// TestDeliveryRateCountsSACKedOnce has what SACK blocks report count when they report it, and not again when it is acknowledged.
func TestDeliveryRateCountsSACKedOnce(t *testing.T) {
	s := rated(t)
	s.write(10_000)
	s.wantData(1001, 11_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{2001, 11_001}}})
	if got := s.c.snd.rate.delivered; got != 10_000 {
		t.Errorf("%d bytes delivered, want the first 1,000 and 9,000 of SACK", got)
	}
	s.wantData(1001, 2001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 11_001})
	if got := s.c.snd.rate.delivered; got != 11_000 {
		t.Errorf("%d bytes delivered, want 11,000", got)
	}
}

// TestDeliveryRateWithoutSACK has each duplicate ACK count as a segment.
func TestDeliveryRateWithoutSACK(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{InitialWindow: 10}})
	s.write(10_000)
	s.wantData(1, 10_001, 1000, 1)
	s.advance(10 * ms)
	for i := range uint32(4) {
		s.inject(seg{flags: fA, seq: 1, ack: 1})
		if got := s.c.snd.rate.delivered; got != (i+1)*1000 {
			t.Errorf("after %d duplicates: %d bytes delivered", i+1, got)
		}
	}
	s.drain(20)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 10_001})
	if got := s.c.snd.rate.delivered; got != 10_000 {
		t.Errorf("%d bytes delivered in the end, want 10,000", got)
	}
}
