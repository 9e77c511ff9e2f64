package daemon

import (
	"context"

	"github.com/xdpstack/xdpstack/internal/sdnotify"
)

// Tell sends lines of sd_notify(3) to the service manager, if there is one.
func (d *Daemon) Tell(lines ...string) {
	if d.retired.Load() {
		return // it listens to the process that has taken over
	}
	if err := d.manager.Tell(lines...); err != nil {
		d.Log.Warn("the service manager was not told", "error", err)
	}
}

// feedWatchdog feeds the service manager's watchdog for as long as every shard turns. One that is stuck gets the process killed,
// and so started again, which nobody else would notice: the others go on serving.
func (d *Daemon) feedWatchdog(ctx context.Context) {
	period := d.manager.Watchdog() / 3 // two rounds may fail before the dog bites
	for period > 0 && ctx.Err() == nil {
		round, cancel := context.WithTimeout(ctx, period)
		err := d.Stack.Turning(round)
		switch {
		case err == nil:
			d.Tell(sdnotify.Alive)
		case ctx.Err() == nil:
			d.Log.Error("the watchdog is not fed", "because", err)
		}
		<-round.Done()
		cancel()
	}
}
