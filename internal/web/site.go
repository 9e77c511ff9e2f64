package web

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// Config says what a site shows. Take and Status are necessary.
type Config struct {
	Take   func() (snapshot.Snapshot, error) // asks the stack
	Status func() Status                     // asks the process
	// Connections shows connections to see until that returns false; default: none. It is called on a goroutine of its own.
	Connections func(see func(Connection) bool) error
	Build       Build
	Started     time.Time     // of the process; default: when the site was made
	Fresh       time.Duration // for how long an answer serves everybody who asks; default 200 ms
}

// Status is what a process is about.
type Status struct {
	Ready  bool   `json:"ready"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"` // why it is not ready
}

// State is a part of a process's life.
type State string

// The states.
const (
	Starting State = "starting" // not everything is accepted yet
	Serving  State = "serving"
	Draining State = "draining" // nothing new is accepted; what there is goes on for a while
	Gone     State = "gone"     // the interface is gone, or the stack is closed
)

// Site answers those who watch.
type Site struct {
	cfg      Config
	snapshot sampler[*snapshot.Snapshot]
	conns    sampler[*listing]
	rates    rates
	metrics  http.Handler
}

// New makes a site.
func New(cfg Config) *Site {
	if cfg.Started.IsZero() {
		cfg.Started = time.Now()
	}
	s := &Site{cfg: cfg}
	s.snapshot.fresh = cmp.Or(cfg.Fresh, freshness)
	s.conns.fresh = s.snapshot.fresh
	s.snapshot.take = func() (*snapshot.Snapshot, error) {
		snap, err := cfg.Take()
		return &snap, err
	}
	s.conns.take = s.list
	r := prometheus.NewRegistry()
	r.MustRegister(s.collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.metrics = promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	return s
}

// endpoints are what is answered on both the control socket and TCP. All of it only reads.
func (s *Site) endpoints() map[string]http.Handler {
	m := map[string]http.Handler{
		"GET /metrics": s.metrics,
		"GET /healthz": http.HandlerFunc(s.healthz),
		"GET /readyz":  http.HandlerFunc(s.readyz),
		"GET /live":    http.HandlerFunc(s.live),
	}
	for name := range pages {
		m["GET "+name] = http.HandlerFunc(page)
	}
	return m
}

// profiles are Go's. They show no data of connections, but what the program does, and taking one costs processor time.
var profiles = map[string]http.Handler{
	"GET /debug/pprof/":        http.HandlerFunc(pprof.Index),
	"GET /debug/pprof/cmdline": http.HandlerFunc(pprof.Cmdline),
	"GET /debug/pprof/profile": http.HandlerFunc(pprof.Profile),
	"GET /debug/pprof/symbol":  http.HandlerFunc(pprof.Symbol),
	"GET /debug/pprof/trace":   http.HandlerFunc(pprof.Trace),
}

// Register gives all that the site has to who answers on the control socket.
func (s *Site) Register(handle func(pattern string, h http.Handler)) {
	for pattern, h := range s.endpoints() {
		handle(pattern, guard(h))
	}
	for pattern, h := range profiles {
		handle(pattern, h)
	}
}

// health is the answer about a process's health.
type health struct {
	Status
	Error string `json:"error,omitempty"`
}

// healthz says whether the process works: its shards take turns. One that drains is healthy.
func (s *Site) healthz(w http.ResponseWriter, r *http.Request) {
	h := health{Status: s.cfg.Status()}
	code := http.StatusOK
	if _, err := s.snapshot.get(r.Context()); err != nil || h.State == Gone {
		code = http.StatusServiceUnavailable
		if err != nil {
			h.Error = err.Error()
		}
	}
	writeJSON(w, code, h)
}

// readyz says whether the process is to be given work.
func (s *Site) readyz(w http.ResponseWriter, _ *http.Request) {
	h := health{Status: s.cfg.Status()}
	code := http.StatusOK
	if !h.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, h)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // whoever has gone needs no answer
}
