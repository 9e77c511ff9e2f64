package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/stack"
)

// takeover is the side of a process that takes over from another one: see upgrade.go.
type takeover struct {
	conn *net.UnixConn // to the other one; nil: this is the first
	path string        // of the control socket that is to be this one's in the end; empty: it has a name of its own
	// listen opens the dashboard's port; nil: there is none.
	listen func() error
	// filter is what the configuration says of it.
	filter filter.Settings
}

// begin asks the process whose control socket is named by the environment for its interface, if there is one.
func (t *takeover) begin() (*stack.Handover, error) {
	from := os.Getenv(TakeOver)
	if from == "" {
		return nil, nil
	}
	_ = os.Unsetenv(TakeOver) // the processes that this one starts have nothing to do with it
	ctx, cancel := context.WithTimeout(context.Background(), takeUpTime)
	defer cancel()
	c, err := control.Client{Path: from}.Socket(ctx, "/handover")
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	t.conn = c
	_ = c.SetReadDeadline(time.Now().Add(takeUpTime))
	h, err := stack.ReceiveHandover(c)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return h, nil
}

// fail tells the other process that it is to go on.
func (t *takeover) fail(err error) {
	if t.conn == nil {
		return
	}
	_ = send(t.conn, step{Failed: err.Error()})
	_ = t.conn.Close()
	t.conn = nil
}

// socket returns where the control socket is made: beside that of the other process if it is to have the same name.
func (t *takeover) socket(cfg control.Config) control.Config {
	if t.conn != nil && cfg.Path != "" {
		t.path = cfg.Path
		cfg.Path += "." + strconv.Itoa(os.Getpid())
	}
	return cfg
}

// finish takes the interface over, now that everything is open. After an error the other process goes on.
func (d *Daemon) finish() error {
	t := &d.takeover
	if t.conn == nil {
		return nil
	}
	if err := send(t.conn, step{Control: d.Control.Path()}); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	s, err := receive(t.conn, prepareTime)
	if err == nil && s.Filter == nil {
		err = errors.New("the other process says nothing of its filter")
	}
	if err == nil {
		err = d.filter.TakeOver(*s.Filter)
	}
	if err == nil {
		s, err = receive(t.conn, takeUpTime)
	}
	if err == nil && s.State == nil {
		err = errors.New("the other process says nothing of its queues")
	}
	if err == nil {
		err = d.Stack.TakeUp(s.State)
	}
	if err == nil {
		err = send(t.conn, step{})
	}
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	_ = t.conn.Close()
	t.conn = nil
	d.Log.Info("taken over", "from", s.PID)
	// It serves. What fails from here on is no reason to end.
	if err := d.Stack.Settle(); err != nil {
		d.Log.Error("take over: the XDP program was not told all", "error", err)
	}
	d.goOnFiltering()
	if t.path != "" {
		// Without privileges it may not: then who started it does (Plan.Socket).
		if err := d.Control.Replace(t.path); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			d.Log.Error("the control socket cannot have the name of the process before", "path", d.Control.Path(), "error", err)
		}
	}
	if err := t.listenAgain(); err != nil {
		d.Log.Error("no dashboard", "error", err)
	}
	return nil
}

// listenAgain opens the dashboard's port, which the other process is about to close.
func (t *takeover) listenAgain() error {
	if t.listen == nil {
		return nil
	}
	var err error
	for end := time.Now().Add(takeUpTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = t.listen(); !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return err
}
