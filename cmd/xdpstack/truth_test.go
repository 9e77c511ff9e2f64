package main

import (
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
	"github.com/xdpstack/xdpstack/internal/service"
)

// known is a server of the kernel's whose service times are known, and that notes itself how long it took for each request.
type known struct {
	http.Handler
	mu   sync.Mutex
	took *hdrhistogram.Histogram
}

func (k *known) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	k.Handler.ServeHTTP(w, r)
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.took.RecordValue(int64(time.Since(began)))
}

// serveKnown starts one with net/http on the kernel's side.
func serveKnown(t *testing.T, lab *netlab.Lab, delay string) (k *known, url string) {
	t.Helper()
	d, err := service.ParseDelay(delay)
	if err != nil {
		t.Fatal(err)
	}
	h, err := service.NewHTTP(service.HTTPConfig{Made: true, Size: 100, Delay: d, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	k = &known{Handler: h.Handler(), took: hdrhistogram.New(1, int64(time.Hour), 3)}
	ln, err := lab.Kernel.Listen("tcp", net.JoinHostPort(lab.Kernel.Address.Addr().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: k}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	return k, "http://" + ln.Addr().String() + "/"
}

// loaded runs load and returns its result.
func loaded(t *testing.T, lab *netlab.Lab, url string, args ...string) *report.Result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	args = append(append(append([]string{"load"}, linkArgs(lab)...), args...), "--json", file, url)
	code, out, errs := inside(t.Context(), lab, nil, args...)
	if code != exitOK {
		t.Fatalf("load: exit code %d\n%s%s", code, out, errs)
	}
	r, err := report.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() > 0 {
		t.Fatalf("failures: %v", r.Errors)
	}
	return r
}

// Over a real path, to a server of the kernel's: no percentile is below what the server knows that it took, nor are the common ones far
// above it. In virtual time package load tests the same without allowances; here they are what a busy machine may add, and the service times
// are longer than that.
func TestTruthOverVeth(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "truth"})
	at := func(r *report.Result, p float64) time.Duration {
		return time.Duration(r.Histograms["total"].ValueAtPercentile(p))
	}
	t.Run("bimodal", func(t *testing.T) {
		server, url := serveKnown(t, lab, "80%:20ms,20%:200ms")
		r := loaded(t, lab, url, "--rate", "500", "--connections", "256", "--duration", "1s", "--arrivals", "poisson")
		server.mu.Lock()
		defer server.mu.Unlock()
		if n := server.took.TotalCount(); uint64(n) != r.Counters["done"] || n < 400 {
			t.Fatalf("%d requests were served, %d are reported", n, r.Counters["done"])
		}
		late := time.Duration(r.Histograms["schedule_error"].Max()) // of the generator itself, and a part of what it reports
		for _, p := range []float64{10, 50, 70, 90, 95, 99, 100} {
			truth := time.Duration(server.took.ValueAtPercentile(p))
			got := at(r, p)
			if got < truth*998/1000 {
				t.Errorf("p%v is reported as %v, less than the server took: %v", p, got, truth)
			}
			// The rarest may have waited for a processor, on either side, for as long as the machine had none for them.
			if p <= 70 && got > truth+late+100*time.Millisecond {
				t.Errorf("p%v is reported as %v, and the server took %v", p, got, truth)
			}
		}
		if p50, p95 := at(r, 50), at(r, 95); p50 < 20*time.Millisecond || p50 > 180*time.Millisecond || p95 < 200*time.Millisecond {
			t.Errorf("p50 %v, p95 %v of a server that takes 20 and 200 ms", p50, p95)
		}
	})
	t.Run("stall", func(t *testing.T) {
		const stall = "1ms,stall:600ms@300ms" // of 1.2 s: half of all who come by themselves meet it
		_, url := serveKnown(t, lab, stall)
		open := loaded(t, lab, url, "--rate", "500", "--connections", "512", "--duration", "1200ms")
		_, url = serveKnown(t, lab, stall)
		closed := loaded(t, lab, url, "--connections", "2", "--think", "1ms", "--duration", "1200ms")
		if p75, p99 := at(open, 75), at(open, 99); p75 < 250*time.Millisecond || p99 < 500*time.Millisecond {
			t.Errorf("the open loop does not see the stall: p75 %v, p99 %v", p75, p99)
		}
		if p90 := at(closed, 90); p90 > 200*time.Millisecond || at(closed, 100) < 500*time.Millisecond {
			t.Errorf("the closed loop's p90 is %v, its max %v: this server does not show what the test is about", p90, at(closed, 100))
		}
		t.Logf("p75 of the open loop %v, p90 of the closed loop %v", at(open, 75), at(closed, 90))
	})
}
