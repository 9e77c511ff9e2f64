package snapshot

import (
	"testing"
	"time"

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
	queue := func(conns int, c QueueCounters) Queue { return Queue{Connections: conns, QueueCounters: c} }
	earlier.Queues = []Queue{queue(0, QueueCounters{Turns: 5, Received: 5}), queue(3, QueueCounters{Turns: 9, Received: 7})}
	now.Queues = []Queue{queue(0, QueueCounters{Turns: 7, Received: 6}), queue(4, QueueCounters{Turns: 3, Received: 2})}
	earlier.Handshake.Observe(time.Millisecond)
	now.Handshake = earlier.Handshake
	now.Handshake.Observe(time.Second)
	diff := now.Since(&earlier)
	if q := diff.Queues; q[0].Received != 1 || q[1].Received != 2 || q[1].Connections != 4 || now.Queues[0].Received != 6 {
		t.Errorf("queues of the difference %+v", q)
	}
	if h := diff.Handshake; h.Count() != 1 || h.Sum != uint64(time.Second) {
		t.Errorf("handshakes of the difference %+v", h)
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

// A cure that names no counter is never shown.
func TestEveryCureIsOfADrop(t *testing.T) {
	for _, c := range cures {
		found := false
		for _, m := range Names() {
			found = found || IsDrop(m) && Cure(m.Name) == c.cure
		}
		if !found {
			t.Errorf("no counter of drops ends in %s", c.suffix)
		}
	}
}

func TestNamesAreThoseOfAStack(t *testing.T) {
	names := map[string]bool{}
	for _, m := range Names() {
		if m.Value != 0 || m.Help == "" || names[m.Name] {
			t.Errorf("%+v", m)
		}
		names[m.Name] = true
	}
	for _, want := range []string{"rx_frames", "tcp_listen_syns", "queue_kicks", "socket_rx_ring_full", "link_down", "steer_passed_port"} {
		if !names[want] {
			t.Errorf("%s is missing", want)
		}
	}
}
