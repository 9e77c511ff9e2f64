package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// Live is a look at a process, for whoever looks again and again: rates are what counters have grown by between two looks.
type Live struct {
	Time    time.Time `json:"time"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // another time: another process, whose counters began at 0
	Build   Build     `json:"build"`
	Status  Status    `json:"status"`

	Interface string `json:"interface,omitempty"`
	Address   string `json:"address"`
	Device    string `json:"device"`

	Open     int `json:"open"` // connections
	HalfOpen int `json:"half_open"`
	TimeWait int `json:"time_wait"`

	CPU    float64           `json:"cpu"`              // seconds of processor time of the process
	Queues []snapshot.Queue  `json:"queues"`           // none for a device in memory
	Shield string            `json:"shield,omitempty"` // as snapshot.Snapshot has both
	Filter *snapshot.Filter  `json:"filter,omitempty"`
	Values map[string]uint64 `json:"values"` // the counters that are shown, by the names of xdpstack stats; see shown
	App    []metrics.Metric  `json:"app"`    // the counters of what is served, if it has its own
	Drops  []Drop            `json:"drops"`  // those that are not zero

	Handshake metrics.Histogram `json:"handshake"`
	RTT       *Percentiles      `json:"rtt,omitempty"` // smoothed round-trip times of the connections that were looked at

	Top  []Connection `json:"top,omitempty"` // connections by rate
	Seen int          `json:"seen"`          // of how many
	More bool         `json:"more"`          // and there are others, which were not looked at
}

// Drop is a counter of what went nowhere.
type Drop struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
	Help  string `json:"help"`
	Cure  string `json:"cure,omitempty"` // what to do about it
}

// shown are the counters of Values. Of those that end in an underscore all are that begin so.
var shown = []string{
	"rx_frames", "rx_bytes", "rx_batches", "tx_frames", "tx_bytes", "opened", "closed", "steps", "sleeps",
	"tcp_bytes_in", "tcp_bytes_out", "tcp_segments_in", "tcp_segments_out", "tcp_retransmits", "tcp_timeouts", "tcp_active_opens",
	"tcp_passive_opens", "tcp_established", "tcp_failed", "tcp_resets_in", "tcp_resets_out", "tcp_listen_syns", "tcp_listen_accepted",
	"tcp_listen_cookies_sent", "tcp_listen_cookies_accepted", "link_downs", "link_down", "link_down_time", "steer_", "relay_",
}

// ofStack are the names of all counters that are the stack's own.
var ofStack = func() map[string]bool {
	names := make(map[string]bool)
	for _, m := range snapshot.Names() {
		names[m.Name] = true
	}
	return names
}()

func isShown(name string) bool {
	for _, s := range shown {
		if name == s || strings.HasSuffix(s, "_") && strings.HasPrefix(name, s) {
			return true
		}
	}
	return false
}

// Limits of what may be asked for.
const (
	defaultTop = 20
	maxTop     = 500
	maxFilter  = 200 // bytes
)

// live answers GET /live?top=N&sort=ORDER&filter=TEXT.
func (s *Site) live(w http.ResponseWriter, r *http.Request) {
	q, err := liveQuery(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	snap, failed := s.snapshot.get(r.Context())
	if failed != nil {
		writeJSON(w, http.StatusServiceUnavailable, health{Status: s.cfg.Status(), Error: failed.Error()})
		return
	}
	l := s.liveOf(snap)
	if s.cfg.Connections != nil && q.top > 0 {
		list, failed := s.conns.get(r.Context())
		if failed != nil {
			writeJSON(w, http.StatusServiceUnavailable, health{Status: s.cfg.Status(), Error: failed.Error()})
			return
		}
		l.RTT, l.Seen, l.More = list.rtt, len(list.conns), list.more
		l.Top = list.top(q.top, q.order, q.filter)
	}
	writeJSON(w, http.StatusOK, l)
}

// query says which connections are asked for.
type query struct {
	top           int
	order, filter string
}

func liveQuery(r *http.Request) (query, error) {
	given := r.URL.Query()
	q := query{top: defaultTop, order: Orders[0], filter: given.Get("filter")}
	if text := given.Get("top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxTop {
			return q, fmt.Errorf("top=%.20q: want a number of connections from 0 to %d", text, maxTop)
		}
		q.top = n
	}
	if text := given.Get("sort"); text != "" {
		if orders[text] == nil {
			return q, fmt.Errorf("sort=%.20q: want one of %s", text, strings.Join(Orders, ", "))
		}
		q.order = text
	}
	if len(q.filter) > maxFilter {
		return q, fmt.Errorf("filter: want %d bytes at most", maxFilter)
	}
	return q, nil
}

func (s *Site) liveOf(snap *snapshot.Snapshot) *Live {
	l := &Live{
		Time: snap.Time, PID: syscall.Getpid(), Started: s.cfg.Started, Build: s.cfg.Build, Status: s.cfg.Status(),
		Interface: snap.Interface, Address: snap.Address, Device: snap.Device,
		Open: snap.Connections, HalfOpen: snap.HalfOpen, TimeWait: snap.TimeWait,
		CPU: cpuTime().Seconds(), Queues: snap.Queues, Handshake: snap.Handshake, Shield: snap.Shield, Filter: snap.Filter,
		Values: make(map[string]uint64), App: []metrics.Metric{}, Drops: []Drop{},
	}
	for _, m := range snap.Metrics {
		switch {
		case isShown(m.Name):
			l.Values[m.Name] = m.Value
		case !ofStack[m.Name]:
			l.App = append(l.App, m)
		}
	}
	for _, m := range snap.Drops() {
		l.Drops = append(l.Drops, Drop{Name: m.Name, Value: m.Value, Help: m.Help, Cure: snapshot.Cure(m.Name)})
	}
	return l
}

// cpuTime returns the processor time of the process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
