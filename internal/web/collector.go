package web

import (
	"cmp"
	"context"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// collector gives Prometheus what a snapshot has. It is safe for concurrent use.
type collector struct {
	site *Site

	mu    sync.Mutex
	known map[metricKey]*described
}

// metricKey is the snapshot's name of a metric, and the number of the queue that it is of, if it is of one.
type metricKey struct{ queue, name string }

// described is a metric with what it is called.
type described struct {
	desc   *prometheus.Desc
	gauge  bool
	labels []*dto.LabelPair
	scale  float64
}

// sampled is one number of a metric: what prometheus.NewConstMetric makes, without making the labels anew for each scrape.
type sampled struct {
	*described
	value float64
}

// Desc says what it is called.
func (s *sampled) Desc() *prometheus.Desc { return s.desc }

// Write gives it.
func (s *sampled) Write(m *dto.Metric) error {
	m.Label = s.labels
	if s.gauge {
		m.Gauge = &dto.Gauge{Value: &s.value}
	} else {
		m.Counter = &dto.Counter{Value: &s.value}
	}
	return nil
}

// What a snapshot has besides its metrics.
var (
	connectionsDesc = desc("connections", "connections in the stack's tables, by stage: open, half_open, time_wait", "stage")
	handshakeDesc   = desc("handshake_rtt_seconds", "round-trip times of handshakes, where they could be measured")
	buildDesc       = desc("build_info", "which xdpstack it is; always 1", "version", "revision", "goversion")
	infoDesc        = desc("stack_info", "what the stack runs on; always 1", "interface", "address", "device")
	shardsDesc      = desc("shards", "shards, one for each queue that the stack serves")
	readyDesc       = desc("ready", "1 if the process is ready to serve, else 0")
	queueInfoDesc   = desc("queue_info", "how frames pass between a queue and the stack; always 1", "queue", "mode", "checksums")
	queueConnsDesc  = desc("queue_connections", "connections of the queue's shard", "queue")
	shieldDesc      = desc("shield_info", "when the XDP program answers SYNs itself: off, auto, always; always 1", "mode")
	pressedDesc     = desc("queue_shield_pressed",
		"1 if the queue is under pressure, so that the shield answers its SYNs in mode auto, else 0", "queue")
	pressureDesc    = desc("queue_shield_pressure", "SYNs of the queue that led to nothing, lately; 512 are pressure", "queue")
	rulesDesc       = desc("filter_rules", "1 if the filter has rules, else 0")
	rateDesc        = desc("filter_rate", "packets a second that each source may send, by kind: syn, packet; 0: no limit", "kind")
	queueFramesDesc = desc("queue_frames", "where the frames of a queue's packet memory are: free, fill, tx, held", "queue", "where")
)

// queueUnits are the counters of queues whose name there needs a unit.
var queueUnits = map[string]unit{
	"received": {name: "received_packets", scale: 1},
	"sent":     {name: "sent_packets", scale: 1},
	"lost":     {name: "lost_packets", scale: 1},
	"cpu_time": {
		name: "cpu_seconds", scale: 1e-9, help: "processor time of the shard's thread, 0 unless the shard has a CPU of its own",
	},
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("xdpstack_"+name, help, labels, nil)
}

func (s *Site) collector() *collector { return &collector{site: s} }

// Describe announces nothing: what there is depends on the stack's device.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect takes a snapshot.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(readyDesc, number(c.site.cfg.Status().Ready))
	b := &c.site.cfg.Build
	gauge(buildDesc, 1, b.Version, b.Revision, b.Go)
	s, err := c.site.snapshot.get(context.Background())
	if err != nil {
		out <- prometheus.NewInvalidMetric(infoDesc, err)
		return
	}
	gauge(infoDesc, 1, s.Interface, s.Address, s.Device)
	gauge(shardsDesc, float64(s.Shards))
	gauge(connectionsDesc, float64(s.Connections), "open")
	gauge(connectionsDesc, float64(s.HalfOpen), "half_open")
	gauge(connectionsDesc, float64(s.TimeWait), "time_wait")
	out <- histogram(handshakeDesc, &s.Handshake)
	for _, m := range s.Metrics {
		c.emit(out, m, "", nil)
	}
	if s.Shield != "" {
		gauge(shieldDesc, 1, s.Shield)
	}
	if f := s.Filter; f != nil {
		gauge(rulesDesc, number(f.Rules))
		gauge(rateDesc, float64(f.SYNs.PerSecond), "syn")
		gauge(rateDesc, float64(f.Packets.PerSecond), "packet")
	}
	for i := range s.Queues {
		if s.Shield != "" {
			gauge(pressedDesc, number(s.Queues[i].Pressed), strconv.Itoa(s.Queues[i].Number))
			gauge(pressureDesc, float64(s.Queues[i].Pressure), strconv.Itoa(s.Queues[i].Number))
		}
		c.queue(out, gauge, &s.Queues[i])
	}
}

// number is what a yes or no is as a metric.
func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (c *collector) queue(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string), q *snapshot.Queue) {
	number := strconv.Itoa(q.Number)
	gauge(queueInfoDesc, 1, number, q.Mode, q.Checksums)
	gauge(queueConnsDesc, float64(q.Connections), number)
	gauge(queueFramesDesc, float64(q.Frames.Free), number, "free")
	gauge(queueFramesDesc, float64(q.Frames.Fill), number, "fill")
	gauge(queueFramesDesc, float64(q.Frames.Tx), number, "tx")
	gauge(queueFramesDesc, float64(q.Frames.Held), number, "held")
	metrics.Walk("", q.QueueCounters, func(m metrics.Metric) { c.emit(out, m, number, queueSeries) })
}

// queueSeries says what a counter of a queue is called.
func queueSeries(m metrics.Metric) series {
	s := series{name: m.Name, help: m.Help, scale: 1, label: "queue"}
	if u, ok := queueUnits[m.Name]; ok {
		s.name, s.scale, s.help = u.name, u.scale, cmp.Or(u.help, s.help)
	}
	s.name = "xdpstack_queue_" + s.name + "_total"
	return s
}

// emit gives a metric; of a queue, if it has a number.
func (c *collector) emit(out chan<- prometheus.Metric, m metrics.Metric, queue string, name func(metrics.Metric) series) {
	d := c.describe(m, queue, name)
	out <- &sampled{d, float64(m.Value) * d.scale}
}

// describe remembers what metrics are called: a scrape has hundreds of them.
func (c *collector) describe(m metrics.Metric, queue string, name func(metrics.Metric) series) *described {
	key := metricKey{queue, m.Name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.known[key]; ok {
		return d
	}
	if name == nil {
		name = seriesOf
	}
	s := name(m)
	d := &described{gauge: m.Gauge, scale: s.scale}
	var labels, values []string
	for _, l := range [][2]string{{s.label, s.value}, {s.label2, s.value2}} {
		if l[0] == "queue" {
			l[1] = queue
		}
		if l[0] != "" {
			labels, values = append(labels, l[0]), append(values, l[1])
		}
	}
	d.desc = prometheus.NewDesc(s.name, s.help, labels, nil)
	d.labels = prometheus.MakeLabelPairs(d.desc, values)
	if c.known == nil {
		c.known = make(map[metricKey]*described)
	}
	c.known[key] = d
	return d
}

// histogram gives durations in seconds, with cumulative buckets.
func histogram(d *prometheus.Desc, h *metrics.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Buckets))
	var n uint64
	for i, count := range h.Buckets {
		n += count
		if b := h.Bound(i); b > 0 {
			buckets[b.Seconds()] = n
		}
	}
	return prometheus.MustNewConstHistogram(d, n, float64(h.Sum)/1e9, buckets)
}
