package daemon

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/privileges"
	"github.com/xdpstack/xdpstack/internal/sdnotify"
	"github.com/xdpstack/xdpstack/internal/web"
	"github.com/xdpstack/xdpstack/stack"
)

// Config says what a process is. The zero value of a field means the default that is given with it.
type Config struct {
	Stack   stack.Config   // as stack.Open has it; LinkEvent is told after it is logged
	Control control.Config // the control socket; default by PID in control.Dir
	Web     web.Listener   // where the dashboard and metrics are given over TCP besides the control socket; default: nowhere
	Filter  filter.Settings
	Log     *slog.Logger // default: nothing is logged
	// Privileges says what the process keeps once everything is open. Default: what it has.
	Privileges *privileges.Config
	// Guard is the command line of xdpstack guard, which is started, with further flags, where root becomes somebody else. Default: none.
	Guard []string

	// Drain is how long open connections may take to end when the process is to; default DefaultDrain, negative: no time.
	Drain time.Duration
	// Reload reads the configuration again and takes over what has changed, or nothing. One call ends before the next. Default: there is
	// nothing to read again.
	Reload func(d *Daemon) config.Outcome
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
	Control *control.Server // handlers can be added at any time
	Log     *slog.Logger
	// Counters are those of the App, which are shown with the stack's.
	Counters metrics.Registry

	failed   chan error
	state    atomic.Pointer[web.Status]
	web      *web.Server       // nil: none
	manager  *sdnotify.Manager // nil: none
	reload   func(d *Daemon) config.Outcome
	stop     stop
	upgrades upgrades
	takeover takeover
	retired  atomic.Bool // another process has taken over
	brokered bool        // the interface is a broker's
	// upgradeDrain is how long connections may take to end by themselves then; 0: DefaultUpgradeDrain.
	upgradeDrain time.Duration
	patience     atomic.Int64 // of drain, a time.Duration
	mu           sync.Mutex   // held while the configuration is read again, and to end the process only once
	guard        guarded
	filter       *filter.Filter
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
	d, err := newDaemon(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = d.manager.Close() }()
	defer func() {
		if err != nil {
			d.takeover.fail(err)
		}
	}()
	if d.Stack, err = d.open(cfg.Stack); err != nil {
		return err
	}
	defer func() { d.guard.release(d.retired.Load()) }()
	defer func() { err = errors.Join(err, d.Stack.Close()) }()
	d.warn()
	if cfg.Control.Log == nil {
		cfg.Control.Log = d.Log
	}
	if d.Control, err = control.Listen(d.takeover.socket(cfg.Control)); err != nil {
		return err
	}
	d.endpoints()
	if err := d.startFilter(&cfg.Filter); err != nil {
		return errors.Join(err, d.Control.Close())
	}
	defer d.filter.Close()
	if err := d.openWatch(&cfg); err != nil {
		return errors.Join(err, d.Control.Close())
	}
	if err := app.Start(d); err != nil {
		return errors.Join(err, d.closeWatch(), d.Control.Close())
	}
	if err := d.drop(&cfg); err != nil {
		return errors.Join(err, d.closeWatch(), d.Control.Close())
	}
	if err := d.finish(); err != nil {
		return errors.Join(err, d.closeWatch(), d.Control.Close())
	}
	defer d.helpers()()
	d.ready()
	if err := d.wait(ctx); err != nil {
		return err
	}
	d.drain(app)
	return nil
}

func newDaemon(cfg Config) (*Daemon, error) {
	d := &Daemon{Log: cfg.Log, failed: make(chan error, 1), reload: cfg.Reload}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.stop.init()
	d.takeover.filter = cfg.Filter
	d.brokered = cfg.Stack.OpenInterface != nil
	d.upgrades.binary, _ = os.Executable() // now: when it is asked for, another file may be there
	d.SetDrain(cmp.Or(cfg.Drain, DefaultDrain))
	var err error
	d.manager, err = sdnotify.Find()
	return d, err
}

// helpers starts what runs beside the App until the returned function is called, also while connections are drained.
func (d *Daemon) helpers() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := d.Control.Run(ctx); err != nil {
			d.Fail(err)
		}
	})
	all.Go(func() { d.feedWatchdog(ctx) })
	watched := d.runWatch(ctx)
	return func() { cancel(); all.Wait(); <-watched }
}

// ready says that everything is accepted from now on.
func (d *Daemon) ready() {
	address := d.Stack.Address().String()
	for _, r := range d.Stack.Addresses() {
		address += " " + r.String()
	}
	d.setState(web.Serving, "")
	d.Tell(sdnotify.Ready, sdnotify.Status("serving %s on %s", address, d.Stack.Describe()))
	d.Log.Info("ready", "address", address, "device", d.Stack.Describe(), "control", d.Control.Path())
}

// wait returns when the process is to end.
func (d *Daemon) wait(ctx context.Context) error {
	hangups, end := d.hangups()
	defer end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.stop.asked:
			return nil
		case <-hangups:
			_, _ = d.Reload() // the log has what came of it
		case err := <-d.failed:
			return err
		case <-d.Stack.Gone():
			if n, err := d.left(); d.retired.Load() && (err != nil || n == 0) {
				return nil // it had nothing to do any more
			}
			return d.Stack.Err()
		}
	}
}
