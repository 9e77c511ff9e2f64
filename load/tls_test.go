package load

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// tlsServer serves HTTPS with net/http on the server's stack. Its certificate is good for example.com, signed by the pool.
func tlsServer(t *testing.T, ln net.Listener) *x509.CertPool {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
	s.Listener.Close()
	s.Listener = ln
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func TestTLS(t *testing.T) {
	client, server := newPair(t, 2)
	ln, err := server.Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	pool := tlsServer(t, ln)
	to := func(path string) []Target {
		return []Target{{Addr: netip443, Host: "example.com", Path: path}}
	}
	for _, tt := range []struct {
		name   string
		cfg    Config
		done   uint64
		failed map[string]uint64
	}{
		{"open", Config{Targets: to("/"), TLS: &tls.Config{RootCAs: pool}, Phases: constant(200, 500*time.Millisecond), Connections: 8}, 100, nil},
		{"closed", Config{Targets: to("/"), TLS: &tls.Config{RootCAs: pool}, Count: 101, Connections: 4}, 101, nil},
		{"connections", Config{Targets: to("/"), TLS: &tls.Config{RootCAs: pool}, Mode: Connections, Count: 20, Connections: 4}, 20, nil},
		{"not trusted", Config{Targets: to("/"), TLS: &tls.Config{RootCAs: x509.NewCertPool()}, Mode: Connections, Count: 5, Connections: 2}, 0,
			map[string]uint64{"tls": 5}},
		{"not checked", Config{Targets: to("/"), TLS: &tls.Config{InsecureSkipVerify: true}, Count: 10, Connections: 2}, 10, nil},
		{"not found", Config{Targets: to("/none"), TLS: &tls.Config{RootCAs: pool}, Count: 10, Connections: 2}, 0,
			map[string]uint64{"status_4xx": 10}},
		{"refused", Config{Targets: targets(444), TLS: &tls.Config{RootCAs: pool}, Mode: Connections, Count: 4, Connections: 2}, 0,
			map[string]uint64{"refused": 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.ConnectTimeout = time.Minute // handshakes take long under the race detector
			s := wait(t, client, tt.cfg)
			if s.Done != tt.done || s.Total.TotalCount() != int64(s.Done) || s.InFlight != 0 {
				t.Errorf("%d started, %d done, want %d, %v", s.Started, s.Done, tt.done, s.ErrorsByName())
			}
			got := s.ErrorsByName()
			for name, n := range tt.failed {
				if got[name] != n {
					t.Errorf("%v, want %v", got, tt.failed)
				}
			}
			if len(got) != len(tt.failed) {
				t.Errorf("%v, want %v", got, tt.failed)
			}
		})
	}
}

var netip443 = server(443)
