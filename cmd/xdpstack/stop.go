package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/daemon"
)

type stopCommand struct {
	streams
	process processFlags
	drain   time.Duration
	asJSON  bool
}

func newStop(io streams) *cobra.Command {
	s := &stopCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "stop [PID]",
		Short: "End a running process in order",
		Long: `Asks a running process, through its control socket, to end, and waits until it has: it refuses new
connections, lets those that are open end within the time that it was started with (serve --drain) or that
--drain gives, and resets what is left then. Interrupting the wait changes nothing. Stopping a process
again while it waits for connections ends it at once.

SIGTERM does the same.`,
		Example: "  sudo xdpstack stop\n  sudo xdpstack stop 4711 --drain 1m\n  sudo xdpstack stop --drain 0s",
		RunE:    func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	s.process.register(cmd)
	cmd.Flags().DurationVar(&s.drain, "drain", 0, "how long open connections may take to end (default: as the process was started)")
	cmd.Flags().BoolVar(&s.asJSON, "json", false, "write JSON")
	return cmd
}

// stopped is what stop tells.
type stopped struct {
	PID   int     `json:"pid"`
	Ended bool    `json:"ended"`
	After float64 `json:"after_seconds"`
}

// stopMargin is how long a process may take to end besides what its connections take, before stop gives up waiting.
const stopMargin = 10 * time.Second

func (s *stopCommand) run(cmd *cobra.Command, args []string) error {
	if s.drain < 0 {
		return usagef("--drain %v: want 0s or more", s.drain)
	}
	client, err := s.process.find(s.err, args)
	if err != nil {
		return err
	}
	what := "/stop"
	if cmd.Flags().Changed("drain") {
		what += "?drain=" + url.QueryEscape(s.drain.String())
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
	defer cancel()
	begun := time.Now()
	var answer daemon.Stopping
	if err := client.Post(ctx, what, nil, &answer); err != nil {
		return err
	}
	patience := time.Duration(answer.Drain * float64(time.Second))
	if !s.asJSON {
		fmt.Fprintf(s.out, "process %d ends; connections may take %v\n", answer.PID, patience)
	}
	ended, err := waitForEnd(cmd.Context(), answer.PID, patience+stopMargin)
	if err != nil {
		return err
	}
	result := stopped{PID: answer.PID, Ended: ended, After: time.Since(begun).Seconds()}
	switch {
	case s.asJSON:
		if err := writeJSON(s.out, result); err != nil {
			return err
		}
	case ended:
		fmt.Fprintf(s.out, "process %d has ended after %v\n", result.PID, time.Since(begun).Round(time.Millisecond))
	}
	if !ended {
		return fmt.Errorf("process %d still runs after %v: kill -9 %d ends it, and leaves the interface clean", answer.PID,
			time.Since(begun).Round(time.Second), answer.PID)
	}
	return nil
}

// waitForEnd reports whether a process ended in time.
func waitForEnd(ctx context.Context, pid int, within time.Duration) (bool, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("process %d was asked to end, and cannot be waited for: %w", pid, err)
	}
	defer unix.Close(fd)
	for end := time.Now().Add(within); time.Now().Before(end); {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(poll, 50); n > 0 {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("process %d was asked to end, and was not waited for", pid)
		}
	}
	return false, nil
}
