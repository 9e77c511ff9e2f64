package load

import (
	"bytes"
	"github.com/xdpstack/xdpstack/stack"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/sim"
)

var lan = sim.Impairment{Delay: 100 * time.Microsecond}

func constant(rate float64, d time.Duration) []Phase { return []Phase{{rate, rate, d}} }

// Each mode does what it is for, over a link that adds 0.2 ms to each answer.
func TestModes(t *testing.T) {
	const rtt = 2 * 100 * time.Microsecond
	for _, tt := range []struct {
		name     string
		cfg      Config
		done     [2]uint64 // at least, at most
		connects uint64    // 0: as many as done
		p50      time.Duration
	}{
		{name: "requests, open", cfg: Config{Targets: targets(80), Phases: constant(1000, time.Second)}, done: [2]uint64{1000, 1000}, connects: 64, p50: rtt},
		{name: "requests, closed", cfg: Config{Targets: targets(80), Duration: time.Second / 5, Connections: 10},
			done: [2]uint64{9000, 10_010}, connects: 10, p50: rtt},
		{name: "requests, pipelined", cfg: Config{Targets: targets(80), Duration: time.Second / 10, Connections: 2, Pipeline: 8},
			done: [2]uint64{6000, 8016}, connects: 2, p50: rtt},
		{name: "requests, think", cfg: Config{Targets: targets(80), Duration: time.Second, Connections: 10, Think: 9 * time.Millisecond},
			done: [2]uint64{900, 1100}, connects: 10, p50: rtt},
		{name: "requests, count", cfg: Config{Targets: targets(80), Count: 777, Connections: 10}, done: [2]uint64{777, 777}, connects: 10, p50: rtt},
		{name: "requests, Poisson", cfg: Config{Targets: targets(80), Phases: constant(1000, time.Second), Arrivals: Poisson},
			done: [2]uint64{880, 1120}, connects: 64, p50: rtt},
		{name: "POST", cfg: Config{Targets: targets(80), Phases: constant(100, time.Second), Request: Request{Method: "HEAD",
			Header: []Field{{"X-A", "b"}}}}, done: [2]uint64{100, 100}, connects: 64, p50: rtt},
		{name: "connections, open", cfg: Config{Mode: Connections, Targets: targets(80), Phases: constant(1000, time.Second)},
			done: [2]uint64{1000, 1000}, p50: 2 * rtt},
		{name: "connections, reset", cfg: Config{Mode: Connections, Targets: targets(80), Phases: constant(1000, time.Second), Reset: true},
			done: [2]uint64{1000, 1000}, p50: 2 * rtt},
		{name: "connections, closed", cfg: Config{Mode: Connections, Targets: targets(80), Duration: time.Second / 5, Connections: 5},
			done: [2]uint64{1200, 2505}, p50: 2 * rtt},
		{name: "connections, closed, think", cfg: Config{Mode: Connections, Targets: targets(80), Duration: time.Second, Connections: 5,
			Think: 10 * time.Millisecond}, done: [2]uint64{350, 500}, p50: 2 * rtt},
		{name: "connections, echo", cfg: Config{Mode: Connections, Protocol: Echo, Targets: targets(7), Phases: constant(500, time.Second)},
			done: [2]uint64{500, 500}, p50: 2 * rtt},
		{name: "connections, no payload", cfg: Config{Mode: Connections, Protocol: Echo, NoPayload: true, Targets: targets(7),
			Phases: constant(500, time.Second)}, done: [2]uint64{500, 500}, p50: rtt},
		{name: "echo of 100 kB", cfg: Config{Protocol: Echo, Payload: make([]byte, 100_000), Targets: targets(7), Count: 50, Connections: 2},
			done: [2]uint64{50, 50}, connects: 2},
		{name: "hold", cfg: Config{Mode: Hold, Targets: targets(80), Connections: 500, Interval: time.Second, Duration: 3 * time.Second},
			done: [2]uint64{1500, 1500}, connects: 500, p50: rtt},
		{name: "hold, silent", cfg: Config{Mode: Hold, Targets: targets(80), Connections: 500, Duration: time.Second}, connects: 500},
		{name: "warm-up", cfg: Config{Targets: targets(80), Phases: constant(1000, time.Second), WarmUp: 300 * time.Millisecond},
			done: [2]uint64{700, 700}, connects: 64, p50: rtt},
		{name: "ramp", cfg: Config{Targets: targets(80), Phases: []Phase{{0, 1000, time.Second}, {1000, 1000, time.Second}, {2000, 2000, time.Second}}},
			done: [2]uint64{3499, 3500}, connects: 64, p50: rtt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, lan)
			w.http()
			w.serve(":7", service.Echo{})
			s := w.run(tt.cfg)
			if s.Failed != 0 || s.Done < tt.done[0] || s.Done > tt.done[1] || s.Started != s.Done {
				t.Errorf("%d started, %d done, %d failed: %v", s.Started, s.Done, s.Failed, s.ErrorsByName())
			}
			if tt.connects == 0 {
				tt.connects = s.Done
			}
			if s.Connects != tt.connects || s.Connect.TotalCount() != int64(s.Connects) || s.ConnectsLost != 0 {
				t.Errorf("%d connections, %d lost", s.Connects, s.ConnectsLost)
			}
			p50, first := time.Duration(s.Total.ValueAtPercentile(50)), time.Duration(s.FirstByte.ValueAtPercentile(50))
			if tt.p50 != 0 && (p50 < tt.p50 || p50 > tt.p50*5/4 || first > p50) {
				t.Errorf("the median is %v, to the first byte %v, want %v", p50, first, tt.p50)
			}
			if e := time.Duration(s.ScheduleError.Max()); e > time.Microsecond {
				t.Errorf("in virtual time arrivals were late by %v", e)
			}
			if (tt.cfg.open()) != (s.ScheduleError.TotalCount() > 0) {
				t.Errorf("%d arrivals of a schedule", s.ScheduleError.TotalCount())
			}
		})
	}
}

func TestStreams(t *testing.T) {
	for _, mode := range []Mode{Upload, Download, Duplex} {
		t.Run(mode.String(), func(t *testing.T) {
			w := newWorld(t, sim.Impairment{Delay: time.Millisecond, Rate: 100e6, QueueLen: 1000})
			w.serve(":7", service.Echo{})
			w.serve(":9", service.Discard{})
			w.serve(":19", service.Chargen{})
			port := map[Mode]uint16{Upload: 9, Download: 19, Duplex: 7}[mode]
			s := w.run(Config{Mode: mode, Protocol: Echo, Targets: targets(port), Connections: 3, Duration: time.Second})
			const most = 100e6 / 8
			if up := float64(s.BytesSent); (mode != Download) != (up > most/2) || up > 2*most {
				t.Errorf("%v bytes up", up)
			}
			if down := float64(s.BytesReceived); (mode != Upload) != (down > most/2) || down > 1.1*most {
				t.Errorf("%v bytes down", down)
			}
			if s.Connects != 3 || s.Failed != 0 {
				t.Errorf("%d connections, %v", s.Connects, s.ErrorsByName())
			}
		})
	}
}

// Requests, in an open loop as in a closed one, cost no allocation: neither here nor, with that, in the stack.
func TestRequestsAllocateNothing(t *testing.T) {
	for name, cfg := range map[string]Config{
		"open":        {Targets: targets(80), Phases: constant(20_000, time.Hour)},
		"Poisson":     {Targets: targets(80), Phases: constant(20_000, time.Hour), Arrivals: Poisson},
		"closed":      {Targets: targets(80), Connections: 10},
		"pipelined":   {Targets: targets(80), Connections: 4, Pipeline: 8},
		"echo":        {Targets: targets(7), Protocol: Echo, Connections: 10},
		"hold":        {Mode: Hold, Targets: targets(80), Connections: 1000, Interval: 100 * time.Millisecond},
		"connections": {Mode: Connections, Targets: targets(7), Protocol: Echo, Phases: constant(5000, time.Hour), Reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, lan)
			w.serve(":7", answering{echo: true})
			w.serve(":80", answering{})
			r, err := Start(w.client, cfg)
			if err != nil {
				t.Fatal(err)
			}
			w.runFor(500 * time.Millisecond) // tables grow to their size
			before := r.workers[0].rec.Done
			if n := testing.AllocsPerRun(20, func() { w.runFor(10 * time.Millisecond) }); n != 0 {
				t.Errorf("%v allocations in 10 ms, want none", n)
			}
			if n := r.workers[0].rec.Done - before; n < 500 {
				t.Errorf("only %d requests", n)
			}
		})
	}
}

// answering is a server that costs no allocation.
type answering struct{ echo bool }

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

func (answering) Opened(*stack.Conn)        {}
func (answering) Writable(*stack.Conn)      {}
func (answering) PeerClosed(c *stack.Conn)  { c.Close() }
func (answering) Closed(*stack.Conn, error) {}

func (a answering) Received(c *stack.Conn, p []byte) {
	if a.echo {
		c.Write(p)
		return
	}
	for range bytes.Count(p, []byte("\r\n\r\n")) {
		c.Write(answer)
	}
}

func TestUDP(t *testing.T) {
	const rtt = 200 * time.Microsecond
	for _, tt := range []struct {
		name string
		cfg  Config
		loss float64
		done [2]uint64
	}{
		{name: "open", cfg: Config{Phases: constant(10_000, time.Second)}, done: [2]uint64{10_000, 10_000}},
		{name: "closed", cfg: Config{Duration: time.Second / 5, Connections: 4}, done: [2]uint64{3800, 4004}},
		{name: "payload, open", cfg: Config{Payload: []byte("hello"), Phases: constant(1000, time.Second)}, done: [2]uint64{1000, 1000}},
		{name: "payload, closed", cfg: Config{Payload: []byte("hello"), Count: 1000}, done: [2]uint64{1000, 1000}},
		{name: "loss, open", cfg: Config{Phases: constant(10_000, time.Second), RequestTimeout: 100 * time.Millisecond}, loss: 0.05,
			done: [2]uint64{8900, 9150}},
		{name: "loss, closed", cfg: Config{Payload: []byte("hello"), Count: 2000, RequestTimeout: 10 * time.Millisecond}, loss: 0.05,
			done: [2]uint64{1750, 1850}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, lan)
			if err := w.server.HandlePacket(":5007", service.EchoPackets{}); err != nil {
				t.Fatal(err)
			}
			tt.cfg.Protocol, tt.cfg.Targets = UDP, targets(5007)
			r, err := Start(w.client, tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			w.runFor(time.Millisecond) // ARP
			for _, d := range w.devices {
				w.link.Impair(d, sim.Impairment{Delay: 100 * time.Microsecond, Loss: tt.loss})
			}
			s := w.finish(r)
			if s.Done < tt.done[0] || s.Done > tt.done[1] || s.Failed != s.Errors[RequestTimeout] || (tt.loss > 0) != (s.Failed > 0) {
				t.Errorf("%d started, %d done, %v", s.Started, s.Done, s.ErrorsByName())
			}
			if p50 := time.Duration(s.Total.ValueAtPercentile(50)); p50 < rtt || p50 > rtt*5/4 {
				t.Errorf("the median is %v", p50)
			}
			r.closeUDP()
		})
	}
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t, lan)
		s := w.run(Config{Protocol: UDP, Targets: targets(5007), Count: 5, RequestTimeout: time.Second})
		if s.Done != 0 || s.Errors[Refused] == 0 {
			t.Errorf("%d done, %v", s.Done, s.ErrorsByName())
		}
	})
}
