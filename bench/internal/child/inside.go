package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Event is one message from a child to its parent.
type Event struct {
	Kind  string          `json:"kind"`
	Error string          `json:"error,omitempty"` // with kind KindError
	Data  json.RawMessage `json:"data,omitempty"`
	GC    *result.GC      `json:"gc,omitempty"` // since the last KindReady or KindStart
}

// Kinds of events that mean something to the package itself.
const (
	KindError = "error" // the child failed
	KindDone  = "done"  // the child's function has returned; Data is its result
	KindReady = "ready" // a server is: what its garbage collector does is counted from now on, and what it is busy with profiled
	KindStart = "start" // a window begins: the same
)

// Emit sends an event to the parent. It may be called from any goroutine.
type Emit func(kind string, data any) error

// Inside runs the child's side: f, with a context that ends when the parent lets go. It returns the exit code.
func Inside(f func(ctx context.Context, emit Emit) (any, error)) int {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	c := &voice{out: json.NewEncoder(os.Stdout), gc: newCollector()}
	c.gc.begin()
	result, err := f(ctx, c.emit)
	err = errors.Join(err, c.profile.end())
	if err == nil {
		err = c.emit(KindDone, result)
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = c.out.Encode(Event{Kind: KindError, Error: err.Error()})
		return 1
	}
	return 0
}

// voice is how a child speaks to its parent.
type voice struct {
	mu      sync.Mutex
	out     *json.Encoder
	gc      *collector
	profile profiler
}

func (c *voice) emit(kind string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := Event{Kind: kind, Data: b}
	if kind == KindReady || kind == KindStart {
		c.gc.begin()
		if err := c.profile.begin(); err != nil {
			return err
		}
	} else {
		e.GC = c.gc.read()
	}
	return c.out.Encode(e)
}

// Pin binds every thread of this process, and so those to come, to one processor.
func Pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	err := eachThread(func(tid int) error { return unix.SchedSetaffinity(tid, &set) })
	if err != nil {
		return fmt.Errorf("child: bind to processor %d: %w", cpu, err)
	}
	return nil
}

// Favour is the nice value of a process that comes before others, though not always, as a real-time priority would have it.
const Favour = -20

// Yield puts every thread of this process, and so those to come, after all others.
func Yield() error {
	const last = 19
	err := eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, last) })
	if err != nil {
		return fmt.Errorf("child: nice value %d: %w", last, err)
	}
	return nil
}

// FavourSession puts this process, its children to come, and its session before others.
func FavourSession() error {
	err := eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, Favour) })
	if err != nil {
		return fmt.Errorf("child: nice value %d: %w", Favour, err)
	}
	// Where the scheduler makes a group of each session, that of the processes counts only within it.
	err = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(Favour)), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("child: nice value %d of the session: %w", Favour, err)
	}
	return nil
}

// Prefer puts every thread of this process, and so those to come, before all ordinary ones and those of a lower priority, from 1 on.
func Prefer(priority uint32) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: priority}
	err := eachThread(func(tid int) error { return unix.SchedSetAttr(tid, &attr, 0) })
	if err != nil {
		return fmt.Errorf("child: real-time priority %d: %w", priority, err)
	}
	return nil
}

// eachThread calls f with the id of every thread of this process.
func eachThread(f func(tid int) error) error {
	// Twice: a thread that was being made during the first pass inherits the mask of its maker.
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list own threads: %w", err)
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}
