package snapshot

import (
	"testing"

	"github.com/xdpstack/xdpstack/internal/metrics"
)

func TestDropsAndSince(t *testing.T) {
	earlier := Snapshot{Metrics: []metrics.Metric{
		{Name: "rx_frames", Help: "frames received", Value: 100},
		{Name: "drop_vlan", Help: "frames dropped: VLAN tag", Value: 2},
		{Name: "ip_bad_checksum", Help: "packets dropped: wrong checksum", Value: 5},
		{Name: "free", Value: 7, Gauge: true},
	}}
	now := earlier
	now.Metrics = append([]metrics.Metric(nil), earlier.Metrics...)
	now.Metrics[0].Value = 150
	now.Metrics[1].Value = 3
	now.Metrics[3].Value = 4

	if d := now.Drops(); len(d) != 2 || d[0].Name != "drop_vlan" || d[1].Name != "ip_bad_checksum" {
		t.Errorf("drops %+v", d)
	}
	earlier.Queues = []Queue{{Number: 0, Received: 5}, {Number: 1, Received: 7, Connections: 3}}
	now.Queues = []Queue{{Number: 0, Received: 6}, {Number: 1, Received: 2, Connections: 4}}
	diff := now.Since(&earlier)
	if q := diff.Queues; q[0].Received != 1 || q[1].Received != 2 || q[1].Connections != 4 || now.Queues[0].Received != 6 {
		t.Errorf("queues of the difference %+v", q)
	}
	if diff.Value("rx_frames") != 50 || diff.Value("free") != 4 || diff.Value("none") != 0 {
		t.Errorf("difference %+v", diff.Metrics)
	}
	if d := diff.Drops(); len(d) != 1 || d[0].Value != 1 {
		t.Errorf("drops of the difference %+v", d)
	}
	if now.Value("rx_frames") != 150 {
		t.Error("Since changed its receiver")
	}
	if restarted := earlier.Since(&now); restarted.Value("rx_frames") != 100 {
		t.Errorf("after a restart %+v", restarted.Metrics)
	}
}

func TestCure(t *testing.T) {
	if Cure("drop_conn_limit") == "" || Cure("socket_fill_ring_empty") == "" || Cure("queue_kick_ebusy") == "" || Cure("ip_bad_checksum") != "" {
		t.Error("a cure is missing, or invented")
	}
}
