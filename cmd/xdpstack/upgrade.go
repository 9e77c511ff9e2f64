package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/daemon"
)

type upgradeCommand struct {
	streams
	process processFlags
	binary  string
	drain   time.Duration
	asJSON  bool
}

func newUpgrade(io streams) *cobra.Command {
	u := &upgradeCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "upgrade [PID]",
		Short: "Replace a running process by one of a new binary, without a refused connection",
		Long: `Starts the binary that a running process was started from, as it is now, with the same command line,
environment, output and network namespace, and has the running process give the interface to it: sockets,
memory, XDP program and listening ports. From then on the new process accepts, and the old one goes on
with the connections that it has: their packets pass through the new one. It ends with the last of them,
or after --drain, when it closes those that are left as stop does.

If the new process fails at any step before it is ready, or is of a version that cannot take over, nothing
changes: the old one goes on, and this command says why.`,
		Example: "  sudo xdpstack upgrade\n  sudo xdpstack upgrade 4711 --drain 1h\n  sudo xdpstack upgrade --binary ./xdpstack --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return u.run(cmd.Context(), args) },
	}
	u.process.register(cmd)
	cmd.Flags().StringVar(&u.binary, "binary", "", "the new binary (default: at the path that the process was started from)")
	cmd.Flags().DurationVar(&u.drain, "drain", daemon.DefaultUpgradeDrain, "how long the old process may wait for its connections to end")
	cmd.Flags().BoolVar(&u.asJSON, "json", false, "write JSON")
	return cmd
}

// upgradeTime bounds an upgrade: each of its steps is bounded by itself.
const upgradeTime = time.Minute

func (u *upgradeCommand) run(ctx context.Context, args []string) error {
	if u.drain <= 0 {
		return usagef("--drain %v: want more than 0s", u.drain)
	}
	client, err := u.process.find(u.err, args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upgradeTime)
	defer cancel()
	var plan daemon.Plan
	if err := client.Post(ctx, "/upgrade", daemon.Upgrade{Drain: u.drain.Seconds()}, &plan); err != nil {
		return err
	}
	plan.Socket = client.Path
	successor, err := daemon.Successor(plan, u.binary)
	if err == nil {
		err = daemon.StartSuccessor(plan, successor)
	}
	if err != nil {
		return errors.Join(err, client.Post(ctx, "/upgrade/cancel", nil, nil))
	}
	done, err := await(ctx, client, successor)
	if err != nil {
		_ = client.Post(context.WithoutCancel(ctx), "/upgrade/cancel", nil, nil) // it may know already
		return err
	}
	if u.asJSON {
		return writeJSON(u.out, done)
	}
	fmt.Fprintf(u.out, "process %d has taken over from %d; packets waited for %v\n", done.New, done.Old,
		time.Duration(done.Stopped*float64(time.Second)).Round(10*time.Microsecond))
	return nil
}

// await waits until the new process has taken over, and gives its control socket the name of the one before. One that fails is ended.
func await(ctx context.Context, client control.Client, successor *exec.Cmd) (done daemon.Upgraded, err error) {
	ended, answered := make(chan error, 1), make(chan error, 1)
	go func() { ended <- successor.Wait() }()
	go func() { answered <- client.Get(ctx, "/upgrade", &done) }()
	select {
	case err = <-answered:
	case how := <-ended:
		select {
		case err = <-answered: // the old process knows why
		case <-time.After(time.Second):
			return done, fmt.Errorf("the new process ended before it took over (%s): the log says why; the old one goes on",
				successor.ProcessState)
		}
		ended <- how
	}
	if err != nil {
		_ = successor.Process.Kill() // it may have ended by itself
		<-ended
		return done, err
	}
	if done.Control != client.Path+"."+strconv.Itoa(done.New) {
		return done, nil // it has a name of its own
	}
	if err := os.Rename(done.Control, client.Path); err != nil && !errors.Is(err, os.ErrNotExist) { // it had the right to do that itself
		return done, fmt.Errorf("process %d has taken over, and its control socket stays at %s: %w", done.New, done.Control, err)
	}
	return done, nil
}
