package tcp

import (
	"testing"
	"time"
)

// narrow makes a network that loses data segments of more than n bytes without a word, on the way from a, from the moment on that a
// has sent after bytes.
func narrow(t *testing.T, cfg Config, n *uint32, after Seq) *network {
	t.Helper()
	net := newNetwork(t, cfg, Config{})
	net.corrupt = func(from *endpoint, s *Segment) bool {
		return from == net.a && s.PayloadLen > *n && s.Seq.Sub(net.a.conn.snd.iss) > int32(after)
	}
	return net
}

// TestBlackHole has a path begin to lose full segments without a word: the transfer goes on, and finds the largest size that passes.
func TestBlackHole(t *testing.T) {
	for _, c := range []struct {
		name        string
		cfg         Config
		passes      uint32
		least, most uint16
	}{
		{"most segments pass", Config{}, 1400, 1392, 1400},
		{"a narrow path", Config{}, 1100, 1092, 1100},
		{"below the base", Config{}, 700, 692, 700},
		{"without SACK", Config{NoSACK: true}, 1400, 1392, 1400},
		{"without timestamps", Config{NoTimestamps: true}, 1300, 1292, 1300},
		{"always probing", Config{MTUProbing: MTUProbingAlways}, 1400, 1392, 1400},
	} {
		t.Run(c.name, func(t *testing.T) {
			passes := uint32(65535)
			n := narrow(t, c.cfg, &passes, 0)
			n.connect()
			n.a.send = 12_000_000
			n.run(time.Minute, func() bool { return n.b.received > 500_000 })
			passes = c.passes
			n.run(2*time.Minute, func() bool { return n.b.received == 12_000_000 })
			st, i := &n.a.core.Stats, n.a.conn.Info()
			if i.SendMSS < c.least || i.SendMSS > c.most || st.PathMTUBlackHoles == 0 {
				t.Errorf("segments have %d bytes at last, %d pass", i.SendMSS, c.passes)
			}
			t.Logf("%d probes, %d of them lost, %d timeouts, %d recoveries", st.PathMTUProbes, st.PathMTUProbesLost, st.Timeouts, st.FastRecoveries)
			n.finish()
		})
	}
}

// TestProbesAreNoCongestion has a connection begin with small segments and probe for larger ones on a path that loses those without a word:
// none of the losses counts as congestion, and nobody waits for a timeout.
func TestProbesAreNoCongestion(t *testing.T) {
	for _, noSACK := range []bool{false, true} {
		passes := uint32(1234)
		n := narrow(t, Config{MTUProbing: MTUProbingAlways, NoSACK: noSACK}, &passes, 0)
		n.connect()
		n.a.send = 8_000_000
		n.run(time.Minute, func() bool { return n.b.received == 8_000_000 })
		st, i := &n.a.core.Stats, n.a.conn.Info()
		if i.SendMSS <= 1234-probeStep || i.SendMSS > 1234 {
			t.Errorf("segments have %d bytes at last, 1234 pass", i.SendMSS)
		}
		if st.PathMTUProbesLost == 0 || st.FastRecoveries+st.Timeouts+st.TailProbes != 0 || i.SSThresh != infSsthresh {
			t.Errorf("%d probes lost, %d recoveries, %d timeouts, %d tail loss probes, threshold %d",
				st.PathMTUProbesLost, st.FastRecoveries, st.Timeouts, st.TailProbes, i.SSThresh)
		}
		n.finish()
	}
}

// TestOutageIsNoBlackHole has a path that was gone for a while get its full segments back soon.
func TestOutageIsNoBlackHole(t *testing.T) {
	n := newNetwork(t, Config{}, Config{})
	n.connect()
	n.a.send = 12_000_000
	n.run(time.Minute, func() bool { return n.b.received > 500_000 })
	n.loss = 1
	up := n.now.Add(2 * time.Second)
	n.run(time.Minute, func() bool {
		if n.now >= up {
			n.loss = 0
		}
		return n.b.received == 12_000_000
	})
	st := &n.a.core.Stats
	if got := n.a.conn.Info().SendMSS; got != 1448 || st.PathMTUBlackHoles == 0 || st.PathMTUProbesLost != 0 {
		t.Errorf("segments have %d bytes at last; %d black holes, %d probes lost", got, st.PathMTUBlackHoles, st.PathMTUProbesLost)
	}
	n.finish()
}

// TestNoProbesWithoutBlackHole has a connection that loses now and then, and one that does not, send no probes unless they are told to.
func TestNoProbesWithoutBlackHole(t *testing.T) {
	for _, loss := range []float64{0, 0.02} {
		n := newNetwork(t, Config{}, Config{})
		n.connect()
		n.loss = loss
		n.a.send = 2_000_000
		n.run(5*time.Minute, func() bool { return n.b.received == 2_000_000 })
		if st := &n.a.core.Stats; st.PathMTUProbes+st.PathMTUBlackHoles != 0 || n.a.conn.Info().SendMSS != 1448 {
			t.Errorf("with a loss of %v: %d probes, %d black holes, segments of %d bytes", loss, st.PathMTUProbes,
				st.PathMTUBlackHoles, n.a.conn.Info().SendMSS)
		}
		n.finish()
	}
}

// TestProbingOff has a connection that may not probe fall into the hole.
func TestProbingOff(t *testing.T) {
	passes := uint32(1000)
	n := narrow(t, Config{MTUProbing: MTUProbingOff, Retries: 5}, &passes, 0)
	n.connect()
	n.a.send = 100_000
	n.run(10*time.Minute, func() bool { return n.a.conn.State() == StateClosed })
	if n.b.received != 0 || n.a.core.Stats.PathMTUBlackHoles != 0 {
		t.Errorf("%d bytes received, %d black holes", n.b.received, n.a.core.Stats.PathMTUBlackHoles)
	}
	n.finish()
}

// TestPathMTUIsRaised has a path that an ICMP message said is narrow become wide again: after ten minutes, and not before, larger segments
// are tried.
func TestPathMTUIsRaised(t *testing.T) {
	for _, mode := range []MTUProbing{MTUProbingBlackHole, MTUProbingOff} {
		n := newNetwork(t, Config{MTUProbing: mode}, Config{})
		n.connect()
		n.a.send = 100_000
		n.run(time.Minute, func() bool { return n.b.received > 20_000 })
		n.a.conn.ICMP(ICMPFragmentationNeeded, 1300, n.a.conn.snd.una, n.now)
		n.run(time.Minute, func() bool { return n.b.received == 100_000 })
		for _, c := range []struct {
			after time.Duration
			want  uint16
		}{{9 * time.Minute, 1248}, {90 * time.Second, 1448}} {
			n.now = n.now.Add(c.after)
			n.a.send = 8_000_000
			total := n.b.received + 8_000_000
			n.run(time.Minute, func() bool { return n.b.received == total })
			if got := n.a.conn.Info().SendMSS; got != c.want {
				t.Errorf("%v, %v later: segments have %d bytes, want %d", mode, c.after, got, c.want)
			}
		}
		if st := &n.a.core.Stats; st.Timeouts+st.PathMTUProbesLost != 0 {
			t.Errorf("%v: %d timeouts, %d probes lost", mode, st.Timeouts, st.PathMTUProbesLost)
		}
		n.finish()
	}
}

// TestICMPEndsTheProbe has a router say what a probe was too large for: the search ends there.
func TestICMPEndsTheProbe(t *testing.T) {
	n := newNetwork(t, Config{MTUProbing: MTUProbingAlways}, Config{})
	n.corrupt = func(from *endpoint, s *Segment) bool {
		c := &n.a.conn
		if from != n.a || s.PayloadLen <= 1300 {
			return false
		}
		c.ICMP(ICMPFragmentationNeeded, 1300+52, s.Seq, n.now)
		return true
	}
	n.connect()
	n.a.send = 8_000_000
	n.run(time.Minute, func() bool { return n.b.received == 8_000_000 })
	st := &n.a.core.Stats
	if got := n.a.conn.Info().SendMSS; got != 1300 || st.FastRecoveries+st.Timeouts != 0 || st.PathMTUProbesLost != 0 {
		t.Errorf("segments have %d bytes; %d recoveries, %d timeouts, %d probes lost", got, st.FastRecoveries, st.Timeouts, st.PathMTUProbesLost)
	}
	n.finish()
}

// TestKnownPathMTUEndsTheSearch has the search that follows ten minutes after an ICMP message meet the same router: it ends with the first
// message, and does not begin again at once.
func TestKnownPathMTUEndsTheSearch(t *testing.T) {
	n := newNetwork(t, Config{}, Config{})
	n.corrupt = func(from *endpoint, s *Segment) bool {
		if from != n.a || s.PayloadLen <= 1300 {
			return false
		}
		n.a.conn.ICMP(ICMPFragmentationNeeded, 1300+52, s.Seq, n.now)
		return true
	}
	n.connect()
	n.a.send = 1_000_000
	n.run(time.Minute, func() bool { return n.b.received == 1_000_000 })
	n.now = n.now.Add(11 * time.Minute)
	n.a.send = 8_000_000
	n.run(time.Minute, func() bool { return n.b.received == 9_000_000 })
	if st := &n.a.core.Stats; st.PathMTUProbes != 1 || n.a.conn.Info().SendMSS != 1300 {
		t.Errorf("%d probes, segments of %d bytes", st.PathMTUProbes, n.a.conn.Info().SendMSS)
	}
	n.finish()
}
