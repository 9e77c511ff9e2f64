package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/daemon"
)

// reloader takes over a changed configuration while serve runs.
type reloader struct {
	*serveSource
	services *services
	level    *slog.LevelVar
	present  *config.Document // what is in force
}

// reload reads the file again. Either all that has changed is taken over, or nothing.
func (r *reloader) reload(d *daemon.Daemon) config.Outcome {
	next, err := r.read()
	if err != nil {
		var p config.Problems
		if errors.As(err, &p) {
			return config.Outcome{File: r.file, Problems: p}
		}
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: the process has become another user since it started (--user), who must be able to read it", err)
		}
		return config.Fail(r.file, err)
	}
	o := config.Outcome{File: r.file, Changes: config.Changes(r.present, next)}
	for _, c := range o.Changes {
		if !c.Live {
			o.Refused = append(o.Refused, c)
		}
	}
	if len(o.Refused) > 0 {
		return o
	}
	undo, err := r.defend(d, next, o.Changes)
	if err != nil {
		return config.Fail(r.file, err)
	}
	if err := r.services.change(d, next.Config.Service); err != nil {
		return config.Fail(r.file, errors.Join(err, undo()))
	}
	r.level.Set(next.Config.Log.Level)
	d.SetDrain(next.Config.Stop.Drain.Or(daemon.DefaultDrain))
	r.present = next
	o.Applied = true
	return o
}

// defend takes over what is said of the filter and the shield. undo takes it back.
func (r *reloader) defend(d *daemon.Daemon, next *config.Document, changes []config.Change) (undo func() error, err error) {
	present := &r.present.Config
	undo = func() error { return nil }
	if next.Config.Shield != present.Shield {
		if err := d.Stack.SetShield(next.Config.Shield); err != nil {
			return nil, fmt.Errorf("shield: %w", err)
		}
		undo = func() error { return d.Stack.SetShield(present.Shield) }
	}
	if !slices.ContainsFunc(changes, func(c config.Change) bool { return strings.HasPrefix(c.Key, "filter.") }) {
		return undo, nil
	}
	before := undo
	undo = func() error { return errors.Join(before(), d.SetFilter(present.Filter.Settings())) }
	if err := d.SetFilter(next.Config.Filter.Settings()); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// change serves others from now on. Connections that are open stay: on services that are not served any more they end as they do when the
// process ends, but without a deadline. On an error nothing has changed.
func (s *services) change(d *daemon.Daemon, all []config.Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer d.Stack.HoldPorts()() // one that changes its service stays ours
	c, err := s.prepare(d, all)
	if err != nil {
		return errors.Join(err, c.giveUp())
	}
	for _, r := range c.fresh {
		if err := s.start(d, r); err != nil {
			return errors.Join(err, c.giveUp())
		}
	}
	for _, f := range c.use {
		f()
	}
	for id, old := range s.running {
		if c.next[id] == nil {
			d.Log.Info("no longer accepting", "service", old.Name, "port", old.Port)
			if err := old.stop(); err != nil {
				d.Log.Error("a service does not end", "service", id, "error", err)
			}
			s.ended = append(s.ended, old)
		}
	}
	for _, r := range c.late {
		if err := s.start(d, r); err != nil {
			d.Fail(fmt.Errorf("a port that was given from one service to another: %w", err)) // half a configuration is none
		}
	}
	s.running = c.next
	return nil
}

// serviceChange is what there is to do for other services.
type serviceChange struct {
	next  map[string]*served // by ID
	fresh []*served          // those that are new
	late  []*served          // of these, the ones whose port is free only when the service before has left it
	use   []func()           // has those that stay do as they are told now; cannot fail
}

// prepare looks what there is to do. What it has made already is in the change on an error too.
func (s *services) prepare(d *daemon.Daemon, all []config.Service) (c serviceChange, err error) {
	c.next = make(map[string]*served)
	for _, cfg := range all {
		id := cfg.ID()
		if old := s.running[id]; old != nil {
			c.next[id] = old
			use, err := s.changed(d, old, cfg)
			if err != nil {
				return c, err
			}
			c.use = append(c.use, use)
			continue
		}
		r, err := newServed(cfg)
		if err != nil {
			return c, err
		}
		c.fresh = append(c.fresh, r)
		c.next[id] = r
	}
	late := func(r *served) bool {
		for id, old := range s.running {
			if c.next[id] == nil && old.Port == r.Port {
				return true
			}
		}
		return false
	}
	for _, r := range c.fresh {
		if late(r) {
			c.late = append(c.late, r)
		}
	}
	c.fresh = slices.DeleteFunc(c.fresh, late)
	return c, nil
}

// changed returns what has a service do as a changed configuration says.
func (s *services) changed(d *daemon.Daemon, old *served, cfg config.Service) (use func(), err error) {
	switch cfg.Name {
	case "http":
		prepared, err := old.http.Prepare(cfg.HTTP())
		if err != nil {
			return nil, err
		}
		return func() { prepared(); old.Service = cfg }, nil
	case "proxy":
		return func() { old.reroute(d, cfg) }, s.allowed(&cfg)
	}
	return func() {}, nil
}

// giveUp takes back what was made.
func (c *serviceChange) giveUp() (err error) {
	for _, r := range append(c.fresh, c.late...) {
		err = errors.Join(err, r.stop(), r.close())
	}
	return err
}

// stop stops accepting, and has the connections that are open end where their protocol allows.
func (r *served) stop() error {
	var errs []error
	if r.listener != nil {
		errs = append(errs, r.listener.Drain())
	}
	if r.packets != nil {
		r.packets.Close()
	}
	if r.server != nil {
		go func() { _ = r.server.Shutdown(context.Background()) }() // it returns when the last connection has ended
	}
	return errors.Join(errs...)
}
