package service

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

func TestParseDelay(t *testing.T) {
	for in, want := range map[string]Delay{
		"5ms":                        {parts: []delayPart{{1, 5 * time.Millisecond}}},
		"90%:1ms, 10%:50ms":          {parts: []delayPart{{0.9, time.Millisecond}, {1, 50 * time.Millisecond}}},
		"0s":                         {parts: []delayPart{{1, 0}}},
		"stall:2s@10s":               {stall: 2 * time.Second, after: 10 * time.Second},
		"1ms,stall:100ms@0s":         {parts: []delayPart{{1, time.Millisecond}}, stall: 100 * time.Millisecond},
		"99.9%:100us,0.1%:1s":        {parts: []delayPart{{0.999, 100 * time.Microsecond}, {1, time.Second}}},
		"33.3%:1s,33.3%:2s,33.4%:3s": {parts: []delayPart{{0.333, time.Second}, {0.666, 2 * time.Second}, {1, 3 * time.Second}}},
	} {
		got, err := ParseDelay(in)
		if err != nil || got.stall != want.stall || got.after != want.after || !slices.EqualFunc(got.parts, want.parts,
			func(a, b delayPart) bool { return a.time == b.time && math.Abs(a.upTo-b.upTo) < 1e-9 }) {
			t.Errorf("%q: %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                        "no time",
		"5":                       "no time",
		"-5ms":                    "no time",
		"2h":                      "up to an hour",
		"90%:1ms":                 "make 90%",
		"90%:1ms,20%:5ms":         "make 110%",
		"5ms,6ms":                 "make 200%",
		"90:1ms,10:2ms":           "no share",
		"0%:1ms,100%:2ms":         "no share",
		"NaN%:1ms":                "no share",
		"stall:2s":                "its beginning",
		"stall":                   "with its length",
		"stall:0s@1s":             "no stall",
		"stall:2s@x":              "begins at no time",
		"stall:1s@1s,stall:1s@5s": "there is one stall",
	} {
		if d, err := ParseDelay(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", in, d, err, want)
		}
	}
}

// timed sends its requests when it is connected, and notes when each answer was complete.
type timed struct {
	requests string
	length   int // of an answer
	got      []byte
	start    clock.Time
	done     []time.Duration
	conn     *stack.Conn
}

func (v *timed) Opened(c *stack.Conn) { v.conn, v.start = c, c.Now(); c.Write([]byte(v.requests)) }
func (v *timed) Received(c *stack.Conn, p []byte) {
	v.got = append(v.got, p...)
	for v.length > 0 && len(v.done) < len(v.got)/v.length {
		v.done = append(v.done, c.Now().Sub(v.start))
	}
}
func (v *timed) Writable(*stack.Conn)      {}
func (v *timed) PeerClosed(c *stack.Conn)  { c.Close() }
func (v *timed) Closed(*stack.Conn, error) {}

// virtual is a server and a client in virtual time, joined by a link that takes no time.
type virtual struct {
	t              *testing.T
	net            *sim.Network
	server, client *stack.Stack
}

func newVirtual(t *testing.T, cfg HTTPConfig) *virtual {
	t.Helper()
	w := &virtual{t: t, net: sim.NewNetwork(1)}
	open := func(address string) (*stack.Stack, *sim.Device) {
		d, err := w.net.NewDevice(sim.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := stack.New(stack.Config{Address: netip.MustParsePrefix(address), Seed: 1}, d)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s, d
	}
	var a, b *sim.Device
	w.server, a = open("192.0.2.1/24")
	w.client, b = open("192.0.2.2/24")
	if _, err := w.net.Link(a, b, sim.Impairment{}); err != nil {
		t.Fatal(err)
	}
	h, err := NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for i, turn := range h.OnTurns(1) {
		w.server.Shard(i).SetOnTurn(turn)
	}
	handle(t, w.server, "80", h)
	w.run(time.Microsecond)
	return w
}

func (w *virtual) run(d time.Duration) { w.net.RunFor(d, w.server.Shard(0), w.client.Shard(0)) }

// ask sends so many requests at once on a connection.
func (w *virtual) ask(n int, length int) *timed {
	w.t.Helper()
	v := &timed{requests: strings.Repeat(get, n), length: length}
	if err := w.client.Shard(0).Connect(netip.MustParseAddrPort("192.0.2.1:80"), v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// slack is what a request takes beside its delay in virtual time: turns of 1 µs.
const slack = 20 * time.Microsecond

func near(got, want time.Duration) bool { return got >= want && got <= want+slack }

// answerLength is that of an answer with a body of 100 bytes.
func answerLength(t *testing.T) int {
	t.Helper()
	w := newVirtual(t, HTTPConfig{Made: true, Size: 100})
	v := w.ask(1, 0)
	w.run(time.Millisecond)
	if !bytes.HasSuffix(v.got, made[:100]) {
		t.Fatalf("the answer is %q", v.got)
	}
	return len(v.got)
}

// The requests of a connection are answered in order, one after another; those of different connections at the same time.
func TestDelayFixed(t *testing.T) {
	delay, _ := ParseDelay("5ms")
	length := answerLength(t)
	w := newVirtual(t, HTTPConfig{Made: true, Size: 100, Delay: delay})
	many, one := w.ask(4, length), w.ask(1, length)
	w.run(100 * time.Millisecond)
	if len(many.done) != 4 || len(one.done) != 1 {
		t.Fatalf("%d and %d answers", len(many.done), len(one.done))
	}
	for i, d := range many.done {
		if want := time.Duration(i+1) * 5 * time.Millisecond; !near(d, want) {
			t.Errorf("answer %d after %v, want %v", i+1, d, want)
		}
	}
	if !near(one.done[0], 5*time.Millisecond) {
		t.Errorf("the other connection's after %v", one.done[0])
	}
}

// Of a distribution, each time comes as often as its share says.
func TestDelayShares(t *testing.T) {
	delay, _ := ParseDelay("90%:1ms,10%:50ms")
	length := answerLength(t)
	w := newVirtual(t, HTTPConfig{Made: true, Size: 100, Delay: delay, Seed: 1})
	const n = 2000
	var all []*timed
	for range n {
		all = append(all, w.ask(1, length))
		w.run(100 * time.Microsecond)
	}
	w.run(100 * time.Millisecond)
	slow := 0
	for _, v := range all {
		switch {
		case len(v.done) == 1 && near(v.done[0], time.Millisecond):
		case len(v.done) == 1 && near(v.done[0], 50*time.Millisecond):
			slow++
		default:
			t.Fatalf("answers after %v", v.done)
		}
	}
	if slow < n/10-54 || slow > n/10+54 { // four standard deviations
		t.Errorf("%d of %d took 50 ms, want about %d (seed 1)", slow, n, n/10)
	}
}

// In a stall nothing is answered, and at its end all that waits.
func TestDelayStall(t *testing.T) {
	delay, _ := ParseDelay("1ms,stall:200ms@50ms")
	length := answerLength(t)
	w := newVirtual(t, HTTPConfig{Made: true, Size: 100, Delay: delay})
	w.run(time.Second) // the stall is counted from the first request
	for at := time.Duration(0); at < 400*time.Millisecond; at += 10 * time.Millisecond {
		v := w.ask(1, length)
		w.run(10 * time.Millisecond)
		want := time.Millisecond
		if end := 250 * time.Millisecond; at+want >= 50*time.Millisecond && at+want < end {
			want = end - at
		}
		if want < 10*time.Millisecond && len(v.done) != 1 || want > 10*time.Millisecond && len(v.done) != 0 {
			t.Errorf("a request at %v has %d answers after 10 ms, and is to take %v", at, len(v.done), want)
		}
		defer func() {
			if len(v.done) != 1 || v.done[0] < want-100*time.Microsecond || v.done[0] > want+100*time.Microsecond {
				t.Errorf("a request at %v was answered after %v, want %v", at, v.done, want)
			}
		}()
	}
	w.run(time.Second)
}

// A client that leaves while its answer waits, or that has sent all it will, leaves nothing behind.
func TestDelayedClientLeaves(t *testing.T) {
	delay, _ := ParseDelay("5ms")
	length := answerLength(t)
	w := newVirtual(t, HTTPConfig{Made: true, Size: 100, Delay: delay})
	var stay []*timed
	for i := range 100 {
		v := w.ask(3, length)
		w.run(100 * time.Microsecond)
		if i%2 == 0 {
			v.conn.Abort()
		} else {
			stay = append(stay, v)
		}
	}
	w.run(time.Second)
	for _, v := range stay {
		if len(v.done) != 3 || !near(v.done[2], 15*time.Millisecond) {
			t.Fatalf("one that stayed has its answers after %v", v.done)
		}
	}
	if n := w.server.Shard(0).Memory().Connections; n != len(stay) {
		t.Errorf("%d connections are left, want %d", n, len(stay))
	}
}

// A client that sends requests without end while its first answer waits is held to its window, not remembered.
func TestDelayedPipelineIsBounded(t *testing.T) {
	delay, _ := ParseDelay("1s")
	w := newVirtual(t, HTTPConfig{Made: true, Size: 100, Delay: delay})
	f := &flooding{}
	if err := w.client.Shard(0).Connect(netip.MustParseAddrPort("192.0.2.1:80"), f); err != nil {
		t.Fatal(err)
	}
	w.run(500 * time.Millisecond)
	before := f.sent
	w.run(400 * time.Millisecond)
	if f.sent != before || before > 16<<20 {
		t.Errorf("%d bytes of requests were taken, and then %d more", before, f.sent-before)
	}
}

// flooding sends requests as long as there is room.
type flooding struct {
	Discard
	sent int
}

func (f *flooding) Opened(c *stack.Conn) { f.Writable(c) }
func (f *flooding) Writable(c *stack.Conn) {
	p := bytes.Repeat([]byte(get), 1000)
	for {
		n := c.Write(p)
		f.sent += n
		if n < len(p) {
			return
		}
	}
}

func TestMadeBodies(t *testing.T) {
	for _, size := range []int64{0, 1, 1000, preparedBody, preparedBody + 1, 3<<20 + 7} {
		server, client := pair(t)
		h, err := NewHTTP(HTTPConfig{Made: true, Size: size})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		handle(t, server, "80", h)
		c := dial(t, client, "tcp", "80")
		in := get + "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /any/path?q HTTP/1.1\r\nHost: a\r\n\r\n" + "GET / HTTP/1.0\r\n\r\n"
		for i, r := range exchange(t, c, in, "GET", "HEAD", "GET", "GET") {
			want := size
			if i == 1 {
				want = 0
			}
			got := body(t, r)
			if r.StatusCode != 200 || int64(len(got)) != want || r.ContentLength != size || !madeUp(got) {
				t.Errorf("size %d, answer %d: %s, %d bytes, length %d", size, i, r.Status, len(got), r.ContentLength)
			}
		}
	}
	if _, err := NewHTTP(HTTPConfig{Made: true, Root: "/"}); err == nil {
		t.Error("a body and files at once")
	}
}

func madeUp(s string) bool {
	for i := 0; i < len(s); i += pieceSize {
		if !strings.HasPrefix(string(made[:]), s[i:min(len(s), i+pieceSize)]) {
			return false
		}
	}
	return true
}

// net/http has the same content, and the same delays.
func TestMadeBodiesWithNetHTTP(t *testing.T) {
	delay, _ := ParseDelay("30ms")
	h, err := NewHTTP(HTTPConfig{Made: true, Size: 100_000, Delay: delay})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	server := httptest.NewServer(h.Handler())
	defer server.Close()
	for method, want := range map[string]int{"GET": 100_000, "HEAD": 0, "POST": -1} {
		req, _ := http.NewRequest(method, server.URL+"/x", nil)
		began := time.Now()
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if took := time.Since(began); took < 30*time.Millisecond {
			t.Errorf("%s took %v", method, took)
		}
		if want >= 0 && (len(got) != want || resp.Header.Get("Content-Length") != fmt.Sprint(h.content.Load().size)) || (want < 0) != (resp.StatusCode == 405) {
			t.Errorf("%s: %s, %d bytes", method, resp.Status, len(got))
		}
	}
}

// What is asked of the server most often, and the waiting for its answer, allocates nothing.
func TestWaitingAllocatesNothing(t *testing.T) {
	w := waiting{}
	conns := make([]httpConn, 100)
	now := clock.Time(1)
	cycle := func() {
		for i := range conns {
			w.add(now+clock.Time(i*7919%100), nil, &conns[i])
		}
		for i := range conns {
			if i%3 == 0 {
				w.remove(&conns[i])
			}
		}
		for last := clock.Time(0); len(w.heap) > 0; {
			if w.next() < last {
				t.Fatal("out of order")
			}
			last = w.next()
			w.remove(w.heap[0].st)
		}
		for i := range conns {
			if conns[i].place != 0 {
				t.Fatal("a connection that waits no more has a place")
			}
		}
	}
	cycle()
	if n := testing.AllocsPerRun(100, cycle); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
