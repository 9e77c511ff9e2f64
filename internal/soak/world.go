package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// world is the network and the server.
type world struct {
	lab     *netlab.Lab
	hop     *hop.Hop
	hopDone chan error
	hopStop context.CancelFunc
	binary  string
	config  string // the server's configuration file
	socket  string // its control socket
	server  string // the address of its echo
	log     *os.File
	first   *exec.Cmd
	pid     int // of the process that serves
	reloads int
}

// newWorld returns when the server serves.
func newWorld(ctx context.Context, cfg *Config) (w *world, err error) {
	w = &world{binary: cfg.Binary, config: filepath.Join(cfg.Dir, "soak.toml"), socket: filepath.Join(cfg.Dir, "soak.sock")}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.lab, err = netlab.New(netlab.Config{Name: "soak", Hop: true}); err != nil {
		return w, err
	}
	w.server = net.JoinHostPort(w.lab.Stack.Address.Addr().String(), "7")
	err = w.lab.Hop.Stack.Do(func() (err error) {
		w.hop, err = hop.Open(hop.Config{A: w.lab.Hop.Stack.Interface, B: w.lab.Hop.Kernel.Interface, Seed: cfg.Seed})
		return err
	})
	if err != nil {
		return w, err
	}
	hopCtx, cancel := context.WithCancel(context.Background())
	w.hopStop, w.hopDone = cancel, make(chan error, 1)
	go func() { w.hopDone <- w.hop.Run(hopCtx) }()
	if w.log, err = os.Create(filepath.Join(cfg.Dir, "soak.log")); err != nil {
		return w, err
	}
	if err = w.configure(false); err != nil {
		return w, err
	}
	return w, w.start(ctx)
}

// configure writes the configuration file, with or without a second service.
func (w *world) configure(more bool) error {
	text := fmt.Sprintf("interface = %q\naddress = %q\n[control]\nsocket = %q\n[stop]\ndrain = \"20s\"\n[[service]]\nname = \"echo\"\n",
		w.lab.Stack.Interface, w.lab.Stack.Address, w.socket)
	if more {
		text += "[[service]]\nname = \"discard\"\n"
	}
	return os.WriteFile(w.config, []byte(text), 0o644)
}

func (w *world) start(ctx context.Context) error {
	w.first = w.lab.Stack.Command(context.Background(), w.binary, "serve", "--config", w.config)
	w.first.Stdout, w.first.Stderr = w.log, w.log
	if err := w.first.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		dialing, cancel := context.WithTimeout(ctx, time.Second)
		c, err := w.dial(dialing)
		cancel()
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("soak: the server does not serve: %w\n%s", err, w.said())
		}
	}
	var info control.Info
	if err := (control.Client{Path: w.socket}).Get(ctx, "/info", &info); err != nil {
		return err
	}
	w.pid = info.PID
	return nil
}

func (w *world) dial(ctx context.Context) (net.Conn, error) {
	return w.lab.Kernel.DialContext(ctx, "tcp", w.server)
}

// said is the end of the server's log.
func (w *world) said() string {
	b, err := os.ReadFile(w.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// alive checks that the server answers and that nothing has gone wrong in it, and counts processes.
func (w *world) alive(ctx context.Context, res *Result) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var info control.Info
	if err := (control.Client{Path: w.socket}).Get(ctx, "/info", &info); err != nil {
		return fmt.Errorf("%w\n%s", err, w.said())
	}
	if res.Processes == 0 || info.PID != w.pid {
		res.Processes++
	}
	w.pid = info.PID
	b, err := os.ReadFile(w.log.Name())
	if err != nil {
		return err
	}
	for _, word := range []string{"panic:", "fatal error:", "DATA RACE"} {
		if i := bytes.Index(b, []byte(word)); i >= 0 {
			return fmt.Errorf("the server says %s", b[i:min(len(b), i+4000)])
		}
	}
	return nil
}

// settled waits until nothing is left of the clients.
func (w *world) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // a record of a handshake whose end is gone takes a minute
	defer cancel()
	for {
		var s snapshot.Snapshot
		if err := (control.Client{Path: w.socket}).Get(ctx, "/stats", &s); err != nil {
			return err
		}
		held := 0
		for _, q := range s.Queues {
			held += q.Frames.Held
		}
		if s.Connections == 0 && s.HalfOpen == 0 && held == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("soak: the clients are gone, and %d connections, %d half-open ones and %d frames are left", s.Connections,
				s.HalfOpen, held)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// stop ends the server in order.
func (w *world) stop(ctx context.Context) error {
	if err := syscall.Kill(w.pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("soak: end the server: %w", err)
	}
	for end := time.Now().Add(30 * time.Second); syscall.Kill(w.pid, 0) == nil; time.Sleep(20 * time.Millisecond) {
		if w.pid == w.first.Process.Pid {
			_ = w.first.Wait() // else it stays a zombie
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("soak: the server does not end\n%s", w.said())
		}
	}
	return nil
}

// close removes everything, whatever there is.
func (w *world) close() error {
	var errs []error
	if w.first != nil && w.first.Process != nil {
		_ = w.first.Process.Kill()
		_ = w.first.Wait()
	}
	if w.pid != 0 {
		_ = syscall.Kill(w.pid, syscall.SIGKILL) // it may have ended
	}
	if w.hopStop != nil {
		w.hopStop()
		errs = append(errs, <-w.hopDone)
		w.hop.Close()
	}
	if w.lab != nil {
		errs = append(errs, w.lab.Close())
	}
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	return errors.Join(errs...)
}
