package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/limit"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
)

// answers is what a server would have of requests at a rate: one in a hundred is slow, or all are when it is too much.
func answers(rate, capacity float64, d time.Duration) *report.Result {
	h := report.NewHistogram()
	latency := 2 * time.Millisecond
	done := rate * d.Seconds()
	if rate > capacity {
		latency = 80 * time.Millisecond
	}
	_ = h.RecordValues(int64(latency), int64(done)) // within its range
	return &report.Result{Main: "total", RateOf: "done", Duration: d, Counters: map[string]uint64{"done": uint64(done)},
		Histograms: map[string]*report.Histogram{"total": h}}
}

func TestFindRate(t *testing.T) {
	for _, tt := range []struct {
		name, conditions string
		run              func(rate float64, d time.Duration) *report.Result
		lower, upper     float64 // between which the result is
		says             string
	}{
		{"a bound on latency", "p99<10ms", func(rate float64, d time.Duration) *report.Result { return answers(rate, 7300, d) }, 6900, 7300, ""},
		{"a bound on errors", "errors<1%", func(rate float64, d time.Duration) *report.Result {
			r := answers(rate, 1e9, d)
			if rate > 3000 {
				r.Errors = map[string]uint64{"refused": r.Counters["done"] / 20}
			}
			return r
		}, 2850, 3000, "errors<1%: 4.7"},
		{"less is done than comes", "p99<10s", func(rate float64, d time.Duration) *report.Result {
			r := answers(rate, 1e9, d)
			r.Counters["done"] = min(r.Counters["done"], uint64(5000*d.Seconds()))
			return r
		}, 4900, 5300, "/s ended"},
		{"at all rates", "p99<10ms", func(rate float64, d time.Duration) *report.Result { return answers(rate, 1e9, d) }, 20_000, 20_000, ""},
		{"at none", "p99<1ms", func(rate float64, d time.Duration) *report.Result { return answers(rate, 1e9, d) }, 0, 0, "p99<1ms: 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := loadFind{conditions: tt.conditions, rates: "100..20k", votes: 3}
			if err := f.parse(); err != nil {
				t.Fatal(err)
			}
			told, why := 0, ""
			got, err := f.search(time.Second, func(one findTrial, _ time.Duration) { told++; why += one.Why + "\n" },
				func(rate float64, d time.Duration) (*report.Result, error) { return tt.run(rate, d), nil })
			if err != nil || got.Lower < tt.lower || got.Lower > tt.upper || told != len(got.Trials) || told > 40 {
				t.Errorf("%+v after %d trials, %v; want a rate from %v to %v", got, told, err, tt.lower, tt.upper)
			}
			if !strings.Contains(why, tt.says) {
				t.Errorf("reasons %q, want %q", why, tt.says)
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"--find p99", "--find"},
		{"--find p99<5ms --rate 5", "--find tries rates of its own"},
		{"--find p99<5ms --kind hold --interval 1s", "requests or connections"},
		{"--find p99<5ms --expect p50<1ms", "--json only"},
		{"--find p99<5ms --find-rates 5", "100..50k"},
		{"--find p99<5ms --find-rates 50..5", "a higher one"},
		{"--find p99<5ms --find-votes 0", "--find-votes 0"},
		{"--find p99<5ms --warm-up 20s", "warm-up of 20s"},
		{"--find p99<5ms --fail-fast", "--fail-fast"},
	} {
		args := append([]string{"load", "-i", "eth0", "-a", "192.0.2.1/24"}, append(strings.Fields(tt.args), "http://192.0.2.2/")...)
		code, _, errs := command(t.Context(), nil, args...)
		if code != exitUsage || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: exit code %d, %q, want %q", tt.args, code, errs, tt.says)
		}
	}
}

// TestLoadFind: a server that refuses what comes faster than a thousand a second, after 150 that it has room for.
func TestLoadFind(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "loadfind"})
	ln, err := lab.Kernel.Listen("tcp", lab.Kernel.Address.Addr().String()+":80")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	bucket := limit.New(1000, 150, 0)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !bucket.Take(clock.Now()) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go server.Serve(ln)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "found.json")
	args := append([]string{"load"}, linkArgs(lab)...)
	args = append(args, "--find", "status_5xx==0", "--find-rates", "50..6400", "--find-votes", "1", "--find-width", "30%", "--duration", "300ms",
		"--json", file, "http://"+ln.Addr().String()+"/")
	code, out, errs := inside(t.Context(), lab, nil, args...)
	b, _ := os.ReadFile(file)
	var f found
	if err := json.Unmarshal(b, &f); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	// 300 ms of 1500 a second are what the server bears. On a busy machine requests come in heaps, and it bears fewer, or take their time,
	// and it bears more.
	if f.Lower < 50 || f.Lower > 3200 || f.Upper <= f.Lower || !f.Regular || !strings.Contains(out, "holds at") {
		t.Errorf("%+v\n%s", f, out)
	}
}
