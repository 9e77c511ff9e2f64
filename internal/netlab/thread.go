package netlab

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inNamespace runs f on the calling goroutine, with its thread inside ns. Descriptors that f opens belong to ns for good;
// goroutines that f starts do not run inside it.
func inNamespace(ns netns.NsHandle, f func() error) (err error) {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netlab: network namespace of this thread: %w", err)
	}
	defer func() {
		// A thread that cannot return stays locked, and the runtime ends it together with its goroutine.
		if back := netns.Set(origin); back != nil {
			err = errors.Join(err, fmt.Errorf("netlab: return to the original namespace: %w", back))
		} else {
			runtime.UnlockOSThread()
		}
		if closing := origin.Close(); closing != nil {
			err = errors.Join(err, closing)
		}
	}()
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("netlab: enter namespace: %w", err)
	}
	return f()
}

// onSpareThread runs f on a thread that is thrown away afterwards, so f may change the thread's namespaces at will.
func onSpareThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread is the process to the rest of the system (/proc/self) and cannot be thrown away.
			defer runtime.UnlockOSThread()
			done <- onSpareThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}
