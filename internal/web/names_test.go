package web

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/xdpstack/xdpstack/internal/metrics"
)

var update = flag.Bool("update", false, "write testdata/names.txt anew")

// gather returns what Prometheus gets of a site, Go's and the process's own metrics apart.
func gather(t *testing.T, s *Site) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(s.collector()); err != nil {
		t.Fatal(err)
	}
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Who watches has dashboards and alerts with these names in them: one that goes away or changes breaks them in silence.
func TestNamesAreStable(t *testing.T) {
	var b strings.Builder
	for _, f := range gather(t, site(full())) {
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		fmt.Fprintln(&b, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ","))))
	}
	const file = "testdata/names.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, got := strings.Split(string(listed), "\n"), strings.Split(b.String(), "\n")
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("is listed in %s and is not there any more: %q: who watches may use it; keep the name", file, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("is not listed in %s: %q: if it is new, list it with: go test ./internal/web -run Names -update", file, line)
		}
	}
}

func TestNamesAndHelpAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return gather(t, site(full())), nil }))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	page := get(t, site(full()), "/metrics")
	own, err := promlint.New(bytes.NewReader(page.Body.Bytes())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range own {
		if strings.HasPrefix(p.Metric, "xdpstack_") {
			t.Errorf("on the page: %s: %s", p.Metric, p.Text)
		}
	}
	for _, want := range []string{"go_goroutines", "process_cpu_seconds_total", "process_start_time_seconds"} {
		if !strings.Contains(page.Body.String(), "\n"+want+" ") {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestValuesAndLabels(t *testing.T) {
	s := full()
	for i := range s.Metrics {
		switch s.Metrics[i].Name {
		case "link_down_time":
			s.Metrics[i].Value = 1500
		case "drop_vlan":
			s.Metrics[i].Value = 3
		}
	}
	page := get(t, site(s), "/metrics").Body.String()
	for _, line := range []string{
		`xdpstack_rx_frames_total 7`,
		`xdpstack_tcp_retransmits_total 7`,
		`xdpstack_tcp_listen_syns_total 7`,
		`xdpstack_shard_steps_total 7`,
		`xdpstack_afxdp_kicks_total 7`,
		`xdpstack_link_down 7`,
		`xdpstack_link_down_seconds_total 1.5`,
		`xdpstack_drops_total{reason="drop_vlan"} 3`,
		`xdpstack_drops_total{reason="tcp_drop_bad_ack"} 7`,
		`xdpstack_drops_total{reason="socket_rx_ring_full"} 7`,
		`xdpstack_steer_frames_total{action="passed",reason="address"} 7`,
		`xdpstack_connections{stage="open"} 5`,
		`xdpstack_queue_received_packets_total{queue="1"} 11`,
		`xdpstack_queue_cpu_seconds_total{queue="1"} 1.5`,
		`xdpstack_queue_info{checksums="device",mode="zero-copy",queue="1"} 1`,
		`xdpstack_build_info{goversion="go1.26",revision="abc",version="v1.2.3"} 1`,
		`xdpstack_ready 1`,
		`xdpstack_handshake_rtt_seconds_bucket{le="0.000512"} 0`,
		`xdpstack_handshake_rtt_seconds_bucket{le="0.001024"} 1`,
		`xdpstack_handshake_rtt_seconds_bucket{le="8.388608"} 2`,
		`xdpstack_handshake_rtt_seconds_bucket{le="+Inf"} 3`,
		`xdpstack_handshake_rtt_seconds_sum 61.001`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(page, "xdpstack_drop_vlan") {
		t.Error("a drop has a metric of its own")
	}
}

// No two counters may end in one series, and each drop's reason is a name that xdpstack stats shows.
func TestEveryCounterHasItsOwnSeries(t *testing.T) {
	seen := map[string]string{}
	for _, m := range full().Metrics {
		s := seriesOf(m)
		key := s.name + "{" + s.value + "," + s.value2 + "}"
		if seen[key] != "" {
			t.Errorf("%s and %s are both %s", m.Name, seen[key], key)
		}
		seen[key] = m.Name
	}
	if s := seriesOf(metrics.Metric{Name: "shield_new_thing", Help: "what another part counts"}); s.name != "xdpstack_shield_new_thing_total" {
		t.Errorf("a part that is not known yet: %+v", s)
	}
}
