package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/deferral"
	"github.com/xdpstack/xdpstack/internal/privileges"
)

// Guard is a process beside one that gives up its privileges, for what takes them at the end:
//
//	serve ── starts ──► guard                            the control socket is removed,
//	  │ gives up           │ waits                       interrupts come again as before
//	  ▼                    ▼                                         ▲
//	serves ─────── its end of a pipe is closed, in whatever way ─────┘
//
// It reads nothing from that pipe but whether something was written before its end: then the process ended in order, and what it has pinned
// goes too. So whoever has taken over the one cannot tell the other what to do.
type Guard struct {
	PID       int    // of the process that it is beside
	Socket    string // its control socket,
	Name      string // and the name that this has in the end, if it takes over another process's
	Interface string // whose interrupts it may have deferred
	Pin       string // where its XDP program is pinned; empty: nowhere
}

// Run waits on in, and clears up. It keeps CAP_NET_ADMIN of the capabilities. On out it says that it has looked at what there is: from
// then on the socket may get its other name.
func (g Guard) Run(in io.Reader, out io.Writer) error {
	if err := privileges.Reduce(unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	before, err := os.Lstat(g.Socket)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	if _, err := out.Write([]byte{'.'}); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	said, _ := io.Copy(io.Discard, in)
	var errs []error
	if said > 0 && g.Pin != "" {
		_, err := bpf.Unpin(g.Pin)
		errs = append(errs, err)
	}
	if now, err := os.Lstat(g.Name); err == nil && os.SameFile(before, now) { // not one that the next process has made there
		errs = append(errs, os.Remove(g.Name))
	}
	if info, err := afxdp.Discover(g.Interface); err == nil { // else it is gone, and its settings with it
		place := deferral.At(info.Name, info.Index, info.MAC)
		defer place.Close()
		place.Ended = g.PID
		errs = append(errs, deferral.Recover(&place))
	}
	return errors.Join(errs...)
}

// guarded is the side of the process that is guarded.
type guarded struct{ pipe, done *os.File }

// startGuard starts a guard by its command line.
func (d *Daemon) startGuard(command []string) error {
	args := append(command[1:], "--pid", strconv.Itoa(os.Getpid()), "--socket", d.Control.Path(),
		"--name", cmp.Or(d.takeover.path, d.Control.Path()),
		"--interface", d.Stack.Interface().Info().Name, "--pin", d.Stack.Interface().Program().Pinned())
	cmd := exec.Command(command[0], args...)
	theirs, pipe, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the guard: %w", err)
	}
	defer theirs.Close()
	done, closed, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("start the guard: %w", err), pipe.Close())
	}
	defer closed.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, closed, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not meant for it
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the guard: %w", err), pipe.Close(), done.Close())
	}
	d.guard = guarded{pipe, done}
	_ = closed.Close() // so that its end is seen
	_ = done.SetReadDeadline(time.Now().Add(guardTime))
	if _, err := io.ReadFull(done, make([]byte, 1)); err != nil {
		return fmt.Errorf("the guard did not begin: %w", err)
	}
	return cmd.Process.Release()
}

// guardTime bounds the guard's beginning, and its end.
const guardTime = 5 * time.Second

// release has the guard, if there is one, clear up, and waits until it has. What is pinned stays if it is another process's now.
func (g *guarded) release(retired bool) {
	if g.pipe == nil {
		return
	}
	if !retired {
		_, _ = g.pipe.Write([]byte{'.'}) // in order
	}
	_ = g.pipe.Close()
	_ = g.done.SetReadDeadline(time.Now().Add(guardTime)) // it works on without us
	_, _ = io.Copy(io.Discard, g.done)
	_ = g.done.Close()
}
