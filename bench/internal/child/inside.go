package child

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Event is one message from a child to its parent.
type Event struct {
	Kind  string          `json:"kind"`
	Error string          `json:"error,omitempty"` // with kind KindError
	Data  json.RawMessage `json:"data,omitempty"`
}

// Kinds of events that the package itself makes.
const (
	KindError = "error" // the child failed
	KindDone  = "done"  // the child's function has returned; Data is its result
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
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	emit := func(kind string, data any) error {
		b, err := json.Marshal(data)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return out.Encode(Event{Kind: kind, Data: b})
	}
	result, err := f(ctx, emit)
	if err == nil {
		err = emit(KindDone, result)
	}
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(Event{Kind: KindError, Error: err.Error()})
		return 1
	}
	return 0
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
			if err := f(tid); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}
