package report

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Exporter is the page that Prometheus reads while a generator runs. Names are stable: xdpstack_TOOL_NAME_total for a counter,
// xdpstack_TOOL_errors_total with the label kind, xdpstack_TOOL_tcp_NAME_total, xdpstack_TOOL_duration_seconds with the label of for a
// histogram, xdpstack_TOOL_cpu_seconds_total with the label mode, xdpstack_TOOL_warmup. It is safe for concurrent use.
type Exporter struct {
	tool   string
	help   map[string]string
	labels prometheus.Labels
	totals atomic.Pointer[Totals]
}

// NewExporter makes one for a tool and a worker. The help texts are by name of the counter, "tcp_" before those of TCP; a counter without
// one is explained by its name.
func NewExporter(tool string, worker string, help map[string]string) *Exporter {
	return &Exporter{tool: tool, help: help, labels: prometheus.Labels{"worker": worker}}
}

// Set takes the totals of now, which must not be changed afterwards.
func (e *Exporter) Set(t Totals) { e.totals.Store(&t) }

// Handler serves the page.
func (e *Exporter) Handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(e)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return mux
}

// Describe announces nothing: which metrics there are is the generator's to say.
func (e *Exporter) Describe(chan<- *prometheus.Desc) {}

// Collect gives the metrics of the last totals.
func (e *Exporter) Collect(out chan<- prometheus.Metric) {
	t := e.totals.Load()
	if t == nil {
		return
	}
	counter := func(name, help string, v float64, labels ...string) {
		names, values := pairs(labels)
		out <- prometheus.MustNewConstMetric(e.desc(name, help, names), prometheus.CounterValue, v, values...)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Counters)) {
		counter(name+"_total", e.helpOf(name, ""), float64(t.Counters[name]))
	}
	for _, kind := range slices.Sorted(maps.Keys(t.Errors)) {
		counter("errors_total", "failures by kind", float64(t.Errors[kind]), "kind", kind)
	}
	for _, name := range slices.Sorted(maps.Keys(t.TCP)) {
		counter("tcp_"+name+"_total", e.helpOf("tcp_"+name, "TCP: "), float64(t.TCP[name]))
	}
	const cpu = "processor time of the generator"
	counter("cpu_seconds_total", cpu, t.CPU.User.Seconds(), "mode", "user")
	counter("cpu_seconds_total", cpu, t.CPU.System.Seconds(), "mode", "system")
	warm := 0.0
	if t.Warmup {
		warm = 1
	}
	out <- prometheus.MustNewConstMetric(e.desc("warmup", "1 during the warm-up, at whose end all counters begin anew", nil),
		prometheus.GaugeValue, warm)
	e.histograms(t, out)
}

func (e *Exporter) histograms(t *Totals, out chan<- prometheus.Metric) {
	desc := e.desc("duration_seconds", "how long things took, from their intended start where there is one", []string{"of"})
	for _, name := range slices.Sorted(maps.Keys(t.Histograms)) {
		h := CopyHistogram(t.Histograms[name])
		n := uint64(h.TotalCount())
		out <- prometheus.MustNewConstHistogram(desc, n, h.sum()/1e9, h.buckets(), name)
	}
}

// bounds are the upper bounds of the buckets in ns: 10 µs to 60 s, about three to a power of ten.
var bounds = func() (b []int64) {
	for d := 10 * time.Microsecond; d <= 10*time.Second; d *= 10 {
		b = append(b, int64(d), int64(d)*5/2, int64(d)*5)
	}
	return append(b, int64(time.Minute))
}()

// buckets returns how many values are at most each bound, in seconds. A value that is within the histogram's precision of a bound may be on
// either side.
func (h *Histogram) buckets() map[float64]uint64 {
	out := make(map[float64]uint64, len(bounds))
	var n uint64
	next := 0
	for value, count := range h.ForEachBucket {
		for ; next < len(bounds) && bounds[next] < value; next++ {
			out[float64(bounds[next])/1e9] = n
		}
		n += uint64(count)
	}
	for ; next < len(bounds); next++ {
		out[float64(bounds[next])/1e9] = n
	}
	return out
}

// sum returns the sum of all values.
func (h *Histogram) sum() float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return math.Round(h.Mean() * float64(h.TotalCount()))
}

func (e *Exporter) desc(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc("xdpstack_"+e.tool+"_"+name, help, labels, e.labels)
}

func (e *Exporter) helpOf(name, before string) string {
	if h := e.help[name]; h != "" {
		return before + h
	}
	return strings.ReplaceAll(name, "_", " ")
}

// pairs takes names and values apart.
func pairs(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}
