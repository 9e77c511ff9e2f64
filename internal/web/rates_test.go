package web

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

func TestRates(t *testing.T) {
	before := Live{
		Time: time.Unix(100, 0), PID: 1, Started: time.Unix(1, 0), CPU: 3,
		Values: map[string]uint64{"rx_frames": 100, "rx_batches": 10, "rx_bytes": 0, "tcp_segments_out": 50},
		Drops:  []Drop{{Name: "old", Value: 50}, {Name: "busy", Value: 10}},
		Queues: []snapshot.Queue{{CPU: -1, QueueCounters: snapshot.QueueCounters{Received: 10, Sleeps: 5}}, {CPU: 1}},
	}
	now := Live{
		Time: time.Unix(102, 0), PID: 1, Started: time.Unix(1, 0), CPU: 4,
		Values: map[string]uint64{"rx_frames": 300, "rx_batches": 60, "rx_bytes": 1000, "tcp_segments_out": 250, "tcp_retransmits": 10},
		Drops:  []Drop{{Name: "old", Value: 50}, {Name: "busy", Value: 30}, {Name: "new", Value: 2}},
		Queues: []snapshot.Queue{
			{CPU: -1, Connections: 3, QueueCounters: snapshot.QueueCounters{Received: 30, Batches: 4, Sleeps: 1}},
			{CPU: 1, QueueCounters: snapshot.QueueCounters{CPUTime: 1e9}},
		},
	}
	r, ok := RatesOf(&before, &now)
	if !ok || r.Seconds != 2 || r.Packets.In != 100 || r.Batch != 4 || r.Bits.In != 4000 || r.CPU != 0.5 || r.Resent != 5 || r.ResentPart != 0.05 {
		t.Errorf("%v %+v", ok, r)
	}
	if d := r.Drops; len(d) != 3 || d[0].Name != "busy" || d[0].Rate != 10 || d[1].Name != "new" || d[1].Rate != 1 || d[2].Rate != 0 {
		t.Errorf("drops %+v", d)
	}
	if q := r.Queues; len(q) != 2 || q[0].Packets.In != 10 || q[0].Batch != 5 || q[0].CPU != nil || q[0].Connections != 3 || q[0].Sleeps != 0 ||
		q[1].CPU == nil || *q[1].CPU != 0.5 {
		t.Errorf("queues %+v", q)
	}
	other := now
	other.Started = time.Unix(2, 0)
	if _, ok := RatesOf(&before, &other); ok {
		t.Error("rates between two processes")
	}
	if _, ok := RatesOf(&now, &now); ok {
		t.Error("rates of one moment")
	}
}
