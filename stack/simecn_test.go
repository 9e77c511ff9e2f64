package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// crossing is what a link with a rate and a queue has seen of one sender's packets.
type crossing struct {
	share  float64 // of the rate, in payload that arrived
	queue  float64 // mean length, packets
	full   uint64  // packets that found it full
	marked uint64
	client tcp.Stats
	server tcp.Stats
}

// cross sends on n connections through a link for a while, and returns what it has seen after they have found their pace.
func cross(t *testing.T, n int, link sim.Impairment, client, server tcp.Config, settle, measured time.Duration) crossing {
	t.Helper()
	w := newWorld(t, 1, settings{config: stack.Config{TCP: client}, serverTCP: &server, unwatched: true})
	w.link.Impair(w.client.dev, link)
	w.link.Impair(w.server.dev, sim.Impairment{Delay: link.Delay, Jitter: link.Delay / 25})
	f := &flows{}
	if _, err := w.server.Handle(":7", f); err != nil {
		t.Fatal(err)
	}
	for range n {
		w.start()
	}
	total := func() (sum int) {
		for _, n := range f.received {
			sum += n
		}
		return sum
	}
	w.runFor(settle)
	before, s := total(), w.link.Stats(w.client.dev)
	w.runFor(measured)
	e := w.link.Stats(w.client.dev)
	c := crossing{
		share: float64(total()-before) * 8 / measured.Seconds() / float64(link.Rate),
		queue: float64(e.Queued-s.Queued) / float64(e.Packets-s.Packets),
		full:  e.QueueFull - s.QueueFull, marked: e.Marked - s.Marked,
		client: tcpStats(t, w.client), server: tcpStats(t, w.server),
	}
	t.Logf("%.3f of the rate, %.1f packets in the queue, %d lost there, %d marked", c.share, c.queue, c.full, c.marked)
	return c
}

func tcpStats(t *testing.T, h host) tcp.Stats {
	t.Helper()
	r, err := h.Report()
	if err != nil {
		t.Fatal(err)
	}
	return r[0].Stats.TCP
}

// TestECNLosesNothing has CUBIC over a queue that marks use all of the rate and lose nothing, with marks in place of losses.
func TestECNLosesNothing(t *testing.T) {
	link := sim.Impairment{Delay: 20 * time.Millisecond, Rate: 20e6, QueueLen: 200, MarkAt: 60}
	on, off := tcp.Config{ECN: tcp.ECNOn}, tcp.Config{ECN: tcp.ECNOff}
	passive := tcp.Config{}
	c := cross(t, 2, link, on, passive, 5*time.Second, 20*time.Second)
	if c.share < 0.94 || c.full != 0 || c.client.Retransmits != 0 {
		t.Errorf("with ECN: %d packets sent again", c.client.Retransmits)
	}
	if c.marked == 0 || c.client.ECNNegotiated != 2 || c.server.ECNNegotiated != 2 {
		t.Errorf("no marks: client %+v", c.client)
	}
	if st := c.client; st.CWROut < st.ECEReductions-2 || st.CWROut > st.ECEReductions || c.server.CEIn < c.marked {
		t.Errorf("%d reductions, %d CWR; %d marked, %d marks arrived", st.ECEReductions, st.CWROut, c.marked, c.server.CEIn)
	}
	for _, one := range []struct {
		name           string
		client, server tcp.Config
	}{{"the server refuses", on, off}, {"the client does not ask", passive, on}} {
		c := cross(t, 2, link, one.client, one.server, 5*time.Second, 20*time.Second)
		if c.share < 0.9 || c.full == 0 || c.marked != 0 || c.client.ECNNegotiated+c.server.ECNNegotiated != 0 {
			t.Errorf("%s: %+v", one.name, c.client)
		}
	}
}

// TestDCTCPKeepsTheQueueShort compares the queue before a fast link over a short distance: DCTCP keeps it at the mark, uses the
// link, and loses nothing; CUBIC fills it.
func TestDCTCPKeepsTheQueueShort(t *testing.T) {
	link := sim.Impairment{Delay: 500 * time.Microsecond, Rate: 500e6, QueueLen: 250, MarkAt: 20}
	dctcp := tcp.Config{Congestion: "dctcp"}
	d := cross(t, 2, link, dctcp, dctcp, 500*time.Millisecond, 2*time.Second)
	c := cross(t, 2, link, tcp.Config{}, tcp.Config{}, 500*time.Millisecond, 2*time.Second)
	if d.share < 0.93 || d.full != 0 || d.client.Retransmits != 0 {
		t.Errorf("DCTCP: %d packets sent again", d.client.Retransmits)
	}
	if d.queue > 30 || d.queue > c.queue/3 {
		t.Errorf("%.1f packets in the queue with DCTCP, %.1f with CUBIC", d.queue, c.queue)
	}
	halves := float64(d.client.ECEReductions)
	if share := float64(d.server.CEIn) / float64(d.server.SegmentsIn); share > 0.5 || halves == 0 {
		t.Errorf("%.2f of the segments marked", share)
	}
}

// TestEverythingIsMarked has a path that marks nearly everything slow a connection down to two segments in flight, and no further.
func TestEverythingIsMarked(t *testing.T) {
	for _, congestion := range []string{"cubic", "newreno", "dctcp"} {
		cfg := tcp.Config{Congestion: congestion, ECN: tcp.ECNOn}
		link := sim.Impairment{Delay: 5 * time.Millisecond, Rate: 1e6, QueueLen: 50, MarkAt: 1}
		c := cross(t, 1, link, cfg, cfg, time.Second, 20*time.Second)
		if c.share < 0.75 || c.full != 0 || c.queue > 4 || c.marked < 100 {
			t.Errorf("%s: %+v", congestion, c.client)
		}
	}
}

// TestECNSYNsAreDropped has connections come about over a path that drops SYNs that ask for ECN.
func TestECNSYNsAreDropped(t *testing.T) {
	const flagByte = 14 + 20 + 13
	asks := func(b []byte) bool {
		return len(b) > flagByte && b[13] == 0 && tcp.Flags(b[flagByte])&(tcp.FlagSYN|tcp.FlagECE|tcp.FlagCWR) == tcp.FlagSYN|tcp.FlagECE|tcp.FlagCWR
	}
	w := newWorld(t, 1, settings{config: stack.Config{TCP: tcp.Config{ECN: tcp.ECNOn}}})
	before := tcpStats(t, w.client).ECNFallbacks // The server refused a connection when the hosts met.
	w.link.Filter = func(_ clock.Time, _ *sim.Device, b []byte) bool { return !asks(b) }
	server := newEndpoint(2, 100_000)
	w.serve(func() *endpoint { return server })
	client := w.connect(newEndpoint(1, 100_000))
	w.until(10*time.Second, "both ends are done", func() bool { return done(client, server) })
	checkExchange(t, client, server)
	if st := tcpStats(t, w.client); st.ECNFallbacks != before+1 || st.ECNNegotiated != 0 {
		t.Errorf("%d fallbacks, %d with ECN", st.ECNFallbacks, st.ECNNegotiated)
	}
	w.settle()
}

// TestMarksOnBadLinks has what is sent arrive byte by byte over links that mark, lose, reorder and double packets.
func TestMarksOnBadLinks(t *testing.T) {
	forSeeds(t, 12, func(t *testing.T, seed uint64) {
		congestion := []string{"cubic", "newreno", "dctcp"}[seed%3]
		w := newWorld(t, seed, settings{
			config: stack.Config{TCP: tcp.Config{Congestion: congestion, ECN: tcp.ECNOn, NoSACK: seed%4 == 0}},
			link: sim.Impairment{
				Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Rate: 20e6, QueueLen: 60, MarkAt: 8,
				Loss: 0.005, Reorder: 0.03, Duplicate: 0.01,
			},
		})
		server := newEndpoint(seed+100, 1<<20)
		w.serve(func() *endpoint { return server })
		client := w.connect(newEndpoint(seed, 1<<20))
		w.until(2*time.Minute, "both ends are done", func() bool { return done(client, server) })
		checkExchange(t, client, server)
		c, s := tcpStats(t, w.client), tcpStats(t, w.server)
		if c.ECNNegotiated == 1 && (c.CEIn+s.CEIn == 0 || c.ECEReductions+s.ECEReductions == 0) {
			t.Errorf("no marks: client %+v", c)
		}
		w.settle()
	})
}
