package load

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// misbehaving is a server that does something with each connection or request.
type misbehaving struct {
	open    func(c *stack.Conn)
	request func(c *stack.Conn)
}

func (m misbehaving) Opened(c *stack.Conn) {
	if m.open != nil {
		m.open(c)
	}
}

func (m misbehaving) Received(c *stack.Conn, _ []byte) {
	if m.request != nil {
		m.request(c)
	}
}

func (misbehaving) Writable(*stack.Conn)      {}
func (misbehaving) PeerClosed(c *stack.Conn)  { c.Close() }
func (misbehaving) Closed(*stack.Conn, error) {}

func says(text string) func(c *stack.Conn) { return func(c *stack.Conn) { c.Write([]byte(text)) } }

// then does two things after each other.
func then(a, b func(c *stack.Conn)) func(c *stack.Conn) {
	return func(c *stack.Conn) { a(c); b(c) }
}

// Each way in which a server fails is counted by its own name, in every mode, and nothing else is.
func TestFailures(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	reset, closes := (*stack.Conn).Abort, (*stack.Conn).Close
	for _, tt := range []struct {
		name   string
		server *misbehaving // nil: nobody listens
		reason Reason
		done   bool // the requests are answered all the same
	}{
		{"refuses", nil, Refused, false},
		{"resets on a request", &misbehaving{request: reset}, Reset, false},
		{"closes on a request", &misbehaving{request: closes}, PeerClosed, false},
		{"never answers", &misbehaving{}, RequestTimeout, false},
		{"stalls in the body", &misbehaving{request: says(head + "abc")}, RequestTimeout, false},
		{"closes in the head", &misbehaving{request: then(says("HTTP/1.1 200 O"), closes)}, ShortBody, false},
		{"closes in the body", &misbehaving{request: then(says(head+"abc"), closes)}, ShortBody, false},
		{"closes in a chunk", &misbehaving{request: then(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), closes)}, ShortBody, false},
		{"sends garbage", &misbehaving{request: says("hello, who are you?\r\n\r\n")}, BadResponse, false},
		{"sends two framings", &misbehaving{request: says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")}, BadResponse, false},
		{"has no such page", &misbehaving{request: says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")}, Status4xx, false},
		{"is overloaded", &misbehaving{request: says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")}, Status5xx, false},
		{"ends the body with the connection", &misbehaving{request: then(says("HTTP/1.1 200 OK\r\n\r\nabc"), closes)}, 0, true},
		{"closes after each response", &misbehaving{request: then(says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), closes)}, 0, true},
	} {
		for mode, cfg := range map[string]Config{
			"requests, open":      {Phases: constant(100, 500*time.Millisecond), Connections: 60},
			"requests, closed":    {Count: 20, Connections: 4},
			"connections, open":   {Mode: Connections, Phases: constant(100, 500*time.Millisecond)},
			"connections, closed": {Mode: Connections, Count: 20, Connections: 4},
			"connections, reset":  {Mode: Connections, Count: 20, Connections: 4, Reset: true},
		} {
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				w := newWorld(t, lan)
				if tt.server != nil {
					w.serve(":80", tt.server)
				}
				cfg.Targets, cfg.RequestTimeout = targets(80), time.Second
				s := w.run(cfg)
				want := cfg.Count
				if cfg.open() {
					want = 50
				}
				switch {
				case tt.done:
					if s.Failed != 0 || s.Done != want {
						t.Errorf("%d done, want %d, %v", s.Done, want, s.ErrorsByName())
					}
				case s.Done != 0 || s.Failed < want || s.Failed != s.Errors[tt.reason]:
					t.Errorf("%d done, %d failures, want %d of %v, %v", s.Done, s.Failed, want, tt.reason, s.ErrorsByName())
				}
				if r, _ := w.client.Report(); r[0].Frames.Held != 0 || r[0].Connections != 0 {
					t.Errorf("left: %d frames, %d connections", r[0].Frames.Held, r[0].Connections)
				}
			})
		}
	}
}

func TestUnreachable(t *testing.T) {
	nobody := netip.MustParseAddrPort("10.0.0.99:80")
	for _, tt := range []struct {
		name   string
		cfg    Config
		filter func(w *world) // what becomes of packets
		reason Reason
	}{
		{"no ARP", Config{Targets: []Target{{Addr: nobody}}, Mode: Connections, Count: 3, Connections: 3}, nil, NoARP},
		{"no ARP, UDP", Config{Targets: []Target{{Addr: nobody}}, Protocol: UDP, Count: 3, Connections: 3}, nil, NoARP},
		{"no route", Config{Targets: []Target{{Addr: netip.MustParseAddrPort("192.0.2.1:80")}}, Mode: Connections, Count: 3}, nil, Unreachable},
		{"silence", Config{Targets: targets(80), Mode: Connections, Count: 3, Connections: 3},
			func(w *world) { w.link.Filter = notTCP }, ConnectTimeout},
		{"no ports", Config{Targets: targets(7), Protocol: Echo, NoPayload: true, Mode: Connections, Connections: 40_000,
			Phases: constant(40_000, time.Second)}, func(w *world) { w.link.Filter = notTCP }, NoPort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, lan)
			if tt.filter != nil {
				tt.filter(w)
			}
			s := w.run(tt.cfg)
			if s.Done != 0 || s.Failed == 0 || s.Errors[tt.reason] == 0 {
				t.Errorf("%d done, %v", s.Done, s.ErrorsByName())
			}
			if tt.reason != NoPort && s.Failed != s.Errors[tt.reason] {
				t.Errorf("other reasons: %v", s.ErrorsByName())
			}
		})
	}
}

func notTCP(_ clock.Time, _ *sim.Device, b []byte) bool {
	return len(b) < 34 || b[12] != 8 || b[13] != 0 || b[23] != 6
}

// A server that dies and comes back: the run goes on, and what was lost is told.
func TestServerDies(t *testing.T) {
	w := newWorld(t, lan)
	w.http()
	r, err := Start(w.client, Config{Targets: targets(80), Phases: constant(1000, 10*time.Second), RequestTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.runFor(2 * time.Second)
	w.link.Down = true
	w.runFor(2 * time.Second)
	w.link.Down = false
	s := w.finish(r)
	if s.Done+s.Failed-s.ConnectsLost != 10_000 || s.Done < 6000 || s.Failed < 1000 {
		t.Errorf("%d done, %d failed, %d connections lost: %v", s.Done, s.Failed, s.ConnectsLost, s.ErrorsByName())
	}
	if h := s.FailedAfter; h.TotalCount() == 0 || h.Min() < int64(400*time.Millisecond) && s.ConnectsLost == 0 {
		t.Errorf("%d failures took %v at least", h.TotalCount(), time.Duration(h.Min()))
	}
}

// Arrivals for which there is no connection are not forgotten: they wait, and after the time-out they have failed for that reason.
func TestConnectionLimit(t *testing.T) {
	w := newWorld(t, lan)
	w.serve(":80", &misbehaving{})
	s := w.run(Config{Targets: targets(80), Phases: constant(100, time.Second), Connections: 2, RequestTimeout: 300 * time.Millisecond, MaxWaiting: 20})
	if s.Done != 0 || s.Failed != 100 || s.Errors[ConnLimit] == 0 || s.Errors[Backlog] == 0 || s.Errors[RequestTimeout] == 0 ||
		s.FailedAfter.TotalCount() != 100 {
		t.Errorf("%d done, %v, %d times", s.Done, s.ErrorsByName(), s.FailedAfter.TotalCount())
	}
}

func TestFailFast(t *testing.T) {
	w := newWorld(t, lan)
	w.serve(":80", &misbehaving{request: says("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")})
	r, err := Start(w.client, Config{Targets: targets(80), Phases: constant(1000, time.Hour), FailFast: true})
	if err != nil {
		t.Fatal(err)
	}
	s := w.finish(r)
	if !errors.Is(s.Err, ErrFailed) || s.Started > 10 || s.Errors[Status5xx] == 0 {
		t.Errorf("%v, %d started, %v", s.Err, s.Started, s.ErrorsByName())
	}
}

// Of pipelined requests those that a closing server has not answered are made again, and their latency goes on.
func TestPipelineRetries(t *testing.T) {
	for name, cfg := range map[string]Config{
		"open":   {Phases: constant(5000, time.Second), Connections: 4, Pipeline: 8},
		"closed": {Count: 5000, Connections: 4, Pipeline: 8},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, lan)
			w.serve(":80", &closing{})
			cfg.Targets, cfg.RequestTimeout = targets(80), 50*time.Millisecond
			s := w.run(cfg)
			if s.Done < 4000 || s.Retried == 0 || s.Errors[BadResponse] != 0 {
				t.Errorf("%d done, %d retried, %v", s.Done, s.Retried, s.ErrorsByName())
			}
		})
	}
}

// closing is a server that ends a connection after ten responses.
type closing struct{ misbehaving }

func (closing) Opened(c *stack.Conn) { c.SetContext(new(int)) }

func (closing) Received(c *stack.Conn, p []byte) {
	n := c.Context().(*int)
	for range bytes.Count(p, []byte("\r\n\r\n")) {
		if *n++; *n < 10 {
			c.Write(answer)
			continue
		}
		c.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		c.Close()
		return
	}
}

// Connections go to targets by their weight.
func TestTargets(t *testing.T) {
	w := newWorld(t, lan)
	count := map[uint16]int{}
	for _, port := range []uint16{81, 82, 83} {
		w.serve(netip.AddrPortFrom(serverPrefix.Addr(), port).String(), &misbehaving{request: func(c *stack.Conn) {
			count[c.LocalAddr().Port()]++
			c.Write(answer)
		}})
	}
	s := w.run(Config{Mode: Connections, Targets: []Target{{Addr: server(81), Weight: 3}, {Addr: server(82)}, {Addr: server(83), Weight: 2}},
		Phases: constant(600, time.Second)})
	if s.Done != 600 || count[81] != 300 || count[82] != 100 || count[83] != 200 {
		t.Errorf("%d done, by port %v", s.Done, count)
	}
}

func TestEchoIsCompared(t *testing.T) {
	w := newWorld(t, lan)
	w.serve(":7", &misbehaving{request: says("something else")})
	if s := w.run(Config{Protocol: Echo, Targets: targets(7), Count: 5, Connections: 2}); s.Errors[BadResponse] != 5 {
		t.Errorf("%v", s.ErrorsByName())
	}
}
