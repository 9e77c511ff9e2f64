package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

func TestHealthAndReadiness(t *testing.T) {
	broken := errors.New("the stack is closed")
	for _, c := range []struct {
		name           string
		status         Status
		err            error
		healthy, ready int
		says           string
	}{
		{"serving", Status{Ready: true, State: Serving}, nil, 200, 200, `"ready":true`},
		{"starting", Status{State: Starting, Reason: "services start"}, nil, 200, 503, `"reason":"services start"`},
		{"draining", Status{State: Draining, Reason: "it was asked to stop"}, nil, 200, 503, `"state":"draining"`},
		{"gone", Status{State: Gone, Reason: "the interface was removed"}, nil, 503, 503, `"reason":"the interface was removed"`},
		{"broken", Status{Ready: true, State: Serving}, broken, 503, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(Config{
				Take:   func() (snapshot.Snapshot, error) { return full(), c.err },
				Status: func() Status { return c.status },
			})
			if h := getJSON[health](t, s, "/healthz", c.healthy); c.err != nil && h.Error != c.err.Error() {
				t.Errorf("health %+v", h)
			}
			getJSON[health](t, s, "/readyz", c.ready)
			if body := get(t, s, "/readyz").Body.String(); !strings.Contains(body, c.says) {
				t.Errorf("%s, want %s", body, c.says)
			}
			metrics := get(t, s, "/metrics").Body.String()
			if want := map[bool]string{true: "xdpstack_ready 1", false: "xdpstack_ready 0"}[c.status.Ready]; !strings.Contains(metrics, want) {
				t.Errorf("the metrics lack %q", want)
			}
			if c.err != nil && !strings.Contains(metrics, "go_goroutines") {
				t.Error("a stack that does not answer takes the process's metrics along")
			}
		})
	}
}

// A shard that hangs must not make every scrape leave a goroutine behind.
func TestAShardThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	s := New(Config{
		Take: func() (snapshot.Snapshot, error) {
			asked.Add(1)
			<-release
			return full(), nil
		},
		Status: func() Status { return Status{Ready: true, State: Serving} },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for range 5 {
		if _, err := s.snapshot.get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	}
	close(release)
	if snap, err := s.snapshot.get(t.Context()); err != nil || snap.Connections != 5 {
		t.Errorf("afterwards: %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	time.Sleep(freshness)
	if _, err := s.snapshot.get(t.Context()); err != nil || asked.Load() != 2 {
		t.Errorf("an old answer was used: asked %d times, %v", asked.Load(), err)
	}
}

func TestListenAddresses(t *testing.T) {
	for _, c := range []struct {
		address string
		anyone  bool
		want    string // "": an error
		err     string
	}{
		{"127.0.0.1:9290", false, "127.0.0.1:9290", ""},
		{"9290", false, "127.0.0.1:9290", ""},
		{":9290", false, "127.0.0.1:9290", ""},
		{"localhost:9290", false, "127.0.0.1:9290", ""},
		{"[::1]:9290", false, "[::1]:9290", ""},
		{"192.0.2.1:9290", false, "", "--web-anyone"},
		{"0.0.0.0:9290", false, "", "can be reached from other hosts"},
		{"0.0.0.0:9290", true, "0.0.0.0:9290", ""},
		{"host.example:9290", true, "", "want an IP address"},
		{"127.0.0.1:x", false, "", "want an IP address"},
		{"127.0.0.1", false, "", "want"},
		{"127.0.0.1:99999", false, "", "want"},
	} {
		l := Listener{Address: c.address, Anyone: c.anyone}
		at, err := l.address()
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || l.Validate() == nil {
				t.Errorf("%s: %v, %v; want %q", c.address, at, err, c.err)
			}
		} else if err != nil || at.String() != c.want {
			t.Errorf("%s: %v, %v; want %s", c.address, at, err, c.want)
		}
	}
}

func TestOverTCP(t *testing.T) {
	s := site(full())
	server, err := s.Listen(Listener{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	ask := func(method, path, host string) (int, http.Header, string) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+server.Address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, string(body)
	}
	code, head, _ := ask("GET", "/", "")
	if code != 200 || !strings.HasPrefix(head.Get("Content-Type"), "text/html") {
		t.Errorf("the dashboard: %d %s", code, head)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if !strings.Contains(head.Get(name), want) {
			t.Errorf("%s: %q, want %q", name, head.Get(name), want)
		}
	}
	if strings.Contains(head.Get("Content-Security-Policy"), "unsafe") {
		t.Errorf("policy %s", head.Get("Content-Security-Policy"))
	}
	for path, want := range map[string]int{
		"/live": 200, "/metrics": 200, "/readyz": 200, "/healthz": 200, "/dashboard.js": 200, "/dashboard.css": 200,
		"/debug/pprof/": 404, "/debug/pprof/heap": 404, "/stats": 404, "/none": 404, "/assets/index.html": 404,
		"/live?top=501": 400, "/live?top=x": 400, "/live?sort=x": 400, "/live?sort=in": 200, "/live?filter=" + strings.Repeat("x", 201): 400,
	} {
		if code, _, body := ask("GET", path, ""); code != want {
			t.Errorf("%s: status %d, want %d: %.100s", path, code, want, body)
		}
	}
	if code, _, _ := ask("POST", "/live", ""); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", code)
	}
	if code, _, body := ask("GET", "/live", "evil.example"); code != http.StatusMisdirectedRequest || strings.Contains(body, "192.0.2.10") {
		t.Errorf("by another's name: status %d, %s", code, body)
	}
	if code, _, _ := ask("GET", "/live", "localhost:9290"); code != 200 {
		t.Errorf("by localhost: status %d", code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Clients that say nothing hold a bounded number of connections, and the others get their turn when these have gone.
func TestManyClientsOverTCP(t *testing.T) {
	server, err := site(full()).Listen(Listener{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	defer func() { cancel(); <-done }()
	var silent []net.Conn
	for range maxClients {
		c, err := net.Dial("tcp", server.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	client := &http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Get("http://" + server.Address() + "/readyz"); err == nil {
		resp.Body.Close()
		t.Error("one more client than there may be is answered")
	}
	for _, c := range silent {
		c.Close()
	}
	client.Timeout = 10 * time.Second
	resp, err := client.Get("http://" + server.Address() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestProfilesWhereTheyAreAllowed(t *testing.T) {
	s := site(full())
	w := httptest.NewRecorder()
	s.handler(Listener{Address: "127.0.0.1:1", Profiles: true}).ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:1/debug/pprof/heap?debug=1", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "heap profile") {
		t.Errorf("status %d: %.100s", w.Code, w.Body)
	}
	mux := http.NewServeMux()
	s.Register(mux.Handle)
	for _, path := range []string{"/debug/pprof/", "/metrics", "/live", "/"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "http://xdpstack"+path, nil))
		if w.Code != 200 {
			t.Errorf("on the control socket %s: status %d", path, w.Code)
		}
	}
}
