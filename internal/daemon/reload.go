package daemon

import (
	"errors"
	"net/http"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/sdnotify"
)

// ErrNoConfig is the answer to a reload where nothing can be read again.
var ErrNoConfig = errors.New("the process was started without a configuration file (--config): there is nothing to read again")

// hangups returns a channel of SIGHUPs, if the process can reload; else the signal keeps its meaning: the terminal is gone.
func (d *Daemon) hangups() (<-chan os.Signal, func()) {
	if d.reload == nil {
		return nil, func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// Reload reads the configuration again and takes over what has changed, if all of it can be.
func (d *Daemon) Reload() (config.Outcome, error) {
	if d.reload == nil {
		return config.Outcome{}, ErrNoConfig
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Tell(sdnotify.Reloading()...)
	defer d.Tell(sdnotify.Ready)
	o := d.reload(d)
	for _, p := range o.Problems {
		d.Log.Error("reload: the configuration is wrong", "problem", p.String())
	}
	for _, c := range o.Refused {
		d.Log.Error("reload: this needs a restart", "change", c.String())
	}
	if !o.Applied {
		d.Log.Error("reload: refused as a whole, everything stays as it is", "file", o.File)
		return o, nil
	}
	for _, c := range o.Changes {
		d.Log.Info("reload", "change", c.String())
	}
	d.Log.Info("reloaded", "file", o.File, "changes", len(o.Changes))
	return o, nil
}

// answerReload is POST /reload.
func (d *Daemon) answerReload(*http.Request) (any, error) {
	o, err := d.Reload()
	if err != nil {
		return nil, control.BadRequest{Err: err}
	}
	return o, nil
}
