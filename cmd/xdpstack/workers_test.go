package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
)

// Two workers on two networks, as two machines would be, each with half of the load: they begin at the same moment, and what they have done
// together is what one was asked for.
func TestWorkersOverVeth(t *testing.T) {
	const workers, rate = 2, 400
	start := time.Now().Add(1500 * time.Millisecond)
	var files []string
	var all sync.WaitGroup
	for worker := range workers {
		lab := netlab.ForTest(t, netlab.Config{Name: fmt.Sprintf("worker%d", worker)})
		ln, err := lab.Kernel.Listen("tcp", net.JoinHostPort(lab.Kernel.Address.Addr().String(), "8080"))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go func() { _ = server.Serve(ln) }()
		t.Cleanup(func() { server.Close() })
		file := filepath.Join(t.TempDir(), "result.json")
		files = append(files, file)
		args := append(append([]string{"load"}, linkArgs(lab)...), "--rate", fmt.Sprint(rate), "--duration", "1s", "--json", file,
			"--worker", fmt.Sprintf("%d/%d", worker, workers), "--start-at", fmt.Sprintf("%.3f", float64(start.UnixMilli())/1000),
			fmt.Sprintf("http://%s/", ln.Addr()))
		all.Go(func() {
			if code, out, errs := inside(t.Context(), lab, nil, args...); code != exitOK {
				t.Errorf("worker %d: exit code %d\n%s%s", worker, code, out, errs)
			}
		})
	}
	all.Wait()
	merged := filepath.Join(t.TempDir(), "all.json")
	args := append([]string{"report", "merge", "--complete", "-o", merged, "--expect", fmt.Sprintf("done=%d,errors=0", rate)}, files...)
	if code, out, errs := command(t.Context(), nil, args...); code != exitOK {
		t.Fatalf("merge: exit code %d\n%s%s", code, out, errs)
	}
	r, err := report.ReadFile(merged)
	if err != nil {
		t.Fatal(err)
	}
	if r.Histograms["total"].TotalCount() != rate || r.Counters["started"] != rate || len(r.Missing()) != 0 {
		t.Errorf("together: %v, %d latencies", r.Counters, r.Histograms["total"].TotalCount())
	}
	if d := r.Start.Sub(start); d < -time.Millisecond || d > 500*time.Millisecond { // on time, or as late as a busy machine may make it
		t.Errorf("they began %v after the time to start", d)
	}
}
