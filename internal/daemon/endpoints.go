package daemon

import (
	"net/http"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/internal/ss"
	"github.com/xdpstack/xdpstack/internal/trace"
)

// endpoints says what is answered on the control socket, whatever the App is.
func (d *Daemon) endpoints() {
	d.Control.HandleJSON("POST /reload", d.answerReload)
	d.Control.HandleJSON("POST /stop", d.answerStop)
	d.Control.HandleJSON("POST /upgrade", d.answerPlan)
	d.Control.HandleJSON("GET /upgrade", d.answerUpgrade)
	d.Control.HandleJSON("POST /upgrade/cancel", d.answerCancel)
	d.Control.HandleSocket("GET /handover", d.answerHandover)
	d.Control.HandleJSON("GET /stats", func(*http.Request) (any, error) { return d.Snapshot() })
	d.Control.HandleStream("GET /capture", d.capture)
	d.Control.HandleStream("GET "+ss.Path, func(w http.ResponseWriter, r *http.Request) error { return ss.Serve(d.Stack, w, r) })
	d.Control.HandleStream("GET "+trace.Path, func(w http.ResponseWriter, r *http.Request) error { return trace.Serve(d.Stack, w, r) })
	d.Control.HandleJSON("GET "+ss.SummaryPath, func(r *http.Request) (any, error) { return ss.Summarize(d.Stack, r) })
}

// Snapshot returns the state of the stack, with the counters of the App.
func (d *Daemon) Snapshot() (snapshot.Snapshot, error) {
	snap, err := snapshot.Take(d.Stack, time.Now())
	if err != nil {
		return snap, err
	}
	more, err := d.Counters.Collect()
	snap.Metrics = append(snap.Metrics, more...)
	return snap, err
}
