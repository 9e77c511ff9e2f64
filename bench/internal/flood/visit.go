package flood

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/load"
)

// Patience is how long a visitor waits, for everything: a SYN is sent again after 1 s and after 3 s, which a percentile then shows.
const Patience = 5 * time.Second

// Config describes the visits.
type Config struct {
	Address string        // host and port
	Rate    float64       // connections a second
	Window  time.Duration // in which they are begun
}

// Result is what came of the connections that were begun in the window.
type Result struct {
	Seconds   float64 `json:"seconds"`
	Tried     float64 `json:"tried"`
	Succeeded float64 `json:"succeeded"` // with the whole response
	// Time to connect in microseconds. One that does not succeed counts with the whole of Patience.
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

type visits struct {
	mu        sync.Mutex
	times     *hdrhistogram.Histogram
	succeeded int
}

// Run begins connections on the kernel's TCP until the window is over, and waits for them. It calls mark at the window's start and end.
func Run(ctx context.Context, cfg Config, mark func(start bool)) (Result, error) {
	v := &visits{times: load.NewHistogram()}
	var all sync.WaitGroup
	tried, begun := 0, time.Now()
	mark(true)
	for time.Since(begun) < cfg.Window && ctx.Err() == nil {
		at := begun.Add(time.Duration(float64(tried) / cfg.Rate * float64(time.Second)))
		time.Sleep(time.Until(at)) // what is late is made up for at once
		tried++
		all.Go(func() { v.add(visit(cfg.Address)) })
	}
	seconds := time.Since(begun).Seconds()
	mark(false)
	all.Wait()
	var l load.Result
	l.Latencies(v.times)
	return Result{Seconds: seconds, Tried: float64(tried), Succeeded: float64(v.succeeded), P50: l.P50, P99: l.P99}, ctx.Err()
}

func (v *visits) add(connected time.Duration, ok bool) {
	if !ok {
		connected = Patience
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.times.RecordValue(connected.Nanoseconds()) // far below the histogram's greatest
	if ok {
		v.succeeded++
	}
}

// visit makes one request on a connection of its own. It returns the time to connect, and whether the response came.
func visit(address string) (connected time.Duration, ok bool) {
	begun := time.Now()
	c, err := net.DialTimeout("tcp4", address, Patience)
	if err != nil {
		return 0, false
	}
	connected = time.Since(begun)
	defer func() { _ = c.Close() }()
	if c.SetDeadline(begun.Add(Patience)) != nil {
		return 0, false
	}
	if _, err := c.Write(app.OneShot); err != nil {
		return 0, false
	}
	answer, err := io.ReadAll(c)
	return connected, err == nil && bytes.Equal(answer, app.Response)
}
