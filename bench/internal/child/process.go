package child

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Process is a running child, seen from its parent.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	events chan Event
	stderr bytes.Buffer
	stop   sync.Once
	exited chan struct{}
	err    error // of Wait, valid once exited is closed
	gc     *result.GC
}

// Start starts a command whose main calls Inside.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, events: make(chan Event, 16), exited: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	p.stdin = stdin
	cmd.Stderr = &p.stderr
	// Not in the terminal's foreground group: Ctrl-C reaches the parent only, even before the child has begun to ignore it.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 3 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("child: start %s: %w", cmd.Path, err)
	}
	go p.read(stdout)
	return p, nil
}

func (p *Process) read(stdout io.Reader) {
	dec := json.NewDecoder(stdout)
	for {
		var e Event
		if dec.Decode(&e) != nil {
			break
		}
		p.events <- e
	}
	p.err = p.cmd.Wait()
	close(p.exited)
	close(p.events)
}

// ErrSilent means that a child said nothing for too long.
var ErrSilent = errors.New("child: no answer")

// Next waits for the next event of a kind and unpacks its data into v, unless that is nil. Other events are skipped; an error or
// the end of the child is an error.
func (p *Process) Next(ctx context.Context, kind string, patience time.Duration, v any) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("%w within %v while waiting for %q", ErrSilent, patience, kind)
		case e, ok := <-p.events:
			if e.GC != nil {
				p.gc = e.GC
			}
			switch {
			case !ok:
				return fmt.Errorf("child: ended while waiting for %q: %w: %s", kind, cmp.Or(p.err, errors.New("exit status 0")), p.tail())
			case e.Kind == KindError:
				return errors.New(e.Error)
			case e.Kind != kind:
				continue
			case v == nil:
				return nil
			}
			if err := json.Unmarshal(e.Data, v); err != nil {
				return fmt.Errorf("child: data of %q: %w", kind, err)
			}
			return nil
		}
	}
}

// GC returns what the child's garbage collector had done by the last event that Next took, since the child was ready or its window
// began; nil before any.
func (p *Process) GC() *result.GC { return p.gc }

// tail returns the last lines that the child wrote to its standard error.
func (p *Process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	if len(lines) > 12 {
		lines = append([]string{"…"}, lines[len(lines)-12:]...)
	}
	return strings.Join(lines, "\n")
}

// Release tells the child to end.
func (p *Process) Release() { p.stop.Do(func() { _ = p.stdin.Close() }) }

// Stop tells the child to end, waits for it, and kills it if it does not.
func (p *Process) Stop() {
	p.Release()
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	for {
		select {
		case <-p.exited:
			return
		case <-p.events: // the reader must not be stuck behind events that nobody wants
		case <-timer.C:
			_ = p.cmd.Process.Kill()
			timer.Reset(time.Hour)
		}
	}
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU returns the user and system time that the child has used so far.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.cmd.Process.Pid) }

// CPU returns the user and system time that a process, or a kernel thread, has used so far.
func CPU(pid int) (time.Duration, error) {
	// The clock of another process: its id inverted, with the two bits that ask for scheduler time (CPUCLOCK_SCHED).
	clock := int32(^pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("child: CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}
