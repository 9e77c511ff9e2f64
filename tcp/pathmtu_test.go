package tcp

import "testing"

// TestPathMTUInTheHandshake has a message come while the connection opens: the MSS of the SYN-ACK does not undo it.
func TestPathMTUInTheHandshake(t *testing.T) {
	for _, ts := range []bool{false, true} {
		s, _ := connect(t, scriptOptions{iss: 1, ts: ts})
		s.c.ICMP(ICMPFragmentationNeeded, 1400, s.iss, s.now)
		s.c.ICMP(ICMPFragmentationNeeded, 1240, s.iss, s.now)
		s.c.ICMP(ICMPFragmentationNeeded, 1300, s.iss, s.now)
		if st := &s.k.Stats; st.PathMTUReductions != 2 || st.ICMPIgnored != 1 {
			t.Errorf("%d messages counted, %d ignored", st.PathMTUReductions, st.ICMPIgnored)
		}
		s.write(3000) // before it is known whether segments carry timestamps
		s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1460, WScale: -1, HasTS: ts, TSVal: s.peerTS(), TSEcr: s.c.tsValue(s.now)})
		s.drain(3)
		if got, want := int(s.c.Info().SendMSS), 1200-int(s.c.optionsLen()); got != want {
			t.Errorf("timestamps %v: segments have %d bytes, want %d", ts, got, want)
		}
	}
}

// TestTinyMSSIsCounted has peers ask for segments of a byte, by a SYN and by a SYN-ACK.
func TestTinyMSSIsCounted(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 1})
	s.injectSYNACK(FlagSYN|FlagACK, 1, Options{MSS: 1, WScale: -1})
	s.drain(1)
	if s.k.Stats.TinyMSS != 1 || s.c.Info().SendMSS != MinMSS {
		t.Errorf("%d counted, segments have %d bytes", s.k.Stats.TinyMSS, s.c.Info().SendMSS)
	}
	l, err := NewListener(s.k, ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var out OutSegment
	syn := Segment{Flags: FlagSYN, Options: Options{MSS: 1, WScale: -1}}
	if v := l.Input(flowB, &syn, s.now, &out); v != VerdictReply || s.k.Stats.TinyMSS != 2 {
		t.Errorf("verdict %d, %d counted", v, s.k.Stats.TinyMSS)
	}
}

// TestSetMaxSegmentBoundsProbes has a bound that the application sets hold for probes, too.
func TestSetMaxSegmentBoundsProbes(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{MTUProbing: MTUProbingAlways}})
	if err := s.c.SetMaxSegment(1100); err != nil {
		t.Fatal(err)
	}
	s.write(20_000)
	if o, _ := s.pull(); o.Len > 1100 || o.Len <= 1024 {
		t.Errorf("a probe has %d bytes", o.Len)
	}
	if err := s.c.SetMaxSegment(900); err != nil {
		t.Fatal(err)
	}
	if o, _ := s.pull(); o.Len != 900 {
		t.Errorf("a segment has %d bytes", o.Len)
	}
}
