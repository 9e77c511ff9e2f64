package report

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestExporter(t *testing.T) {
	e := NewExporter("load", "0", map[string]string{"done": "requests that were answered", "tcp_retransmits": "segments sent again"})
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	page := func() string {
		resp, err := server.Client().Get(server.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s %v", resp.Status, err)
		}
		return string(b)
	}
	if got := page(); strings.Contains(got, "xdpstack") {
		t.Errorf("before there are totals:\n%s", got)
	}
	g := newGenerator()
	g.do(t, 90, time.Millisecond)
	g.do(t, 10, 3*time.Second)
	g.totals.Errors["timeout"], g.totals.Errors["refused"] = 3, 1
	g.totals.TCP["retransmits"] = 7
	g.totals.CPU = CPU{User: 1500 * time.Millisecond, System: time.Second}
	g.totals.Warmup = true
	e.Set(g.now())
	got := page()
	for _, want := range []string{
		"# HELP xdpstack_load_done_total requests that were answered\n# TYPE xdpstack_load_done_total counter\n",
		`xdpstack_load_done_total{worker="0"} 100` + "\n",
		`xdpstack_load_errors_total{kind="timeout",worker="0"} 3` + "\n",
		`xdpstack_load_errors_total{kind="refused",worker="0"} 1` + "\n",
		"# HELP xdpstack_load_tcp_retransmits_total TCP: segments sent again\n",
		`xdpstack_load_tcp_retransmits_total{worker="0"} 7` + "\n",
		`xdpstack_load_cpu_seconds_total{mode="user",worker="0"} 1.5` + "\n",
		`xdpstack_load_warmup{worker="0"} 1` + "\n",
		"# TYPE xdpstack_load_duration_seconds histogram\n",
		`xdpstack_load_duration_seconds_bucket{of="total",worker="0",le="0.0005"} 0` + "\n",
		`xdpstack_load_duration_seconds_bucket{of="total",worker="0",le="0.0025"} 90` + "\n",
		`xdpstack_load_duration_seconds_bucket{of="total",worker="0",le="2.5"} 90` + "\n",
		`xdpstack_load_duration_seconds_bucket{of="total",worker="0",le="5"} 100` + "\n",
		`xdpstack_load_duration_seconds_count{of="total",worker="0"} 100` + "\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}
