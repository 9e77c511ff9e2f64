package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestTCPInfoBeyond4GiB has the counts of bytes go on when the sequence numbers wrap, wherever the initial ones were.
func TestTCPInfoBeyond4GiB(t *testing.T) {
	for _, first := range []Seq{0, 1, 1 << 31, 1<<32 - 5} {
		s := established(t, scriptOptions{iss: first, irs: first + 77})
		const step = 700_000_001
		for n := uint64(step); n < 20<<30; n += step {
			d, r := &s.c.snd, &s.c.rcv
			d.una, d.nxt, d.end = d.una+step, d.nxt+step, d.end+step
			s.c.measuredTo(d.nxt)
			r.nxt, r.adv, r.read, r.acked = r.nxt+step, r.adv+step, r.read+step, r.acked+step
			s.k.BeginBatch(s.now.Add(epochTime))
			s.now = s.now.Add(epochTime)
			s.c.countBulk()
			i := s.c.TCPInfo(s.now)
			if i.BytesAcked != n || i.BytesSent != n || i.BytesReceived != n {
				t.Fatalf("from %d: acknowledged %d, sent %d and received %d of %d bytes", first, i.BytesAcked, i.BytesSent, i.BytesReceived, n)
			}
		}
	}
}

// TestTCPInfoOfNothing describes a connection that is over and was released.
func TestTCPInfoOfNothing(t *testing.T) {
	var c Conn
	if i := c.TCPInfo(clock.Time(time.Hour)); i != (TCPInfo{State: StateClosed.Linux()}) {
		t.Errorf("%+v", i)
	}
}

// TestCAStateOfMarks is CACWR from when the window is reduced for a mark until what was outstanding then is acknowledged, and not on a
// connection that has nothing outstanding.
func TestCAStateOfMarks(t *testing.T) {
	s := ecnScript(t, scriptOptions{})
	want := func(state uint8) {
		t.Helper()
		if got := s.c.TCPInfo(s.now).CAState; got != state {
			t.Errorf("CAState %d, want %d", got, state)
		}
	}
	want(CAOpen)
	s.write(4000)
	s.wantData(1, 4001, 1000, 1)
	want(CAOpen)
	s.inject(seg{flags: fA | fE, seq: 1, ack: 1001})
	want(CACWR)
	s.inject(seg{flags: fA, seq: 1, ack: 4001})
	want(CAOpen)
}
