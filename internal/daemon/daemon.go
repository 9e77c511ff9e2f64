package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/privileges"
	"github.com/xdpstack/xdpstack/internal/web"
	"github.com/xdpstack/xdpstack/stack"
)

// Config says what a process is. The zero value of a field means the default that is given with it.
type Config struct {
	Stack   stack.Config   // as stack.Open has it; LinkEvent is told after it is logged
	Control control.Config // the control socket; default by PID in control.Dir
	Web     web.Listener   // where the dashboard and metrics are given over TCP besides the control socket; default: nowhere
	Log     *slog.Logger   // default: nothing is logged
	// Privileges says what the process keeps once everything is open. Default: what it has.
	Privileges *privileges.Config
	// Guard is the command line of xdpstack guard, which is started, with further flags, where root becomes somebody else. Default: none.
	Guard []string
}

// App is what is served on a stack.
type App interface {
	// Start begins to accept. What fails later goes to d.Fail.
	Start(d *Daemon) error
	// Close gives back what the App has. It is called last, when the stack is closed, or was never opened.
	Close() error
}

// Daemon is a process that serves, as its App sees it.
type Daemon struct {
	Stack   *stack.Stack
	Control *control.Server // handlers can be added until Start returns
	Log     *slog.Logger
	// Counters are those of the App, which are shown with the stack's.
	Counters metrics.Registry

	failed chan error
	state  atomic.Pointer[web.Status]
	web    *web.Server // nil: none
	guard  guarded
}

// Fail ends the process with an error, from any goroutine. Only the first counts.
func (d *Daemon) Fail(err error) {
	select {
	case d.failed <- err:
	default:
	}
}

// Run opens the stack, serves app on it until ctx is done, and gives everything back. It returns nil if it ended because of ctx.
func Run(ctx context.Context, cfg Config, app App) (err error) {
	defer func() { err = errors.Join(err, app.Close()) }()
	d := &Daemon{Log: cfg.Log, failed: make(chan error, 1)}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Stack, err = d.open(cfg.Stack); err != nil {
		return err
	}
	defer d.guard.release()
	defer func() { err = errors.Join(err, d.Stack.Close()) }()
	d.warn()
	if cfg.Control.Log == nil {
		cfg.Control.Log = d.Log
	}
	if d.Control, err = control.Listen(cfg.Control); err != nil {
		return err
	}
	d.endpoints()
	if err := d.openWatch(&cfg); err != nil {
		return errors.Join(err, d.Control.Close())
	}
	if err := app.Start(d); err != nil {
		return errors.Join(err, d.closeWatch(), d.Control.Close())
	}
	if err := d.drop(&cfg); err != nil {
		return errors.Join(err, d.closeWatch(), d.Control.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	controlDone := make(chan struct{})
	go func() {
		defer close(controlDone)
		if err := d.Control.Run(ctx); err != nil {
			d.Fail(err)
		}
	}()
	watchDone := d.runWatch(ctx)
	defer func() { cancel(); <-controlDone; <-watchDone }()
	d.ready()
	return d.wait(ctx)
}

// ready says that everything is accepted from now on.
func (d *Daemon) ready() {
	address := d.Stack.Address().String()
	for _, r := range d.Stack.Addresses() {
		address += " " + r.String()
	}
	d.setState(web.Serving, "")
	d.Log.Info("ready", "address", address, "device", d.Stack.Describe(), "control", d.Control.Path())
}

// wait returns when the process is to end.
func (d *Daemon) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		d.setState(web.Draining, "it was asked to end")
		d.Log.Info("ending, as asked")
		return nil
	case err := <-d.failed:
		return err
	case <-d.Stack.Gone():
		return d.Stack.Err()
	}
}
