package privileges

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Result says what a process became.
type Result struct {
	User    string // who it is now
	Kept    bool   // it is root, as it was told, with all capabilities
	Bounded bool   // the bounding set is empty; without CAP_SETPCAP it is as it was, which no_new_privs makes harmless
	Seccomp Mode
}

// String is for the log.
func (r Result) String() string {
	s := r.User + ", no capabilities"
	switch {
	case r.Kept:
		s = r.User + ", all capabilities kept"
	case !r.Bounded:
		s += " (bounding set as it was)"
	}
	return s + ", system call filter " + string(r.Seccomp)
}

// Drop gives up what the process may do, but for what cfg says. It is called once, when everything is open. After an error the process
// may have given up a part, and must end.
func Drop(cfg Config) (Result, error) {
	r, err := drop(cfg)
	if err != nil {
		return r, fmt.Errorf("drop privileges: %w", err)
	}
	return r, nil
}

func drop(cfg Config) (r Result, err error) {
	if err := cfg.Validate(); err != nil {
		return r, err
	}
	if cfg.Seccomp == "" {
		cfg.Seccomp = On
	}
	may, err := effective()
	if err != nil {
		return r, err
	}
	id, change, err := cfg.target(may)
	if err != nil {
		return r, err
	}
	r = Result{User: id.String(), Seccomp: cfg.Seccomp, Kept: cfg.KeepsAll() && !change}
	if !r.Kept {
		if r.Bounded, err = forget(id, change, may); err != nil {
			return r, err
		}
	}
	if err := prctlAll(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return r, fmt.Errorf("set no_new_privs: %w", err)
	}
	if cfg.Seccomp != Off {
		if err := install(Server(cfg.KernelSockets), cfg.Seccomp); err != nil {
			return r, err
		}
	}
	return r, verify(id, r)
}

// forget becomes the user and gives up all capabilities.
func forget(id identity, change bool, may capSet) (bounded bool, err error) {
	if bounded = may.has(capSetpcap); bounded {
		if err := dropBounding(0); err != nil {
			return false, err
		}
	}
	if err := clearAmbient(); err != nil && !errors.Is(err, unix.EINVAL) { // before Linux 4.3 there was none
		return bounded, err
	}
	if change {
		if err := become(id); err != nil {
			return bounded, err
		}
	}
	return bounded, setCaps(0)
}

// Reduce keeps some capabilities of those that the process has, on every thread, and no_new_privs: for helpers that do one thing.
func Reduce(keep ...int) error {
	have, err := effective()
	if err != nil {
		return fmt.Errorf("reduce privileges: %w", err)
	}
	var rest capSet
	for _, n := range keep {
		rest |= have & (1 << n)
	}
	if have.has(capSetpcap) {
		if err := dropBounding(rest); err != nil {
			return fmt.Errorf("reduce privileges: %w", err)
		}
	}
	if err := clearAmbient(); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("reduce privileges: %w", err)
	}
	if err := setCaps(rest); err != nil {
		return fmt.Errorf("reduce privileges: %w", err)
	}
	if err := prctlAll(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("reduce privileges: set no_new_privs: %w", err)
	}
	return nil
}
