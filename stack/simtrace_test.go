package stack_test

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// traceEvents ends a trace and returns what it has seen.
func traceEvents(tr *stack.Trace) (all []stack.TraceEvent) {
	tr.Close()
	for e := range tr.Events() {
		all = append(all, e)
	}
	return all
}

// sum returns how many events of a kind there are, and their N together.
func sum(all []stack.TraceEvent, kind stack.TraceKind) (events int, n uint64) {
	for _, e := range all {
		if e.Kind == kind {
			events++
			n += e.N
		}
	}
	return events, n
}

func anyFlow(tcp.Flow) bool { return true }

// TestTraceShowsLosses traces a connection over a lossy link from before its beginning to its end: what it tells is what the counters say.
func TestTraceShowsLosses(t *testing.T) {
	forSeeds(t, 4, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{})
		w.link.Impair(w.client.dev, sim.Impairment{Delay: 10 * time.Millisecond, Loss: 0.03, Burst: sim.Burst{Enter: 0.003, Leave: 0.1}})
		tr, err := w.client.Trace(t.Context(), stack.TraceConfig{Match: anyFlow, Buffer: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		before, _ := w.client.Report()
		server := newEndpoint(seed+1, 0)
		server.afterIn = true
		w.serve(func() *endpoint { return server })
		client := w.connect(newEndpoint(seed, 2<<20))
		w.until(time.Hour, "everything has come", func() bool { return server.received == 2<<20 && client.conn != nil || client.closed })
		w.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
		after, _ := w.client.Report()
		all := traceEvents(tr)
		was, is := before[0].Stats.TCP, after[0].Stats.TCP
		for _, c := range []struct {
			kind stack.TraceKind
			want uint64
		}{
			{stack.TraceTimeout, is.Timeouts - was.Timeouts}, {stack.TraceFastRecovery, is.FastRecoveries - was.FastRecoveries},
			{stack.TraceTailProbe, is.TailProbes - was.TailProbes}, {stack.TraceLostAgain, is.LostRetransmits - was.LostRetransmits},
			{stack.TraceDSACK, is.DSACKsIn - was.DSACKsIn},
			{stack.TraceUndo, is.SpuriousTimeouts + is.SpuriousRecoveries - was.SpuriousTimeouts - was.SpuriousRecoveries},
		} {
			if _, n := sum(all, c.kind); n != c.want {
				t.Errorf("kind %d: %d in the trace, %d counted", c.kind, n, c.want)
			}
		}
		last := all[len(all)-1]
		if _, n := sum(all, stack.TraceRetransmit); n == 0 || n != uint64(last.Resent) || n < is.Retransmits-was.Retransmits {
			t.Errorf("%d segments sent again in the trace; the connection says %d, the shard %d", n, last.Resent, is.Retransmits-was.Retransmits)
		}
		if all[0].Kind != stack.TraceBegin || last.Kind != stack.TraceEnd || last.Acked != 2<<20 || tr.Dropped() != 0 {
			t.Errorf("from %+v to %+v, %d dropped", all[0], last, tr.Dropped())
		}
		var states []tcp.State
		for i, e := range all {
			if e.Kind == stack.TraceState {
				states = append(states, e.State)
			}
			if i > 0 && e.Time < all[i-1].Time || e.Conn != 1 || e.Flow.Remote() != serverPort {
				t.Fatalf("event %d: %+v", i, e)
			}
		}
		if len(states) < 4 || states[0] != tcp.StateSynSent || states[1] != tcp.StateEstablished || states[2] != tcp.StateFinWait1 {
			t.Errorf("states %v", states)
		}
		w.settle()
	})
}

// TestTraceShowsWindowsAndStalls has a receiver that stops reading, and a sender that has nothing to send for a while.
func TestTraceShowsWindowsAndStalls(t *testing.T) {
	w := newWorld(t, 1, settings{})
	server := newEndpoint(2, 0)
	server.hold, server.afterIn = 1<<20, true
	w.serve(func() *endpoint { return server })
	client := w.connect(newEndpoint(1, 0))
	client.size, client.afterIn = 1<<20, true // it does not begin by itself
	w.until(time.Second, "they are connected", func() bool { return client.opened && server.opened })
	var ends [2]*stack.Trace
	for i, s := range []*stack.Stack{w.client.Stack, w.server.Stack} {
		var err error
		if ends[i], err = s.Trace(t.Context(), stack.TraceConfig{Match: func(f tcp.Flow) bool { return f.LocalPort == 7 || f.RemotePort == 7 }}); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.client.Shard(0).Do(func(*stack.Shard) { client.conn.Write(make([]byte, 10)) })
	w.runFor(200 * time.Millisecond)
	_ = w.client.Shard(0).Do(func(*stack.Shard) { client.afterIn = false; client.send() })
	w.runFor(3 * time.Second)
	_ = w.server.Shard(0).Do(func(*stack.Shard) { server.release() })
	w.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
	c, s := traceEvents(ends[0]), traceEvents(ends[1])
	for _, e := range append(c, s...) {
		if e.Kind == stack.TraceStall && (e.For < 150*time.Millisecond || e.For > 250*time.Millisecond) {
			t.Errorf("a stall of %v", e.For)
		}
		if (e.Kind == stack.TraceWindowOpen || e.Kind == stack.TraceReceiveOpen) && (e.For < time.Second || e.For > 10*time.Second) {
			t.Errorf("closed for %v", e.For)
		}
	}
	for _, want := range []struct {
		all  []stack.TraceEvent
		kind stack.TraceKind
	}{
		{c, stack.TraceStall}, {c, stack.TraceWindowClosed}, {c, stack.TraceWindowOpen}, {c, stack.TraceProbe},
		{s, stack.TraceReceiveClosed}, {s, stack.TraceReceiveOpen}, {s, stack.TraceBegin}, {s, stack.TraceEnd},
	} {
		if n, _ := sum(want.all, want.kind); n == 0 {
			t.Errorf("nothing of kind %d among %d events", want.kind, len(want.all))
		}
	}
}

// TestTraceIsBounded has more connections than are traced, more events than fit, and more traces than there may be.
func TestTraceIsBounded(t *testing.T) {
	w := newWorld(t, 1, settings{})
	w.serve(func() *endpoint { return newEndpoint(2, 1000) })
	var clients []*endpoint
	for range 5 { // two of them open when the trace begins
		if len(clients) == 2 {
			w.until(time.Second, "two are open", func() bool { return clients[0].opened && clients[1].opened })
		}
		clients = append(clients, w.connect(newEndpoint(1, 100_000)))
	}
	tr, err := w.server.Trace(t.Context(), stack.TraceConfig{Match: anyFlow, Conns: 3, Buffer: 8})
	if err != nil {
		t.Fatal(err)
	}
	var others []*stack.Trace
	for {
		other, err := w.server.Trace(t.Context(), stack.TraceConfig{Match: func(tcp.Flow) bool { return false }})
		if err != nil {
			if !errors.Is(err, stack.ErrTooManyTraces) || len(others) != 15 {
				t.Errorf("after %d: %v", len(others), err)
			}
			break
		}
		others = append(others, other)
	}
	w.until(time.Minute, "all are closed", func() bool {
		for _, c := range clients {
			if !c.closed {
				return false
			}
		}
		return true
	})
	for _, o := range others {
		if got := traceEvents(o); len(got) != 0 {
			t.Errorf("a trace of nothing has %v", got)
		}
	}
	dropped := tr.Dropped()
	if all := traceEvents(tr); len(all) != 8 || dropped == 0 {
		t.Errorf("%d events, %d dropped", len(all), dropped)
	}
	tr, err = w.server.Trace(t.Context(), stack.TraceConfig{Match: anyFlow})
	if err != nil {
		t.Fatalf("after the others have ended: %v", err)
	}
	tr.Close()
}

// traceBoth traces what both stacks of a world open from now on.
func traceBoth(t *testing.T, w *world) (client, server *stack.Trace) {
	t.Helper()
	var ends [2]*stack.Trace
	for i, s := range []*stack.Stack{w.client.Stack, w.server.Stack} {
		var err error
		if ends[i], err = s.Trace(t.Context(), stack.TraceConfig{Match: anyFlow, Buffer: 1 << 16}); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// TestTraceShowsTailLoss loses the last segment of what is written: a probe repairs that, and what is sent next tells that it was lost.
func TestTraceShowsTailLoss(t *testing.T) {
	const segment, size = 1448, 10
	h := &hole{from: (size - 1) * segment, to: size * segment, times: 1, sent: map[int]int{}}
	w := newWorld(t, 1, settings{link: sim.Impairment{Delay: 50 * time.Millisecond}})
	w.link.Filter = func(now clock.Time, from *sim.Device, b []byte) bool { return from != w.client.dev || h.passes(now, b) }
	c, _ := traceBoth(t, w)
	server := newEndpoint(2, 0)
	server.afterIn = true
	w.serve(func() *endpoint { return server })
	client := newEndpoint(1, 0)
	client.afterIn = true // it does not close by itself
	w.connect(client)
	w.until(time.Second, "they are connected", func() bool { return client.opened && server.opened })
	for _, n := range []int{size * segment, 1000} {
		_ = w.client.Shard(0).Do(func(*stack.Shard) { client.conn.Write(make([]byte, n)) })
		w.runFor(time.Second)
	}
	all := traceEvents(c)
	probes, _ := sum(all, stack.TraceTailProbe)
	losses, _ := sum(all, stack.TraceTailLoss)
	if _, resent := sum(all, stack.TraceRetransmit); probes != 1 || losses != 1 || resent != 1 || server.received != size*segment+1000 {
		t.Errorf("%d probes, %d losses at the tail, %d segments sent again, want 1 of each; %d bytes came", probes, losses, resent, server.received)
	}
}

// TestTraceShowsMarks has a queue mark packets: the receiver is told of the marks, the sender reduces its window for them.
func TestTraceShowsMarks(t *testing.T) {
	cfg := tcp.Config{ECN: tcp.ECNOn}
	w := newWorld(t, 1, settings{config: stack.Config{TCP: cfg}, serverTCP: &cfg})
	w.link.Impair(w.client.dev, sim.Impairment{Delay: 10 * time.Millisecond, Rate: 20e6, QueueLen: 100, MarkAt: 20})
	was, had := tcpStats(t, w.client), tcpStats(t, w.server)
	c, s := traceBoth(t, w)
	server := newEndpoint(2, 0)
	w.serve(func() *endpoint { return server })
	client := w.connect(newEndpoint(1, 4<<20))
	w.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
	is, has := tcpStats(t, w.client), tcpStats(t, w.server)
	if _, n := sum(traceEvents(c), stack.TraceMarked); n == 0 || n != is.ECEReductions-was.ECEReductions {
		t.Errorf("%d reductions in the trace, %d counted", n, is.ECEReductions-was.ECEReductions)
	}
	if _, n := sum(traceEvents(s), stack.TraceMark); n == 0 || n != has.CEIn-had.CEIn {
		t.Errorf("%d marks in the trace, %d counted", n, has.CEIn-had.CEIn)
	}
}

// TestTraceShowsPathMTU has a router say that a packet was too large, and a path that drops such without a word.
func TestTraceShowsPathMTU(t *testing.T) {
	w := newWire(t, stack.Config{}, sim.Config{})
	tr, err := w.Trace(t.Context(), stack.TraceConfig{Match: anyFlow})
	if err != nil {
		t.Fatal(err)
	}
	h := &watcher{}
	w.open(h)
	h.conn.Write(make([]byte, 1460))
	w.run(time.Millisecond)
	w.icmp(ipv4.ICMP{Type: ipv4.ICMPUnreachable, Code: ipv4.CodeFragNeeded, Rest: 1400}, w.next())
	w.run(time.Second)
	all := traceEvents(tr)
	n, _ := sum(all, stack.TraceMTU)
	for _, e := range all {
		if e.Kind == stack.TraceMTU && e.MSS != 1360 {
			t.Errorf("told with segments of %d bytes", e.MSS)
		}
	}
	if n != 1 {
		t.Errorf("%d events of the path's MTU: %+v", n, all)
	}

	v := newWorld(t, 1, settings{config: stack.Config{}})
	v.link.Filter = func(_ clock.Time, _ *sim.Device, b []byte) bool { return len(b) <= 14+1000 }
	before := tcpStats(t, v.client)
	c, _ := traceBoth(t, v)
	server := newEndpoint(2, 0)
	v.serve(func() *endpoint { return server })
	client := v.connect(newEndpoint(1, 1<<20))
	v.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
	after := tcpStats(t, v.client)
	if _, n := sum(traceEvents(c), stack.TraceMTU); n == 0 || n != after.PathMTUBlackHoles-before.PathMTUBlackHoles {
		t.Errorf("%d black holes in the trace, %d counted", n, after.PathMTUBlackHoles-before.PathMTUBlackHoles)
	}
}
