package flood

import (
	"net"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// TestVisits has a server answer every other visitor and send the rest away: their share is seen, and their time counts in full.
func TestVisits(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if n%2 == 0 {
				_, _ = c.Read(make([]byte, 1024))
				_, _ = c.Write(app.Response)
			}
			_ = c.Close()
		}
	}()
	marks := 0
	r, err := Run(t.Context(), Config{Address: ln.Addr().String(), Rate: 200, Window: 100 * time.Millisecond}, func(bool) { marks++ })
	if err != nil || marks != 2 {
		t.Fatalf("%v, %d marks", err, marks)
	}
	if r.Tried < 10 || r.Tried > 21 || r.Succeeded < r.Tried/2-1 || r.Succeeded > r.Tried/2+1 || r.Seconds < 0.1 {
		t.Errorf("%+v", r)
	}
	if most := float64(Patience.Microseconds()); r.P99 < 0.99*most || r.P50 <= 0 {
		t.Errorf("p50 %.0f µs, p99 %.0f µs, want one of %.0f", r.P50, r.P99, most)
	}
}
