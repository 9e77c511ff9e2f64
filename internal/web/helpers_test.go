package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// full is a snapshot that has everything that there can be, with value 7 for each counter.
func full() snapshot.Snapshot {
	s := snapshot.Snapshot{
		Time: time.Unix(1, 0), Address: "192.0.2.10/24", Interface: "eth0", Device: "eth0, zero-copy", Shards: 2,
		Connections: 5, HalfOpen: 2, TimeWait: 3, Metrics: snapshot.Names(),
		Queues: []snapshot.Queue{{Number: 0, Mode: snapshot.Copy, Checksums: "stack"}, {Number: 1, Mode: snapshot.ZeroCopy, Checksums: "device"}},
	}
	metrics.Walk("proxy", proxy.Stats{}, func(m metrics.Metric) { s.Metrics = append(s.Metrics, m) })
	for i := range s.Metrics {
		s.Metrics[i].Value = 7
	}
	s.Shield, s.Filter = "auto", &snapshot.Filter{Rules: true, SYNs: snapshot.Rate{PerSecond: 100, Burst: 10}}
	s.Queues[1].Pressed, s.Queues[1].Pressure = true, 600
	s.Queues[1].CPUTime, s.Queues[1].Received = 1.5e9, 11
	for _, d := range []time.Duration{time.Millisecond, time.Second, time.Minute} {
		s.Handshake.Observe(d)
	}
	return s
}

// site makes one of a snapshot that does not change, for a process that serves.
func site(s snapshot.Snapshot) *Site {
	return New(Config{
		Take:   func() (snapshot.Snapshot, error) { return s, nil },
		Status: func() Status { return Status{Ready: true, State: Serving} },
		Build:  Build{Version: "v1.2.3", Revision: "abc", Go: "go1.26"},
	})
}

// get asks what clients of TCP are given.
func get(t *testing.T, s *Site, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9290"+path, nil)
	s.handler(Listener{Address: "127.0.0.1:9290"}).ServeHTTP(w, r)
	return w
}

func getJSON[T any](t *testing.T, s *Site, path string, code int) (v T) {
	t.Helper()
	w := get(t, s, path)
	if w.Code != code || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s: status %d, want %d: %s", path, w.Code, code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s: %v in %s", path, err, w.Body)
	}
	return v
}
