package watch

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStretchesAlternate(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
		_, _ = w.Write([]byte(`{"metrics":[{"name":"tcp_bytes_in","value":` + strings.Repeat("1", asked["/stats"]) + `}]}`))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	var edges []bool
	cfg := Config{Socket: path, Kind: Metrics, Rate: 200, Pairs: 2, Length: 20 * time.Millisecond}
	all, err := Run(t.Context(), cfg, func(begins bool) { edges = append(edges, begins) })
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 || len(edges) != 8 || !edges[0] || edges[1] {
		t.Fatalf("%+v, edges %v", all, edges)
	}
	for i, watched := range []bool{false, true, true, false} {
		s := all[i]
		if s.Watched != watched || (s.Looks > 0) != watched || (s.Bytes > 0) != watched || s.Seconds < 0.02 || s.Received <= 0 {
			t.Errorf("stretch %d: %+v", i, s)
		}
	}
	if asked["/metrics"] != 8 || asked["/stats"] != 8 {
		t.Errorf("asked %v, want 4 looks in each of two stretches, and for what was received at each edge", asked)
	}
	if _, err := Run(t.Context(), Config{Kind: "x"}, nil); err == nil {
		t.Error("a kind that there is not")
	}
}
