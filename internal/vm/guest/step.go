package guest

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// killDelay is how long a program has to print its goroutines before it is killed.
const killDelay = 5 * time.Second

// environment is what every step has. The cards are those of netlab.
func environment() []string {
	return []string{
		"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp", "TERM=dumb", "GOTRACEBACK=all",
		"XDPSTACK_NICS=" + strings.Join(Cards[:], ","),
	}
}

// run runs the step to its end.
func (s *Step) run(output io.Writer) Ended {
	ctx, cancel := context.WithCancel(context.Background())
	if s.Timeout > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), s.Timeout)
	}
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Args[0], s.Args[1:]...)
	cmd.Dir, cmd.Env = s.Dir, append(environment(), s.Env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = killDelay
	start := time.Now()
	err := cmd.Run()
	e := Ended{Elapsed: time.Since(start), TimedOut: errors.Is(ctx.Err(), context.DeadlineExceeded)}
	if cmd.ProcessState == nil {
		e.Status, e.Why = 127, err.Error()
		return e
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	e.Status = status.ExitStatus()
	if status.Signaled() {
		e.Status, e.Why = 128+int(status.Signal()), status.Signal().String()
	}
	return e
}
