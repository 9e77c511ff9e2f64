package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// Work is what the server is asked to do, in the server's terms.
type Work string

// The kinds of work.
const (
	Receive Work = "receive" // take bytes as fast as they come
	Send    Work = "send"    // send bytes as fast as they are taken
	HTTP    Work = "http"    // answer a request at a time on each of a number of connections
	Connect Work = "connect" // connect, one request, close, on each of a number of slots
	Ping    Work = "ping"    // send back 64 bytes, again and again
	Arrive  Work = "arrive"  // answer requests that come at a rate, whatever the answers do; what is measured is how late they are sent
)

// Port is the server's.
func (w Work) Port() uint16 {
	switch w {
	case Receive:
		return app.DiscardPort
	case Send:
		return app.SourcePort
	case Ping:
		return app.EchoPort
	}
	return app.HTTPPort
}

// Config describes a run.
type Config struct {
	Work   Work
	Addr   [4]byte
	Conns  int           // connections, or slots, at a time
	Warmup time.Duration // before the measured window
	Window time.Duration

	Congestion string // the congestion control of bulk work
}

// Result is what was measured in the window.
type Result struct {
	Seconds float64 `json:"seconds"`
	Count   float64 `json:"count"`  // payload bytes, requests or connections
	Errors  float64 `json:"errors"` // connections that failed
	// Latency in microseconds: of a request, or of connect to the end of the connection. Zero for bulk work.
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
	// Of bulk work that the client sends, at the end of the window, the mean of the connections: smoothed round trip in
	// microseconds and congestion window in segments, as the kernel has them.
	RTT  float64 `json:"rtt_us"`
	CWnd float64 `json:"cwnd"`
	// CPU is the processor time of a program that was started for the work, in seconds; 0: this process has done it itself.
	CPU float64 `json:"cpu_s,omitempty"`
}

// NewHistogram makes one for latencies in nanoseconds, up to a minute.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// Latencies takes the percentiles from a histogram of nanoseconds, unless nothing was recorded.
func (r *Result) Latencies(h *hdrhistogram.Histogram) {
	if h.TotalCount() == 0 {
		return
	}
	us := func(ns int64) float64 { return float64(ns) / 1000 }
	r.P50, r.P99, r.P999 = us(h.ValueAtQuantile(50)), us(h.ValueAtQuantile(99)), us(h.ValueAtQuantile(99.9))
	r.Max = us(h.Max())
}

// patience bounds a time without any progress.
const patience = 5 * time.Second

// What holds for the opening of connections, whoever's TCP does it.
const (
	// OpenPatience bounds it: a SYN is sent again after 1, 3, 7 and 15 seconds.
	OpenPatience = 20 * time.Second
	// OpenAtOnce is how many are opened at a time. More SYNs than veth's ring has room for beside the requests of those that are
	// open would be dropped, and each that is costs a second.
	OpenAtOnce = 32
)

// ErrStalled means that nothing moved for too long.
var ErrStalled = errors.New("load: no progress")

// state is where a connection is.
type state uint8

const (
	idle state = iota
	connecting
	running
)

type conn struct {
	fd    int
	slot  int
	state state
	begun time.Time

	answer app.Answer // the response so far
	done   bool       // it is complete
	got    int        // bytes of the echo so far
}

// generator is one run.
type generator struct {
	cfg       Config
	poll      int
	port      uint16
	conns     []conn
	buf       []byte
	measuring bool
	moved     uint64 // anything that happened, to notice a stall
	count     uint64
	errors    uint64
	lastErr   error
	latency   *hdrhistogram.Histogram
}

// Run does the work. It calls ready when the connections are open, and mark at the start of the measured window and at its end. A window in
// which nothing was done goes on until something is, up to a bound: on a busy machine a process may wait for its processor, or a
// connection for a retransmission timeout, longer than a short window is.
func Run(ctx context.Context, cfg Config, ready func(), mark func(start bool)) (Result, error) {
	g := &generator{cfg: cfg, conns: make([]conn, cfg.Conns), buf: make([]byte, 512<<10)}
	g.latency, g.port = NewHistogram(), cfg.Work.Port()
	var err error
	if g.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return Result{}, fmt.Errorf("load: epoll: %w", err)
	}
	defer g.close()
	if err := g.open(ctx); err != nil {
		return Result{}, err
	}
	ready()
	if err := g.loop(ctx, cfg.Warmup); err != nil {
		return Result{}, err
	}
	g.count, g.errors, g.measuring = 0, 0, true
	before := g.acked()
	start := time.Now()
	mark(true)
	err = g.loop(ctx, cfg.Window)
	for end := time.Now().Add(patience); err == nil && g.done(before) == 0 && time.Now().Before(end); {
		err = g.loop(ctx, 10*time.Millisecond)
	}
	mark(false)
	if err != nil {
		return Result{}, err
	}
	r := Result{Seconds: time.Since(start).Seconds(), Count: float64(g.done(before)), Errors: float64(g.errors)}
	if cfg.Work == Receive {
		r.RTT, r.CWnd = g.path()
	}
	r.Latencies(g.latency)
	if r.Count == 0 {
		return r, fmt.Errorf("load: nothing in %.1f s: %w", r.Seconds, errors.Join(ErrStalled, g.lastErr))
	}
	return r, nil
}

// done returns how much was done in the window so far. Of bulk work that is what the server has taken, not what lies in buffers; before
// is what it had acknowledged at the window's start.
func (g *generator) done(before uint64) uint64 {
	if g.cfg.Work == Receive {
		return g.acked() - before
	}
	return g.count
}

// open starts every connection, a few at a time; those that are to stay are established when it returns.
func (g *generator) open(ctx context.Context) error {
	begun := 0
	for end := time.Now().Add(OpenPatience); ; {
		open := 0
		for i := range g.conns {
			if g.conns[i].state == running {
				open++
			}
		}
		for ; begun < len(g.conns) && (begun < open+OpenAtOnce || g.cfg.Work == Connect); begun++ {
			g.conns[begun].slot = begun
			if err := g.connect(&g.conns[begun]); err != nil {
				return err
			}
		}
		switch {
		case open == len(g.conns) || g.cfg.Work == Connect:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("load: %d of %d connections after %v: %w",
				open, len(g.conns), OpenPatience, errors.Join(ErrStalled, g.lastErr))
		}
		if err := g.loop(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// loop handles events for a time.
func (g *generator) loop(ctx context.Context, length time.Duration) error {
	var events [512]unix.EpollEvent
	end := time.Now().Add(length)
	seen, quiet := g.moved, time.Now()
	for {
		now := time.Now()
		left := end.Sub(now)
		if left <= 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		if g.moved != seen {
			seen, quiet = g.moved, now
		} else if now.Sub(quiet) > patience {
			return fmt.Errorf("%w for %v: %w", ErrStalled, patience, g.lastErr)
		}
		n, err := unix.EpollWait(g.poll, events[:], int(min(left, 100*time.Millisecond)/time.Millisecond)+1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("load: epoll wait: %w", err)
		}
		for i := range max(0, n) {
			if err := g.event(&g.conns[events[i].Pad], events[i].Events); err != nil {
				return err
			}
		}
	}
}

func (g *generator) close() {
	for i := range g.conns {
		if g.conns[i].state != idle {
			_ = unix.Close(g.conns[i].fd)
		}
	}
	_ = unix.Close(g.poll)
}

// acked returns how many bytes the peer has acknowledged on all connections.
func (g *generator) acked() uint64 {
	var sum uint64
	for i := range g.conns {
		if info, err := unix.GetsockoptTCPInfo(g.conns[i].fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			sum += info.Bytes_acked
		}
	}
	return sum
}

// path returns the mean round trip, in microseconds, and congestion window of the connections.
func (g *generator) path() (rtt, cwnd float64) {
	for i := range g.conns {
		if info, err := unix.GetsockoptTCPInfo(g.conns[i].fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt += float64(info.Rtt) / float64(len(g.conns))
			cwnd += float64(info.Snd_cwnd) / float64(len(g.conns))
		}
	}
	return rtt, cwnd
}
