package web

import (
	"cmp"
	"reflect"
	"strings"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/stack"
)

// series is what Prometheus gets of one of the snapshot's metrics.
type series struct {
	name           string // of the metric there
	help           string
	label, value   string // one label; "": none
	label2, value2 string
	scale          float64
}

// The metrics that several of the snapshot's are put into, told apart by a label.
const (
	dropsName = "xdpstack_drops_total"
	dropsHelp = "packets and frames that went nowhere, by reason, which is the name that xdpstack stats explains"
	steerName = "xdpstack_steer_frames_total"
	steerHelp = "frames that the XDP program saw, by what became of them and why"
)

// areas are the first words of the snapshot's names that mean more in other words.
var areas = map[string]string{
	"queue": "afxdp", "socket": "afxdp_socket", "report": "icmp_errors", "reasm": "reassembly",
}

// unit says how a counter's name is given with its base unit.
type unit struct {
	name  string
	scale float64
	help  string // "": the counter's own
}

// units are the counters that are in no base unit.
var units = map[string]unit{
	"link_down_time": {name: "link_down_seconds", scale: 1e-3, help: "time for which the link was lost, those losses that are over"},

	"proxy_to_target": {name: "proxy_to_target_bytes", scale: 1},
	"proxy_to_client": {name: "proxy_to_client_bytes", scale: 1},
}

// ofShard are the names of the counters that a shard has by itself: they have no area.
var ofShard = func() map[string]bool {
	names := make(map[string]bool)
	t := reflect.TypeFor[stack.ShardStats]()
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Kind() == reflect.Uint64 {
			names[metrics.SnakeCase(f.Name)] = true
		}
	}
	return names
}()

// seriesOf says what a metric is called. A name depends on nothing but the metric's own, so that it stays the same when others are added.
func seriesOf(m metrics.Metric) series {
	s := series{help: m.Help, scale: 1}
	area, rest, _ := strings.Cut(m.Name, "_")
	switch {
	case ofShard[m.Name]:
		area, rest = "shard", m.Name
	case area == "steer":
		action, why, _ := strings.Cut(rest, "_")
		return series{
			name: steerName, help: steerHelp, label: "action", value: action, label2: "reason", value2: why, scale: 1,
		}
	case snapshot.IsDrop(m) && !m.Gauge:
		return series{name: dropsName, help: dropsHelp, label: "reason", value: m.Name, scale: 1}
	}
	if to, ok := areas[area]; ok {
		area = to
	}
	name := area + "_" + rest
	if u, ok := units[m.Name]; ok {
		name, s.scale, s.help = u.name, u.scale, cmp.Or(u.help, s.help)
	}
	s.name = "xdpstack_" + name
	if !m.Gauge {
		s.name += "_total"
	}
	return s
}
