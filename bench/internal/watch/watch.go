// Package watch looks at a server again and again as those do who watch it, in turns with stretches in which nobody looks: what watching
// costs is the difference.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// The kinds of looks.
const (
	All       = "all" // one of each of the others but Nothing
	Metrics   = "metrics"
	Dashboard = "dashboard"
	SS        = "ss"
	Stats     = "stats"
	Nothing   = "nothing"
)

// paths are what is asked for in a look.
var paths = map[string][]string{
	All:       {"/metrics", "/live?top=20", "/connections?info=1", "/stats"},
	Metrics:   {"/metrics"},
	Dashboard: {"/live?top=20"},
	SS:        {"/connections?info=1"},
	Stats:     {"/stats"},
	Nothing:   nil,
}

// Config says how a server is watched.
type Config struct {
	Socket string // the control socket
	Kind   string // of the looks
	Rate   float64
	Pairs  int           // stretches without looks, each beside one with
	Length time.Duration // of a stretch
	Warmup time.Duration // before the first
}

// Stretch is one of the stretches of time.
type Stretch struct {
	Watched  bool    `json:"watched"`
	Looks    float64 `json:"looks"`
	Bytes    float64 `json:"bytes"` // of the answers
	Seconds  float64 `json:"seconds"`
	Received float64 `json:"received"` // bytes of payload that came to the server in it
}

// Run watches, and calls edge where a stretch begins and where it ends.
func Run(ctx context.Context, cfg Config, edge func(begins bool)) (all []Stretch, err error) {
	if _, ok := paths[cfg.Kind]; !ok {
		return nil, fmt.Errorf("watch: no look is called %q", cfg.Kind)
	}
	w := &watcher{Config: cfg, client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", cfg.Socket)
		},
	}}}
	if err := sleep(ctx, cfg.Warmup); err != nil {
		return nil, err
	}
	for i := range 2 * cfg.Pairs {
		// Which of the two comes first changes from pair to pair: what drifts meanwhile takes from neither.
		s := Stretch{Watched: i%2 != i/2%2}
		before, err := w.received(ctx)
		if err != nil {
			return nil, err
		}
		edge(true)
		began := time.Now()
		if err := w.stretch(ctx, &s); err != nil {
			return nil, err
		}
		s.Seconds = time.Since(began).Seconds()
		edge(false)
		after, err := w.received(ctx)
		if err != nil {
			return nil, err
		}
		s.Received = after - before
		all = append(all, s)
	}
	return all, nil
}

type watcher struct {
	Config
	client *http.Client
}

// received asks how many bytes the server was sent.
func (w *watcher) received(ctx context.Context) (float64, error) {
	var s snapshot.Snapshot
	err := control.Client{Path: w.Socket}.Get(ctx, "/stats", &s)
	return float64(s.Value("tcp_bytes_in")), err
}

// stretch looks at the server at the rate, if it is a stretch for that.
func (w *watcher) stretch(ctx context.Context, s *Stretch) error {
	if !s.Watched {
		return sleep(ctx, w.Length)
	}
	began := time.Now()
	for n := range int(w.Rate * w.Length.Seconds()) {
		if err := sleep(ctx, time.Until(began.Add(time.Duration(float64(n)/w.Rate*1e9)))); err != nil {
			return err
		}
		for _, path := range paths[w.Kind] {
			size, err := w.get(ctx, path)
			if err != nil {
				return err
			}
			s.Bytes += float64(size)
		}
		s.Looks++
	}
	return sleep(ctx, time.Until(began.Add(w.Length)))
}

func (w *watcher) get(ctx context.Context, path string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://xdpstack"+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("watch: %s: %s", path, resp.Status)
	}
	return n, err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
