package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// What an answer costs whoever makes it; asking the shards comes on top.
func BenchmarkAnswer(b *testing.B) {
	for _, c := range []struct {
		path   string
		queues int
		conns  int
	}{{"/metrics", 1, 0}, {"/metrics", 16, 0}, {"/live", 1, 0}, {"/live", 16, maxSeen}} {
		b.Run(fmt.Sprintf("%s-%d-queues-%d-connections", c.path[1:], c.queues, c.conns), func(b *testing.B) {
			snap := full()
			snap.Queues = make([]snapshot.Queue, c.queues)
			for i := range snap.Queues {
				snap.Queues[i].Number = i
			}
			cfg := site(snap).cfg
			cfg.Connections = func(see func(Connection) bool) error {
				for i := range c.conns {
					see(Connection{Remote: peer(i), RTT: time.Millisecond, In: uint64(i)})
				}
				return nil
			}
			s := New(cfg)
			h := s.handler(Listener{Anyone: true})
			b.ReportAllocs()
			for b.Loop() {
				s.conns.last = nil // so that connections are looked at each time
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.path, nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
