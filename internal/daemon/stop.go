package daemon

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/sdnotify"
	"github.com/xdpstack/xdpstack/internal/web"
)

// Drainer is what an [App] may be besides: one that has connections which it must end itself, those of net.Listeners.
type Drainer interface {
	// Drain ends them in order, and returns when all have ended or ctx is done. The stack drains its own meanwhile.
	Drain(ctx context.Context)
}

// DefaultDrain is how long open connections may take to end.
const DefaultDrain = 10 * time.Second

// reportEvery is how often the log says how many connections are left.
const reportEvery = time.Second

// stop is what the end of the process waits for.
type stop struct {
	asked chan struct{} // closed when a client of the control socket wants the end
	hurry context.CancelFunc
	ctx   context.Context // done when open connections are to be reset at once
}

func (s *stop) init() {
	s.asked = make(chan struct{})
	s.ctx, s.hurry = context.WithCancel(context.Background())
}

// SetDrain changes how long open connections may take to end; 0: they are reset at once.
func (d *Daemon) SetDrain(patience time.Duration) { d.patience.Store(int64(max(patience, 0))) }

// drain refuses new connections and lets those that are open end.
func (d *Daemon) drain(app App) {
	patience := time.Duration(d.patience.Load())
	d.setState(web.Draining, "it was asked to end")
	// The service manager's own patience is to be longer than this.
	d.Tell(sdnotify.Stopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (patience+10*time.Second).Microseconds()))
	ctx, cancel := context.WithTimeout(d.stop.ctx, patience)
	defer cancel()
	begun := time.Now()
	d.Log.Info("stopping: new connections are refused, open ones may end", "within", patience)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		if a, ok := app.(Drainer); ok {
			a.Drain(ctx)
		}
	}()
	var said time.Time
	how, err := d.Stack.Shutdown(ctx, func(left int) {
		if now := time.Now(); now.Sub(said) >= reportEvery {
			said = now
			d.Log.Info("waiting for connections to end", "left", left, "for", time.Until(begun.Add(patience)).Round(time.Millisecond))
			d.Tell(sdnotify.Status("stopping: %d connections left", left))
		}
	})
	cancel()
	<-drained
	if err != nil {
		d.Log.Error("stopping", "error", err)
		return
	}
	d.Log.Info("stopped", "ended", how.Ended, "reset", how.Reset, "after", time.Since(begun).Round(time.Millisecond))
}

// Stopping is the answer to who asks the process to end.
type Stopping struct {
	PID   int     `json:"pid"`
	Drain float64 `json:"drain_seconds"` // how long open connections may take to end
}

// answerStop ends the process: POST /stop, with ?drain=30s to change the patience. Asked again, it ends at once.
func (d *Daemon) answerStop(r *http.Request) (any, error) {
	if text := r.URL.Query().Get("drain"); text != "" {
		patience, err := time.ParseDuration(text)
		if err != nil || patience < 0 {
			return nil, control.BadRequest{Err: fmt.Errorf("drain=%s: want a time such as 30s", text)}
		}
		d.SetDrain(patience)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.stop.asked:
		d.stop.hurry()
	default:
		close(d.stop.asked)
	}
	return Stopping{PID: os.Getpid(), Drain: time.Duration(d.patience.Load()).Seconds()}, nil
}
