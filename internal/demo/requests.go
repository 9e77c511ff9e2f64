package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/service"
)

// requests asks for the built-in page with net/http's client, over and over, on as many connections as there are clients.
func (r *runner) requests(ctx context.Context) error {
	step := r.progress.Start("HTTP requests", 0, "requests")
	transport := &http.Transport{
		DialContext: r.Dial, MaxIdleConnsPerHost: r.cfg.Clients, DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	url := "http://" + r.address(service.HTTPPort) + "/"
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, r.cfg.Clients)
	all := make([]*hdrhistogram.Histogram, r.cfg.Clients)
	for i := range r.cfg.Clients {
		all[i] = newHistogram()
		wg.Go(func() {
			if errs[i] = requestLoop(ctx, client, url, began.Add(r.cfg.Duration), all[i], step); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	for _, h := range all[1:] {
		all[0].Merge(h)
	}
	out := &Requests{Clients: r.cfg.Clients, Requests: all[0].TotalCount(), Duration: elapsed, Latency: summarize(all[0])}
	out.Rate = float64(out.Requests) / elapsed.Seconds()
	r.report.Requests = out
	if err := errors.Join(errs...); err != nil {
		err = firstOf(errs)
		step.Fail(err)
		return err
	}
	step.Done(fmt.Sprintf("%d at %.0f/s", out.Requests, out.Rate))
	return nil
}

// firstOf returns the error that the others followed from: not that of the cancellation.
func firstOf(errs []error) error {
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	return first
}

// requestLoop sends requests until a time and checks each answer.
func requestLoop(ctx context.Context, c *http.Client, url string, until time.Time, h *hdrhistogram.Histogram, step Step) error {
	var body bytes.Buffer
	for now := time.Now(); now.Before(until); {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		body.Reset()
		_, err = io.Copy(&body, resp.Body)
		resp.Body.Close()
		switch {
		case err != nil:
			return err
		case resp.StatusCode != http.StatusOK:
			return fmt.Errorf("status %s", resp.Status)
		case !bytes.Equal(body.Bytes(), service.Page()):
			return fmt.Errorf("the body of %d bytes is not the page of %d", body.Len(), len(service.Page()))
		}
		end := time.Now()
		record(h, end.Sub(now))
		step.Add(1)
		now = end
	}
	return nil
}
