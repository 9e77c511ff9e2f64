package stack_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/observe"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// The tests over the simulator run whole stacks in virtual time. Everything that is random in a test comes from its seed.
var (
	onlySeed  = flag.Uint64("sim.seed", 0, "run the simulations with this seed only")
	seedCount = flag.Uint64("sim.seeds", 0, "run the simulations with so many seeds; 0: each test's own number")
)

// forSeeds runs a test for seeds 1 to n, and says how to run one that failed again.
func forSeeds(t *testing.T, n uint64, test func(t *testing.T, seed uint64)) {
	first, last := uint64(1), n
	switch {
	case *onlySeed != 0:
		first, last = *onlySeed, *onlySeed
	case *seedCount != 0:
		last = *seedCount
	case underRace: // which finds nothing on a single goroutine but what one seed shows as well
		last = 1
	case testing.Short():
		last = min(n, 3)
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			replayable(t, seed, test)
		})
	}
}

var (
	serverPrefix = netip.MustParsePrefix("10.0.0.1/8")
	clientPrefix = netip.MustParsePrefix("10.0.0.2/8")
	serverPort   = netip.AddrPortFrom(serverPrefix.Addr(), 7)
)

// world is a client and a server, joined by a link.
type world struct {
	t      *testing.T
	net    *sim.Network
	link   *sim.Link
	client host
	server host
	seen   *observe.Observer // nil: nobody watches
	guard  guard
}

type host struct {
	*stack.Stack
	dev    *sim.Device
	memory []byte // of its frames
}

// settings of a world. The zero settings are a perfect link with a delay of 1 ms between defaults.
type settings struct {
	link      sim.Impairment
	clientDev sim.Config
	serverDev sim.Config
	config    stack.Config // of both stacks
	serverTCP *tcp.Config  // of the server's connections; nil: as config has it
	strangers bool         // the hosts do not know each other's hardware address yet
	unwatched bool         // no observer holds the hosts to the rules
}

func newWorld(t *testing.T, seed uint64, s settings) *world {
	t.Helper()
	w := &world{t: t, net: sim.NewNetwork(seed), guard: guard{before: map[*endpoint]tcp.Info{}}}
	t.Cleanup(w.close)
	if s.link == (sim.Impairment{}) {
		s.link.Delay = time.Millisecond
	}
	w.client = w.newHost("client", clientPrefix, seed, s.clientDev, s.config)
	if s.serverTCP != nil {
		s.config.TCP = *s.serverTCP
	}
	w.server = w.newHost("server", serverPrefix, seed+1<<32, s.serverDev, s.config)
	if !s.unwatched {
		w.watch(&s)
	}
	var err error
	if w.link, err = w.net.Link(w.client.dev, w.server.dev, sim.Impairment{}); err != nil {
		t.Fatal(err)
	}
	w.runFor(time.Microsecond) // the stacks learn what time it is
	if !s.strangers {
		w.meet()
	}
	w.link.Impair(w.client.dev, s.link)
	w.link.Impair(w.server.dev, s.link)
	return w
}

// meet lets the hosts learn each other's hardware address, while the link is still perfect: a link that loses three ARP requests
// one after the other makes a host unreachable, which is right but not what most tests are about.
func (w *world) meet() {
	w.t.Helper()
	e := newEndpoint(0, 0)
	if err := w.client.Connect(netip.AddrPortFrom(serverPort.Addr(), 1), &connecting{e}); err != nil {
		w.t.Fatal(err)
	}
	w.until(time.Second, "the hosts know each other", func() bool { return e.closed })
}

func (w *world) newHost(name string, p netip.Prefix, seed uint64, dev sim.Config, cfg stack.Config) host {
	w.t.Helper()
	dev.Name = name
	dev.Memory = spareMemory(&dev)
	d, err := w.net.NewDevice(dev)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.Address, cfg.Seed = p, seed
	s, err := stack.New(cfg, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return host{s, d, dev.Memory}
}

// close ends the stacks and keeps their memory for the next world. It may be called twice.
func (w *world) close() {
	for _, h := range []*host{&w.client, &w.server} {
		if h.Stack != nil {
			_ = h.Close()
			spare = append(spare, h.memory)
			h.Stack = nil
		}
	}
}

// spare is the memory of worlds that were closed: to have it made and cleared takes longer than a short exchange.
var spare [][]byte

// spareMemory returns memory for a device's pool.
func spareMemory(cfg *sim.Config) []byte {
	const frames, size = 4096, 2048 // sim.Config's defaults
	need := max(cfg.Frames, 0) * size
	if cfg.Frames == 0 {
		need = frames * size
	}
	if n := len(spare) - 1; n >= 0 && len(spare[n]) >= need && cfg.FrameSize == 0 {
		mem := spare[n]
		spare = spare[:n]
		return mem
	}
	return make([]byte, max(need, max(cfg.Frames, frames)*max(cfg.FrameSize, size)))
}

func (w *world) steppers() []sim.Stepper {
	return []sim.Stepper{w.client.Shard(0), w.server.Shard(0)}
}

// until runs the world until done, and fails the test if that takes longer than the limit of virtual time.
func (w *world) until(limit time.Duration, what string, done func() bool) {
	w.t.Helper()
	ready := func() bool {
		w.guard.round(w)
		return done()
	}
	if !w.net.RunUntil(w.net.Now().Add(limit), ready, w.steppers()...) {
		w.report()
		w.checkSeen()
		w.t.Fatalf("after %v of virtual time still not: %s", limit, what)
	}
}

func (w *world) runFor(d time.Duration) {
	w.net.RunUntil(w.net.Now().Add(d), func() bool {
		w.guard.round(w)
		return false
	}, w.steppers()...)
}

// serve lets an endpoint that make returns handle each connection to the server.
func (w *world) serve(make func() *endpoint) {
	w.t.Helper()
	guarded := func() *endpoint {
		e := make()
		w.guard.ends = append(w.guard.ends, guarded{e, &w.server})
		return e
	}
	if _, err := w.server.Handle(":7", &accepting{guarded}); err != nil {
		w.t.Fatal(err)
	}
}

// connect opens a connection from the client to the server.
func (w *world) connect(e *endpoint) *endpoint {
	w.t.Helper()
	if err := w.client.Connect(serverPort, &connecting{e}); err != nil {
		w.t.Fatal(err)
	}
	w.guard.ends = append(w.guard.ends, guarded{e, &w.client})
	return e
}

// watch has an observer see all packets. A device that is slow to take packets delays ACKs too, and one with few frames may not
// have one for them: then it does not matter how late they are.
func (w *world) watch(s *settings) {
	w.seen = &observe.Observer{}
	for _, d := range []sim.Config{s.clientDev, s.serverDev} {
		if d.TxRing != 0 || d.CompletionDelay|d.CompletionSpread|d.CompletionPeriod != 0 || d.Frames != 0 {
			w.seen.Prompt, w.seen.DelayedACK = -1, -1
		}
	}
	w.net.Sent = func(now clock.Time, from *sim.Device, b []byte) {
		if from == w.client.dev || from == w.server.dev {
			w.seen.Sent(now, b)
		}
	}
	w.net.Taken = func(now clock.Time, _, _ *sim.Device, b []byte) { w.seen.Received(now, b) }
}

// report logs where everything is, for a test that failed.
func (w *world) report() {
	w.t.Helper()
	for _, h := range []host{w.client, w.server} {
		r, err := h.Report()
		if err != nil {
			w.t.Log(err)
			continue
		}
		w.t.Logf("%s: %d connections, %d in TIME-WAIT, %d half-open, frames %+v\n  device %+v\n  link %+v\n  %+v", h.dev.Name(),
			r[0].Connections, r[0].TimeWait, r[0].HalfOpen, r[0].Frames, h.dev.Stats(), w.link.Stats(h.dev), r[0].Stats)
	}
}

// settle waits until every connection is forgotten, and checks that every frame is back and that nobody broke a rule.
func (w *world) settle() {
	w.t.Helper()
	w.until(time.Hour, "both stacks are empty", func() bool { return empty(w.t, w.client) && empty(w.t, w.server) })
	w.runFor(time.Second)
	w.until(time.Minute, "every frame is completed", func() bool {
		return w.client.dev.Pool().Account().TX+w.server.dev.Pool().Account().TX == 0
	})
	w.checkFrames()
	if w.t.Failed() {
		w.report()
	}
}

func empty(t *testing.T, h host) bool {
	t.Helper()
	r, err := h.Report()
	if err != nil {
		t.Fatal(err)
	}
	return r[0].Connections+r[0].TimeWait+r[0].HalfOpen == 0
}

// checkFrames checks that no frame of an idle stack is anywhere but free or waiting to be received into.
func (w *world) checkFrames() {
	w.t.Helper()
	for _, h := range []host{w.client, w.server} {
		if err := h.dev.Pool().Check(); err != nil {
			w.t.Errorf("%s: %v", h.dev.Name(), err)
		}
		if a := h.dev.Pool().Account(); a.Held != 0 || a.TX != 0 {
			w.t.Errorf("%s: frames are missing: %+v", h.dev.Name(), a)
		}
	}
	if err := w.net.Err(); err != nil {
		w.t.Error(err)
	}
	w.guard.check(w)
	w.checkSeen()
}

// checkSeen reports what the observer has found.
func (w *world) checkSeen() {
	w.t.Helper()
	if w.seen == nil {
		return
	}
	w.seen.Check(w.net.Now())
	if err := w.seen.Err(); err != nil {
		w.t.Errorf("seen on the link: %v\n%s", err, w.seen.Trace())
	}
}

// endpoint is one end of a connection: it sends a number of bytes and then closes its side, and keeps the digests of what it
// sent and received.
type endpoint struct {
	size    int  // bytes to send
	chunk   int  // bytes of one Write, at most; default 16 KiB
	afterIn bool // send only when the peer has closed its side
	hold    int  // keep up to so many received buffers until release is called
	onData  func(c *stack.Conn)

	conn     *stack.Conn
	random   *rand.Rand
	buf      []byte
	pending  []byte
	sent     int
	received int
	out, in  hash.Hash
	held     []stack.Buffer

	opened, peerClosed, wroteAll, closed bool
	err                                  error
}

func newEndpoint(seed uint64, size int) *endpoint {
	return &endpoint{size: size, chunk: 16 << 10, random: rand.New(rand.NewPCG(seed, uint64(size))), out: sha256.New(), in: sha256.New()}
}

// send writes as much as there is room for.
func (e *endpoint) send() {
	if e.conn == nil || e.wroteAll || e.afterIn && !e.peerClosed {
		return
	}
	for e.sent < e.size {
		if len(e.pending) == 0 {
			e.pending = e.more(min(e.chunk, e.size-e.sent))
		}
		n := e.conn.Write(e.pending)
		e.out.Write(e.pending[:n])
		e.sent += n
		e.pending = e.pending[n:]
		if len(e.pending) > 0 {
			return
		}
	}
	e.wroteAll = true
	e.conn.CloseWrite()
}

// more returns n random bytes.
func (e *endpoint) more(n int) []byte {
	if e.buf == nil {
		e.buf = make([]byte, e.chunk)
	}
	for i := range e.buf[:n] {
		if i%8 == 0 {
			v := e.random.Uint64()
			for j := i; j < min(i+8, n); j++ {
				e.buf[j] = byte(v >> (8 * (j - i)))
			}
		}
	}
	return e.buf[:n]
}

func (e *endpoint) receive(p []byte) {
	e.in.Write(p)
	e.received += len(p)
	if len(e.held) < e.hold {
		e.held = append(e.held, e.conn.Retain())
	}
	if e.onData != nil {
		e.onData(e.conn)
	}
}

// release gives the kept buffers back.
func (e *endpoint) release() {
	e.hold = 0
	for _, b := range e.held {
		e.conn.Release(b)
	}
	e.held = nil
}

// accepting is the handler of a server: it makes an endpoint for each connection.
type accepting struct{ make func() *endpoint }

func (a *accepting) Opened(c *stack.Conn) {
	e := a.make()
	c.SetContext(e)
	(&connecting{e}).Opened(c)
}
func (a *accepting) Received(c *stack.Conn, p []byte) { endpointOf(c).receive(p) }
func (a *accepting) Writable(c *stack.Conn)           { endpointOf(c).send() }
func (a *accepting) PeerClosed(c *stack.Conn)         { (&connecting{endpointOf(c)}).PeerClosed(c) }

func (a *accepting) Closed(c *stack.Conn, err error) {
	if e, ok := c.Context().(*endpoint); ok {
		(&connecting{e}).Closed(c, err)
	}
}

func endpointOf(c *stack.Conn) *endpoint { return c.Context().(*endpoint) }

// connecting is the handler of one connection.
type connecting struct{ e *endpoint }

func (h *connecting) Opened(c *stack.Conn) {
	h.e.opened, h.e.conn = true, c
	h.e.send()
}
func (h *connecting) Received(_ *stack.Conn, p []byte) { h.e.receive(p) }
func (h *connecting) Writable(*stack.Conn)             { h.e.send() }

func (h *connecting) PeerClosed(*stack.Conn) {
	h.e.peerClosed = true
	h.e.send()
}

func (h *connecting) Closed(c *stack.Conn, err error) {
	h.e.conn = c
	h.e.release()
	h.e.closed, h.e.err, h.e.conn = true, err, nil
}

// done reports whether the whole exchange between two endpoints is over.
func done(a, b *endpoint) bool { return a.closed && b.closed }

// checkExchange checks that each end has received exactly what the other sent, and that the end was an orderly one.
func checkExchange(t *testing.T, a, b *endpoint) {
	t.Helper()
	for _, d := range []struct {
		what     string
		from, to *endpoint
	}{{"client to server", a, b}, {"server to client", b, a}} {
		if d.from.sent != d.from.size || d.to.received != d.from.size {
			t.Errorf("%s: %d bytes to send, %d sent, %d received", d.what, d.from.size, d.from.sent, d.to.received)
		}
		if got, want := d.to.in.Sum(nil), d.from.out.Sum(nil); string(got) != string(want) {
			t.Errorf("%s: what was received has SHA-256 %x, what was sent %x", d.what, got, want)
		}
		if !d.to.peerClosed {
			t.Errorf("%s: the end of the data was not reported", d.what)
		}
		if d.from.err != nil {
			t.Errorf("%s: the sender's connection ended with: %v", d.what, d.from.err)
		}
	}
}

// since returns the virtual time since a moment.
func (w *world) since(start clock.Time) time.Duration { return w.net.Now().Sub(start) }
