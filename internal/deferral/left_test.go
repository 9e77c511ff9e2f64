package deferral

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLeftToRecover has a process undo what it may not any more: another does it, for whom that process has ended.
func TestLeftToRecover(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	p := somewhere(t)
	d := set(t, p, 0, after)
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread goes with the goroutine
		const nobody = 65534
		_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, nobody, 0, 0) // of this thread only; it never fails
		failed <- d.Undo()
	}()
	if err := <-failed; err != nil {
		t.Error(err)
	}
	p.want(t, "without privileges", after)
	if err := Recover(p); err != nil {
		t.Error(err)
	}
	p.want(t, "while the process lives", after)
	p.Ended = os.Getpid()
	if err := Recover(p); err != nil {
		t.Error(err)
	}
	p.want(t, "for the guard", before)
	if n := p.files(t); n != 0 {
		t.Errorf("%d files stay", n)
	}
}
