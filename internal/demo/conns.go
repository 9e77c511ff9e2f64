package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

const (
	dialing     = 128              // connections that may be in their handshake at once: the client's patience, not the stack's
	connTimeout = 20 * time.Second // for opening one, and for each echo
	echoSize    = 64               // bytes
)

// connections opens many connections, has the stack count them, echoes on all of them at once, and closes them.
func (r *runner) connections(ctx context.Context) error {
	step := r.progress.Start("connections", int64(r.cfg.Connections*(1+r.cfg.Echoes)), "connections and echoes")
	out := &Conns{}
	r.report.Conns = out
	conns, err := r.openAll(ctx, out, step)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	if err == nil {
		err = r.countOpen(out)
	}
	if err == nil {
		stop := context.AfterFunc(ctx, func() { // the echoes end when their connections do
			for _, c := range conns {
				c.Close()
			}
		})
		err = r.echoAll(conns, out, step)
		stop()
	}
	if err != nil {
		step.Fail(err)
		return err
	}
	step.Done(fmt.Sprintf("%d open at once, %d echoes at %.0f/s", out.Open, out.Echoes, out.EchoRate))
	return nil
}

// openAll opens the connections, some at a time.
func (r *runner) openAll(ctx context.Context, out *Conns, step Step) ([]net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conns := make([]net.Conn, r.cfg.Connections)
	errs := make([]error, len(conns))
	var mu sync.Mutex
	h := newHistogram()
	slots := make(chan struct{}, dialing)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range conns {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			dialCtx, done := context.WithTimeout(ctx, connTimeout)
			defer done()
			start := time.Now()
			conns[i], errs[i] = r.Dial(dialCtx, "tcp", r.address(service.EchoPort))
			if errs[i] != nil {
				cancel()
				return
			}
			mu.Lock()
			record(h, time.Since(start))
			mu.Unlock()
			step.Add(1)
		})
	}
	wg.Wait()
	out.Opening = time.Since(began)
	out.Connect = summarize(h)
	if err := errors.Join(errs...); err != nil {
		return conns, firstOf(errs)
	}
	return conns, nil
}

// countOpen asks the stack how many connections it has. The last handshakes end at the stack a moment after they end at the client.
func (r *runner) countOpen(out *Conns) error {
	for deadline := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		snap, err := snapshot.Take(r.Server, time.Now())
		if err != nil {
			return err
		}
		if out.Open = snap.Connections; out.Open >= r.cfg.Connections {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the stack has %d connections, not %d", out.Open, r.cfg.Connections)
		}
	}
}

// echoAll sends messages on all connections at once and checks that each comes back.
func (r *runner) echoAll(conns []net.Conn, out *Conns, step Step) error {
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	var mu sync.Mutex
	total := newHistogram()
	began := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			trips := make([]time.Duration, 0, r.cfg.Echoes)
			trips, errs[i] = echoLoop(c, i, r.cfg.Echoes, trips, step)
			mu.Lock()
			defer mu.Unlock()
			recordAll(total, trips)
		})
	}
	wg.Wait()
	out.EchoTime = time.Since(began)
	out.Echoes = total.TotalCount()
	out.EchoRate = float64(out.Echoes) / out.EchoTime.Seconds()
	out.RoundTrip = summarize(total)
	if err := errors.Join(errs...); err != nil {
		return firstOf(errs)
	}
	return nil
}

func recordAll(h *hdrhistogram.Histogram, all []time.Duration) {
	for _, d := range all {
		record(h, d)
	}
}

// echoLoop sends numbered messages on connection number id, one after the other.
func echoLoop(c net.Conn, id, n int, trips []time.Duration, step Step) ([]time.Duration, error) {
	var sent, got [echoSize]byte
	for i := range n {
		copy(sent[:], fmt.Sprintf("connection %d message %d", id, i))
		start := time.Now()
		if err := c.SetDeadline(start.Add(connTimeout)); err != nil {
			return trips, err
		}
		if _, err := c.Write(sent[:]); err != nil {
			return trips, err
		}
		if _, err := io.ReadFull(c, got[:]); err != nil {
			return trips, err
		}
		if !bytes.Equal(sent[:], got[:]) {
			return trips, fmt.Errorf("connection %d: %q came back as %q", id, sent, got)
		}
		trips = append(trips, time.Since(start))
		step.Add(1)
	}
	return trips, nil
}
