package stack_test

import (
	"math"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// hole has a link lose part of a stream on its way from the client to the server, by its place in the stream.
type hole struct {
	from, to int         // bytes of the stream
	times    int         // how often what begins there is lost
	again    int         // how many bytes of it are lost once more than that
	at       clock.Time  // when the first of it was lost
	begin    tcp.Seq     // of the stream
	sent     map[int]int // how often, by where a segment begins
}

func (h *hole) passes(now clock.Time, b []byte) bool {
	const headers = 14 + 20
	var s tcp.Segment
	if len(b) < headers || b[12] != 0x08 || tcp.Parse(b[headers:], &s) != nil {
		return true
	}
	if s.Flags&tcp.FlagSYN != 0 {
		h.begin = s.Seq + 1
	}
	place := int(s.Seq.Sub(h.begin))
	if s.PayloadLen == 0 || place < h.from || place >= h.to {
		return true
	}
	if h.at == 0 {
		h.at = now
	}
	h.sent[place]++
	times := h.times
	if place < h.from+h.again {
		times++
	}
	return h.sent[place] > times
}

// recovery loses part of a stream, when as many segments as the receiver's window holds are under way in each round trip, and returns
// how many round trips it takes from then until the receiver has that part, and what the client had sent by then.
func recovery(t *testing.T, h *hole, size int, cfg tcp.Config) (rtts float64, sent tcp.Stats) {
	t.Helper()
	const rtt = 100 * time.Millisecond
	w := newWorld(t, 1, settings{link: sim.Impairment{Delay: rtt / 2}, config: stack.Config{TCP: cfg}})
	h.sent = map[int]int{}
	w.link.Filter = func(now clock.Time, from *sim.Device, b []byte) bool { return from != w.client.dev || h.passes(now, b) }
	server := newEndpoint(2, 0)
	w.serve(func() *endpoint { return server })
	client := w.connect(newEndpoint(1, size))
	w.until(time.Minute, "it is repaired", func() bool { return server.received >= h.to })
	rtts = float64(w.since(h.at)) / float64(rtt)
	sent = tcpStats(t, w.client)
	w.until(time.Minute, "the exchange is over", func() bool { return done(client, server) })
	checkExchange(t, client, server)
	w.settle()
	return rtts, sent
}

// tailRounds is in how many round trips a recovery sends n segments again when nothing else is under way: one, then two, then three, for
// a run of segments is answered by one ACK, and each lets one segment more go than it acknowledges (RFC 6937 section 3.1).
func tailRounds(n int) float64 { return math.Ceil((math.Sqrt(8*float64(n)+1) - 1) / 2) }

// TestRecoveryTakesRoundTrips loses parts of a window of 100 segments. What was lost in the middle is known to be after one round trip,
// and arrives half a round trip later: proportional rate reduction sends it as the ACKs of the others come (RFC 6675, RFC 6937). After
// half of a window they do not suffice. A segment that is lost again costs a round trip more (RFC 8985). A lost tail is probed two round
// trips after the last ACK, and the ACK of the probe tells what is missing. The retransmission timer has nothing to do.
func TestRecoveryTakesRoundTrips(t *testing.T) {
	const segment, window, before, size = 1448, 100, 400, 800
	for _, c := range []struct {
		name       string
		from, to   int // segments
		again      int // segments that are lost twice
		most       float64
		recoveries uint64
		probes     uint64
	}{
		{"one", before, before + 1, 0, 1.6, 1, 0},
		{"ten in a row", before, before + 10, 0, 1.6, 1, 0},
		{"half a window", before, before + 50, 0, 2.6, 1, 0},
		{"three of ten twice", before, before + 10, 3, 2.6, 1, 0},
		{"the last", size - 1, size, 0, 3.6, 0, 1},
		{"the last ten", size - 10, size, 0, 3.6 + tailRounds(9), 1, 1},
		{"the last half window", size - 50, size, 0, 3.6 + tailRounds(49), 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &hole{from: c.from * segment, to: c.to * segment, again: c.again * segment, times: 1}
			cfg := tcp.Config{RecvBuffer: window * segment, SendBuffer: 4 * window * segment}
			took, sent := recovery(t, h, size*segment, cfg)
			t.Logf("%.2f round trips, %d segments sent again, %d fast recoveries, %d probes, %d retransmissions lost", took,
				sent.Retransmits, sent.FastRecoveries, sent.TailProbes, sent.LostRetransmits)
			if took > c.most {
				t.Errorf("it took %.2f round trips, want %.1f at most", took, c.most)
			}
			if sent.Timeouts != 0 || sent.FastRecoveries != c.recoveries || sent.TailProbes != c.probes {
				t.Errorf("%d timeouts, %d fast recoveries, %d tail loss probes, want 0, %d, %d", sent.Timeouts, sent.FastRecoveries,
					sent.TailProbes, c.recoveries, c.probes)
			}
			if lost := uint64(c.to - c.from + c.again); sent.Retransmits > lost+1 {
				t.Errorf("%d segments were sent again, only %d were lost", sent.Retransmits, lost)
			}
		})
	}
}
