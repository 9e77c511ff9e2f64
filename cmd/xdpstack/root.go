package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // what was asked for could not be done
	exitUsage   = 2 // what was asked for was not understood
)

// streams are what a command talks through.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// own says that the process is the command's own: it may give up privileges, which do not come back.
	own bool
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported is a failure that the command has told about already.
var errReported = errors.New("failed")

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, io streams) int {
	root := newRoot(io)
	root.SetArgs(args)
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	cmd, err := root.ExecuteContextC(ctx)
	return exitCode(io.err, cmd, err)
}

// exitCode tells about a failure and returns the exit code.
func exitCode(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(w, "xdpstack:", strings.TrimPrefix(err.Error(), "xdpstack: "))
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(w, "See %s --help.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailure
}

func newRoot(io streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "xdpstack",
		Short: "A TCP/IP stack in user space, on AF_XDP",
		Long: `xdpstack is a TCP/IP stack in user space. A small XDP program steers the packets of one
address past the kernel into memory that this process shares with it (AF_XDP).

  xdpstack demo      shows all of it on a network of its own; start here
  xdpstack doctor    says whether this machine can, and what to do if not

Exit codes: 0 success, 1 failure, 2 a mistake in the command line.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usagef("unknown command %q: is %s meant?", args[0], near[0])
			}
			return usagef("unknown command %q", args[0])
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newDemo(io),
		newGen(io),
		newServe(io),
		newCheck(io), newReload(io), newStop(io), newClean(io), newUpgrade(io),
		newProxy(io),
		newLoad(io),
		newGet(io),
		newNC(io),
		newIperf3(io),
		newDoctor(io),
		newTune(io),
		newStats(io), newFilter(io), newCapture(io),
		newTop(io),
		newSS(io),
		newTrace(io),
		newReport(io),
		newVersion(io),
		newRx(io), newReflect(io),
		newRFC2544(io),
		newGuard(), newBroker(io),
	)
	root.SuggestionsMinimumDistance = 2
	return root
}

// exactly wants so many arguments, and says what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n && n > 0:
			return usagef("%s is missing", what)
		case len(args) > n:
			return usagef("too many arguments: %s", strings.Join(args[n:], " "))
		}
		return nil
	}
}
