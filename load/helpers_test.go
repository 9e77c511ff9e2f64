package load

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

var (
	clientPrefix = netip.MustParsePrefix("10.0.0.2/8")
	serverPrefix = netip.MustParsePrefix("10.0.0.1/8")
)

func server(port uint16) netip.AddrPort { return netip.AddrPortFrom(serverPrefix.Addr(), port) }

func targets(port uint16) []Target { return []Target{{Addr: server(port)}} }

// world is a client and a server in virtual time.
type world struct {
	t              testing.TB
	net            *sim.Network
	link           *sim.Link
	client, server *stack.Stack
	devices        [2]*sim.Device
}

func newWorld(t testing.TB, imp sim.Impairment) *world {
	t.Helper()
	w := &world{t: t, net: sim.NewNetwork(1)}
	host := func(i int, p netip.Prefix) *stack.Stack {
		d, err := w.net.NewDevice(sim.Config{})
		if err != nil {
			t.Fatal(err)
		}
		w.devices[i] = d
		s, err := stack.New(stack.Config{Address: p, Seed: uint64(i + 1), TCP: tcp.Config{TimeWait: 100 * time.Millisecond}}, d)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	w.client, w.server = host(0, clientPrefix), host(1, serverPrefix)
	var err error
	if w.link, err = w.net.Link(w.devices[0], w.devices[1], imp); err != nil {
		t.Fatal(err)
	}
	w.runFor(time.Millisecond)
	return w
}

func (w *world) runFor(d time.Duration) { w.net.RunFor(d, w.client.Shard(0), w.server.Shard(0)) }

// serve has a handler on a port of the server.
func (w *world) serve(address string, h stack.Handler) {
	w.t.Helper()
	if _, err := w.server.Handle(address, h); err != nil {
		w.t.Fatal(err)
	}
}

// http has the server's built-in page on port 80.
func (w *world) http() {
	w.t.Helper()
	h, err := service.NewHTTP(service.HTTPConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	w.serve(":80", h)
}

// run makes load until its end, and returns what came of it.
func (w *world) run(cfg Config) Snapshot {
	w.t.Helper()
	r, err := Start(w.client, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.finish(r)
}

func (w *world) finish(r *Run) Snapshot {
	w.t.Helper()
	ended := func() bool {
		select {
		case <-r.Done():
			return true
		default:
			return false
		}
	}
	if !w.net.RunUntil(w.net.Now().Add(time.Hour), ended, w.client.Shard(0), w.server.Shard(0)) {
		w.t.Fatalf("the run does not end: %+v", r.Snapshot().Gauges)
	}
	w.runFor(5 * time.Second) // connections close
	s := r.Snapshot()
	check(w.t, &s)
	return s
}

// check holds a finished run to what is always true.
func check(t testing.TB, s *Snapshot) {
	t.Helper()
	if s.State != Finished || s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("after the end: %v, %+v", s.State, s.Gauges)
	}
	if s.Open != 0 || s.Opening != 0 {
		t.Errorf("connections are left: %+v", s.Gauges)
	}
	sum := uint64(0)
	for _, n := range s.Errors {
		sum += n
	}
	if sum != s.Failed {
		t.Errorf("%d failures, but %d by reason: %v", s.Failed, sum, s.ErrorsByName())
	}
	if n := s.Total.TotalCount(); n != int64(s.Done) {
		t.Errorf("%d done, but %d latencies", s.Done, n)
	}
}

// newPair starts a client and a server that are joined in memory, in real time, with so many shards each.
func newPair(t testing.TB, shards int) (client, server *stack.Stack) {
	t.Helper()
	var a, b []stack.Device
	for range shards {
		x, y, err := sim.Pipe(sim.Config{Frames: 8192})
		if err != nil {
			t.Fatal(err)
		}
		a, b = append(a, x), append(b, y)
	}
	start := func(p netip.Prefix, d []stack.Device) *stack.Stack {
		s, err := stack.New(stack.Config{Address: p, TCP: tcp.Config{TimeWait: 100 * time.Millisecond}}, d...)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Close() })
		return s
	}
	return start(clientPrefix, a), start(serverPrefix, b)
}

// wait runs load in real time.
func wait(t testing.TB, st *stack.Stack, cfg Config) Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := Start(st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(ctx); err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v", err, ctx.Err())
	}
	return r.Snapshot()
}
