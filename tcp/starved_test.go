package tcp

import (
	"testing"
	"time"
)

// TestSplitsLeaveFrames has segments become so small that what was written needs more frames than there are: some are left to receive
// into, so that ACKs come which give others back, and all is sent.
func TestSplitsLeaveFrames(t *testing.T) {
	s := established(t, scriptOptions{frames: 64, cfg: Config{InitialWindow: 1000, NoDelay: true}})
	s.write(40_000)
	if err := s.c.SetMaxSegment(MinMSS); err != nil {
		t.Fatal(err)
	}
	p := s.k.Pool
	for sent := uint32(1); sent < 40_001; s.advance(time.Second) {
		for o, ok := s.pull(); ok; o, ok = s.pull() {
			sent = max(sent, s.relative(&o).seq+o.Len)
		}
		if p.Free() < p.Size()/32 {
			t.Fatalf("%d of %d frames are free", p.Free(), p.Size())
		}
		s.inject(seg{flags: fA, seq: 1, ack: sent})
	}
}
