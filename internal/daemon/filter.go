package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// maxTop bounds how many offenders are shown at a time.
const maxTop = 10_000

// startFilter has the filter do what the configuration says, and be changed through the control socket. That of a process before is as it
// is until goOnFiltering.
func (d *Daemon) startFilter(s *filter.Settings) error {
	program := d.Stack.Interface().Program()
	d.filter = filter.New(program, d.peers, filter.KernelPeers)
	start := d.filter.Apply
	if d.takeover.conn != nil {
		start = (*filter.Settings).Validate
	}
	if err := start(s); err != nil {
		return err
	}
	d.Control.HandleJSON("GET /filter", func(*http.Request) (any, error) {
		state, err := d.filter.State()
		if err != nil {
			return nil, err
		}
		counters, err := program.Counters()
		state.Dropped = counters.Dropped
		return state, err
	})
	d.Control.HandleJSON("GET /filter/top", func(r *http.Request) (any, error) {
		n := 20
		if text := r.URL.Query().Get("n"); text != "" {
			var err error
			if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxTop {
				return nil, control.BadRequest{Err: fmt.Errorf("n=%q: want a number from 1 to %d", text, maxTop)}
			}
		}
		return d.filter.Top(n)
	})
	d.Control.HandleJSON("POST /filter", func(r *http.Request) (any, error) {
		var c filter.Change
		in := json.NewDecoder(r.Body)
		in.DisallowUnknownFields()
		if err := in.Decode(&c); err != nil {
			return nil, control.BadRequest{Err: fmt.Errorf("filter: what to change is not understood: %w", err)}
		}
		out, err := d.filter.Change(c)
		if err != nil {
			return nil, control.BadRequest{Err: err}
		}
		d.Log.Info("filter changed", "rules", out.Rules, "connections cut", out.Cut)
		return out, nil
	})
	return nil
}

// goOnFiltering takes over what the process before had been told since it read its configuration, unless that is another now: then it
// is read as at a reload.
func (d *Daemon) goOnFiltering() {
	changed, err := d.filter.ApplyNew(&d.takeover.filter)
	switch {
	case err != nil:
		d.Log.Error("filter: what the configuration says could not be applied: the rules of the process before are in force", "error", err)
	case changed:
		d.Log.Info("filter: the configuration's section is not that of the process before: its rules and rates are in force, and no others")
	}
}

// SetFilter replaces everything that the filter does.
func (d *Daemon) SetFilter(s filter.Settings) error { return d.filter.Apply(&s) }

// peers returns the peers of the established connections.
func (d *Daemon) peers() (all []netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for c, err := range d.Stack.Connections(ctx, stack.ConnQuery{Kinds: stack.KindConn}) {
		if err != nil {
			return all, err
		}
		if c.State == tcp.StateEstablished {
			all = append(all, c.Remote.Addr().Unmap())
		}
	}
	return all, nil
}
