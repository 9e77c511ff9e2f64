package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/privileges"
)

// privilegeFlags say what a process keeps of its privileges when everything is open.
type privilegeFlags struct {
	keep    privileges.Config
	seccomp string
}

func (f *privilegeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keep.User, "user", "",
		"who root becomes once all is open: USER or USER:GROUP; root to stay root (default nobody)")
	cmd.Flags().StringVar(&f.seccomp, "seccomp", string(privileges.On), "what needless system calls do: on (fail), kill, log, off")
	choices(cmd, "seccomp", seccompModes()...)
}

func seccompModes() (names []string) {
	for _, m := range privileges.Modes {
		names = append(names, string(m))
	}
	return names
}

func (f *privilegeFlags) check() error {
	f.keep.Seccomp = privileges.Mode(f.seccomp)
	if err := f.keep.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// apply has a daemon give up privileges, if the process is its own.
func (f *privilegeFlags) apply(cfg *daemon.Config, own bool) {
	if !own {
		return
	}
	cfg.Privileges = &f.keep
	if self, err := os.Executable(); err == nil { // else a control socket stays behind, which is harmless
		cfg.Guard = []string{self, "guard"}
	}
}
