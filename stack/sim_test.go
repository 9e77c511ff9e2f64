package stack_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

var _ stack.Device = (*sim.Device)(nil)

// exchange lets both ends of one connection send, and checks everything.
func exchange(w *world, seed uint64, toServer, toClient int, limit time.Duration) {
	w.t.Helper()
	server := newEndpoint(seed+1, toClient)
	w.serve(func() *endpoint { return server })
	client := w.connect(newEndpoint(seed, toServer))
	w.until(limit, "the exchange is over", func() bool { return done(client, server) || w.givenUp(client, server) })
	if !w.givenUp(client, server) {
		checkExchange(w.t, client, server)
	}
	w.settle()
}

// givenUp reports whether an end found the peer unreachable, for which a bad time of the link that is long enough is reason enough.
// It makes an end of the other one.
func (w *world) givenUp(ends ...*endpoint) bool {
	burst := w.link.Stats(w.client.dev).BurstLost + w.link.Stats(w.server.dev).BurstLost
	for i, e := range ends {
		if burst < 10 || !errors.Is(e.err, syscall.EHOSTUNREACH) && !errors.Is(e.err, syscall.ETIMEDOUT) {
			continue
		}
		if other := ends[1-i]; other.conn != nil {
			other.conn.Abort()
		}
		return true
	}
	return false
}

func TestExchangeOverPerfectLink(t *testing.T) {
	for name, size := range map[string][2]int{
		"nothing": {0, 0}, "a byte": {1, 0}, "answer only": {0, 100_000}, "both ways": {1 << 20, 1 << 20}, "bulk": {8 << 20, 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, settings{})
			exchange(w, 1, size[0], size[1], time.Minute)
			r, _ := w.client.Report()
			if s := r[0].Stats.TCP; s.Retransmits+s.Timeouts+s.SYNRetransmits != 0 {
				t.Errorf("retransmissions on a link that loses nothing: %+v", s)
			}
		})
	}
}

// impairments draws a bad link from a seed.
func impairments(r *rand.Rand) sim.Impairment {
	some := func(p float64) float64 { return p * r.Float64() * float64(r.IntN(2)) }
	imp := sim.Impairment{
		Delay:   time.Duration(r.IntN(40_000)) * time.Microsecond,
		Jitter:  time.Duration(r.IntN(5_000)) * time.Microsecond,
		Loss:    some(0.05),
		Reorder: some(0.1), Duplicate: some(0.1), Corrupt: some(0.03),
	}
	if r.IntN(3) == 0 {
		imp.Burst = sim.Burst{Enter: 0.002, Leave: 0.2}
	}
	if r.IntN(3) == 0 {
		imp.Rate, imp.QueueLen = 5e6+r.Int64N(200e6), 10+r.IntN(200)
	}
	return imp
}

// devices draws what a device is like from a seed.
func devices(r *rand.Rand) sim.Config {
	cfg := sim.Config{MTU: 576 + r.IntN(925), Frames: 512 << r.IntN(4)}
	if r.IntN(2) == 0 {
		cfg.CompletionDelay = time.Duration(1+r.IntN(20_000)) * time.Microsecond
	}
	if r.IntN(4) == 0 {
		cfg.TxRing = 8 << r.IntN(4)
	}
	if r.IntN(4) == 0 {
		cfg.RxRing = 16 << r.IntN(4)
	}
	switch r.IntN(6) {
	case 0:
		cfg.CompletionSpread = time.Duration(1+r.IntN(100_000)) * time.Microsecond
	case 1:
		cfg.CompletionPeriod = time.Duration(1+r.IntN(100_000)) * time.Microsecond
	}
	return cfg
}

func TestExchangeOverBadLinks(t *testing.T) {
	var all stack.ShardStats
	runs := 0
	forSeeds(t, 60, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		set := settings{link: impairments(r), clientDev: devices(r), serverDev: devices(r)}
		set.clientDev.CompleteSums, set.serverDev.CompleteSums = seed%2 == 0, seed%3 == 0 // whom the other does not believe
		set.config.BatchSize = 1 << r.IntN(7)
		set.config.TCP = tcp.Config{
			NoTimestamps: r.IntN(4) == 0, NoSACK: r.IntN(4) == 0, NoWindowScale: r.IntN(4) == 0, NoDelay: r.IntN(2) == 0,
			RecvBuffer: 1 << (13 + r.IntN(8)), SendBuffer: 1 << (13 + r.IntN(8)),
		}
		w := newWorld(t, seed, set)
		exchange(w, seed, r.IntN(1<<(10+r.IntN(10))), r.IntN(1<<(10+r.IntN(10))), 2*time.Hour)
		for _, h := range []host{w.client, w.server} {
			if report, err := h.Report(); err == nil {
				all = metrics.Add(all, report[0].Stats)
			}
		}
		if t.Failed() {
			t.Logf("%+v", set)
		}
		runs++
	})
	if runs < 50 || t.Failed() {
		return
	}
	// Links that are not bad in every way would prove little.
	for name, n := range map[string]uint64{
		"retransmissions": all.TCP.Retransmits, "timeouts": all.TCP.Timeouts, "fast recoveries": all.TCP.FastRecoveries,
		"SYN retransmissions": all.TCP.SYNRetransmits, "out of order": all.TCP.OutOfOrder, "duplicates": all.TCP.DropDuplicate,
		"TCP checksums": all.Drop.TCPChecksum, "IP checksums": all.IP.Checksum, "full TX rings": all.Tx.RingFull,
	} {
		if n == 0 {
			t.Errorf("no run had this: %s", name)
		}
	}
}

func TestManyConnectionsOverBadLinks(t *testing.T) {
	forSeeds(t, 8, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, seed, settings{link: impairments(r)})
		const count = 100
		var accepted []*endpoint
		w.serve(func() *endpoint {
			e := newEndpoint(uint64(len(accepted)), r.IntN(5000))
			accepted = append(accepted, e)
			return e
		})
		var clients []*endpoint
		for i := range count {
			clients = append(clients, w.connect(newEndpoint(seed<<16+uint64(i), r.IntN(20_000))))
			if i%10 == 0 {
				w.runFor(time.Millisecond)
			}
		}
		w.until(time.Hour, "all connections are closed", func() bool {
			for _, e := range clients {
				if !e.closed {
					return false
				}
			}
			return true
		})
		w.settle()
		for _, e := range clients {
			if e.err != nil || !e.peerClosed {
				t.Errorf("a connection ended with %v, end of data: %v", e.err, e.peerClosed)
			}
		}
		matchDigests(t, clients, accepted)
	})
}

// matchDigests checks that what the ones sent is what the others received, in any order, and the other way round.
func matchDigests(t *testing.T, a, b []*endpoint) {
	t.Helper()
	left := map[[2]string]int{}
	for _, e := range a {
		left[[2]string{string(e.out.Sum(nil)), string(e.in.Sum(nil))}]++
	}
	for _, e := range b {
		left[[2]string{string(e.in.Sum(nil)), string(e.out.Sum(nil))}]--
	}
	for _, n := range left {
		if n != 0 {
			t.Fatalf("%d connections on one side, %d on the other, and their digests differ", len(a), len(b))
		}
	}
}

func TestHalfClosedConnectionGoesOn(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{link: sim.Impairment{Delay: 5 * time.Millisecond, Loss: 0.02}})
		server := newEndpoint(2, 300_000)
		server.afterIn = true
		w.serve(func() *endpoint { return server })
		client := w.connect(newEndpoint(1, 1000))
		w.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
		checkExchange(t, client, server)
		w.settle()
	})
}

// TestSlowReader keeps what it receives until the window is closed, then goes on.
func TestSlowReader(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{
			link:   sim.Impairment{Delay: 2 * time.Millisecond, Loss: 0.01},
			config: stack.Config{TCP: tcp.Config{RecvBuffer: 64 << 10}},
		})
		server := newEndpoint(2, 0)
		server.hold = 1 << 20
		w.serve(func() *endpoint { return server })
		client := w.connect(newEndpoint(1, 1<<20))
		w.runFor(5 * time.Minute)
		stuck := server.received
		w.runFor(5 * time.Minute)
		if server.received != stuck || stuck > 128<<10 || stuck == 0 {
			t.Errorf("the peer sent %d bytes, then %d, to a reader that reads none, with a buffer of 64 KiB", stuck, server.received-stuck)
		}
		if client.closed || server.closed {
			t.Fatalf("the connection did not survive a closed window: %v, %v", client.err, server.err)
		}
		server.release()
		w.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
		checkExchange(t, client, server)
		w.settle()
	})
}

func TestAbortResetsThePeer(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{link: sim.Impairment{Delay: 2 * time.Millisecond}})
		server := newEndpoint(2, 1<<20)
		server.onData = func(c *stack.Conn) {
			if server.received > 100_000 {
				c.Abort()
			}
		}
		w.serve(func() *endpoint { return server })
		client := w.connect(newEndpoint(1, 1<<20))
		w.until(time.Minute, "both ends are closed", func() bool { return done(client, server) })
		if !errors.Is(client.err, syscall.ECONNRESET) || !errors.Is(server.err, syscall.ECONNABORTED) {
			t.Errorf("client: %v, server: %v", client.err, server.err)
		}
		w.settle()
	})
}

func TestPeerDies(t *testing.T) {
	isTCP := func(b []byte) bool { return len(b) > 23 && b[12] == 0x08 && b[13] == 0 && b[23] == ipv4.ProtoTCP }
	arrived := func(_ *world, server *endpoint) bool { return server.received > 50_000 }
	for name, test := range map[string]struct {
		when   func(w *world, server *endpoint) bool
		passes func(w *world, from *sim.Device, b []byte) bool // what still passes then; nil: nothing
		client error
		server error // nil: it never opened
		within time.Duration
	}{
		"before ARP is answered": {client: syscall.EHOSTUNREACH, within: 10 * time.Second},
		"before the SYN-ACK arrives": {
			passes: func(w *world, from *sim.Device, b []byte) bool { return from == w.client.dev || !isTCP(b) },
			client: syscall.ETIMEDOUT, within: 5 * time.Minute,
		},
		"with data in flight": {
			when:   arrived,
			passes: func(_ *world, _ *sim.Device, b []byte) bool { return !isTCP(b) },
			client: syscall.ETIMEDOUT, server: syscall.ETIMEDOUT, within: time.Hour,
		},
		"with data in flight, and does not answer ARP": {
			when: arrived, client: syscall.EHOSTUNREACH, server: syscall.EHOSTUNREACH, within: time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, settings{strangers: true})
			server := newEndpoint(2, 1<<20)
			w.serve(func() *endpoint { return server })
			client := w.connect(newEndpoint(1, 1<<20))
			if test.when != nil {
				w.until(time.Minute, "the moment has come", func() bool { return test.when(w, server) })
			}
			w.link.Filter = func(_ clock.Time, from *sim.Device, b []byte) bool {
				return test.passes != nil && test.passes(w, from, b)
			}
			start := w.net.Now()
			w.until(test.within, "the client gives up", func() bool { return client.closed })
			t.Logf("given up after %v with: %v", w.since(start), client.err)
			if !errors.Is(client.err, test.client) {
				t.Errorf("the client's error is %v, want %v", client.err, test.client)
			}
			w.settle()
			if server.opened != (test.server != nil) || !errors.Is(server.err, test.server) {
				t.Errorf("the server's connection opened: %v, error %v, want %v", server.opened, server.err, test.server)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	w := newWorld(t, 1, settings{})
	client := w.connect(newEndpoint(1, 10))
	w.until(time.Second, "the client is refused", func() bool { return client.closed })
	if !errors.Is(client.err, syscall.ECONNREFUSED) || client.opened {
		t.Errorf("error %v, opened: %v", client.err, client.opened)
	}
	w.settle()
}

// TestLinkOutage takes the link away in the middle of an exchange, for up to 11 minutes: less than a connection endures.
func TestLinkOutage(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{})
		server := newEndpoint(2, 1<<20)
		w.serve(func() *endpoint { return server })
		client := w.connect(newEndpoint(1, 1<<20))
		w.until(time.Minute, "something arrived", func() bool { return server.received > 100_000 })
		w.link.Down = true
		w.runFor(time.Duration(1+seed%9*(seed%9)) * 10 * time.Second)
		w.link.Down = false
		w.until(time.Hour, "the exchange is over", func() bool { return done(client, server) })
		checkExchange(t, client, server)
		w.settle()
	})
}

// TestScarceFrames runs more connections than there is memory for: it may be slow, but must come to an end and lose no frame.
func TestScarceFrames(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		small := sim.Config{Frames: 128 << r.IntN(2), CompletionDelay: time.Duration(r.IntN(2)) * time.Millisecond}
		w := newWorld(t, seed, settings{clientDev: small, serverDev: small})
		var accepted, clients []*endpoint
		w.serve(func() *endpoint {
			e := newEndpoint(uint64(len(accepted)), 50_000)
			accepted = append(accepted, e)
			return e
		})
		for i := range 20 {
			clients = append(clients, w.connect(newEndpoint(uint64(i), 50_000)))
		}
		w.until(time.Hour, "all connections are closed", func() bool {
			for _, e := range clients {
				if !e.closed {
					return false
				}
			}
			return true
		})
		w.settle()
		for _, e := range clients {
			if e.err != nil {
				t.Errorf("a connection ended with %v after %d bytes", e.err, e.sent)
			}
		}
		matchDigests(t, clients, accepted)
		if t.Failed() {
			w.report()
		}
	})
}

func TestTinyRings(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		tiny := sim.Config{Frames: 512, FillRing: 8, TxRing: 4, CompletionDelay: time.Millisecond}
		exchange(newWorld(t, seed, settings{clientDev: tiny, serverDev: tiny}), seed, 300_000, 300_000, time.Hour)
	})
}

// TestCloseOfAStackReturnsEveryFrame closes the server in the middle of exchanges.
func TestCloseOfAStackReturnsEveryFrame(t *testing.T) {
	forSeeds(t, 5, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{serverDev: sim.Config{CompletionDelay: time.Millisecond}})
		w.serve(func() *endpoint { return newEndpoint(2, 1<<20) })
		var clients []*endpoint
		for i := range 10 {
			clients = append(clients, w.connect(newEndpoint(uint64(i), 1<<20)))
		}
		w.runFor(time.Duration(5+seed) * time.Millisecond)
		if err := w.server.Close(); err != nil {
			t.Fatal(err)
		}
		if p := w.server.dev.Pool(); p.Check() != nil || p.Free() != p.Size() {
			t.Errorf("%v, %+v", p.Check(), p.Account())
		}
		// The server's device is gone; its resets are on the wire.
		reset := func() bool {
			for _, e := range clients {
				if !e.closed {
					return false
				}
			}
			return true
		}
		if !w.net.RunUntil(w.net.Now().Add(time.Hour), reset, w.client.Shard(0)) {
			t.Fatal("the clients were not reset")
		}
		for _, e := range clients {
			if !errors.Is(e.err, syscall.ECONNRESET) {
				t.Errorf("a client's error is %v", e.err)
			}
		}
		w.net.RunFor(time.Hour, w.client.Shard(0))
		if a := w.client.dev.Pool().Account(); a.Held != 0 || a.TX != 0 {
			t.Errorf("client: %+v", a)
		}
	})
}

// TestSameSeedSameExchange is what makes a seed worth printing.
func TestSameSeedSameExchange(t *testing.T) {
	run := func(seed uint64) (packets int, end clock.Time, digest uint64) {
		w := newWorld(t, seed, settings{link: sim.Impairment{Delay: time.Millisecond, Loss: 0.05, Reorder: 0.05, Duplicate: 0.05}})
		w.net.Tap = func(now clock.Time, _, _ *sim.Device, b []byte) {
			packets++
			for _, c := range b {
				digest = digest*31 + uint64(c)
			}
			digest = digest*31 + uint64(now)
		}
		exchange(w, seed, 100_000, 100_000, time.Hour)
		return packets, w.net.Now(), digest
	}
	n1, end1, d1 := run(5)
	n2, end2, d2 := run(5)
	if n1 != n2 || end1 != end2 || d1 != d2 {
		t.Errorf("two runs of one seed: %d and %d packets, ended at %d and %d, digests %x and %x", n1, n2, end1, end2, d1, d2)
	}
	if _, _, d3 := run(6); d3 == d1 {
		t.Error("two seeds give the same run")
	}
}
