package tcp

import (
	"testing"

	"github.com/xdpstack/xdpstack/frame"
)

// longFlight is a connection with n segments of 100 bytes outstanding, all sent at once, and a round trip of 10 ms.
func longFlight(t testing.TB, n uint32) *script {
	t.Helper()
	cfg := Config{SendBuffer: 64 << 20, InitialWindow: n, NoDelay: true}
	s := established(t, scriptOptions{cfg: cfg, mss: 100, wscale: 10, sack: true, frames: int(3 * n)})
	s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10})
	s.write(int(n) * 100)
	if got := s.drain(int(n)); got != int(n) {
		t.Fatalf("%d segments are sent, want %d", got, n)
	}
	s.advance(10 * ms)
	return s
}

// attack gives the connection an ACK with blocks and takes what it sends, without the script's bookkeeping.
func (s *script) attack(o *OutSegment, g seg) {
	s.enqueue(g)
	s.c.Process(s.now)
	for s.c.Output(s.now, o) {
		if o.Frame != frame.None && !s.k.Pool.InTransmission(o.Frame) {
			s.k.Pool.Transmitting(o.Frame)
			s.k.Pool.Completed(o.Frame)
		}
	}
}

// BenchmarkACKAttack lets a peer with 10,000 segments outstanding send the ACKs that cause most work.
func BenchmarkACKAttack(b *testing.B) {
	const n = 10_000
	block := func(at uint32) SACKBlock { return SACKBlock{Seq(1 + at*100), Seq(101 + at*100)} }
	// Blocks of one segment each that jump through the window.
	b.Run("alternating", func(b *testing.B) {
		s := longFlight(b, n)
		var o OutSegment
		i := uint32(0)
		b.ReportAllocs()
		for b.Loop() {
			i++
			s.attack(&o, seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{
				block((i*2 + n/4) % n), block((i*2 + n/2) % n), block((i*2 + 3*n/4) % n), block(i * 2 % n)}})
		}
	})
	// The first and a late segment are lost again and again: each of the ACKs has both sent again.
	b.Run("lost ends", func(b *testing.B) {
		s := longFlight(b, n)
		var o OutSegment
		for range 2 + n/sackWork {
			s.attack(&o, seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{
				{101, Seq(1 + (n-2)*100)}, block(n - 1)}})
		}
		b.ReportAllocs()
		for b.Loop() {
			s.now = s.now.Add(11 * ms)
			s.k.BeginBatch(s.now)
			s.c.Write(make([]byte, 100))
			s.attack(&o, seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10})
			s.now = s.now.Add(11 * ms)
			s.k.BeginBatch(s.now)
			end := uint32(s.c.snd.nxt - s.iss)
			s.attack(&o, seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{
				{101, Seq(1 + (n-2)*100)}, {Seq(1 + (n-1)*100), Seq(end)}}})
		}
		b.ReportMetric(float64(s.k.Stats.LostRetransmits)/float64(b.N), "lost/op")
	})
}
