package daemon

import (
	"context"

	"github.com/xdpstack/xdpstack/internal/web"
)

// openWatch has those who watch answered on the control socket, and on TCP if that is asked for.
func (d *Daemon) openWatch(cfg *Config) (err error) {
	d.setState(web.Starting, "not everything is accepted yet")
	site := web.New(web.Config{
		Take:        d.Snapshot,
		Status:      d.status,
		Connections: web.ConnectionsOf(d.Stack),
		Build:       web.ReadBuild(),
	})
	site.Register(d.Control.Handle)
	if cfg.Web.Address != "" {
		listen := func() (err error) {
			d.web, err = site.Listen(cfg.Web)
			return err
		}
		if d.takeover.conn != nil { // the port is the other process's until it has given everything
			d.takeover.listen = listen
			return cfg.Web.Validate()
		}
		return listen()
	}
	return err
}

// runWatch answers over TCP until ctx is done. What it returns is closed then.
func (d *Daemon) runWatch(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	if d.web == nil {
		close(done)
		return done
	}
	d.Log.Info("dashboard", "url", "http://"+d.web.Address()+"/")
	go func() {
		defer close(done)
		if err := d.web.Run(ctx); err != nil {
			d.Fail(err)
		}
	}()
	return done
}

// closeWatch closes the port, which nobody was answered on yet.
func (d *Daemon) closeWatch() error {
	if d.web == nil {
		return nil
	}
	return d.web.Close()
}

// setState says what part of its life the process is in, and, unless it serves, why.
func (d *Daemon) setState(s web.State, why string) {
	d.state.Store(&web.Status{Ready: s == web.Serving, State: s, Reason: why})
}

// status is the state, unless the link does not let the process serve.
func (d *Daemon) status() web.Status {
	if err := d.Stack.Err(); err != nil {
		return web.Status{State: web.Gone, Reason: err.Error()}
	}
	s := *d.state.Load()
	if s.Ready && d.Stack.Link().Down != 0 {
		s.Ready, s.Reason = false, "the link of "+d.Stack.Interface().Info().Name+" is down"
	}
	return s
}
