package bpf

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// withCapabilities calls f on a thread that has only these, and ends with it.
func withCapabilities(f func() error, capabilities ...int) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread goes with the goroutine
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		for _, c := range capabilities {
			data[c/32].Effective |= 1 << (c % 32)
			data[c/32].Permitted |= 1 << (c % 32)
		}
		if err := unix.Capset(&hdr, &data[0]); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// inAllModes loads a program for each mode, and as many for who has few capabilities, with a socket for queue 0.
func inAllModes(t *testing.T) (all []*Program) {
	t.Helper()
	for _, mode := range allModes {
		all = append(all, load(t, Config{Mode: mode}))
		var strict *Program
		err := withCapabilities(func() (err error) {
			strict, err = Load(Config{Mode: mode})
			return err
		}, unix.CAP_BPF, unix.CAP_NET_ADMIN)
		all = append(all, prepare(t, strict, err))
	}
	for _, p := range all {
		setSocket(t, p, 0)
	}
	return all
}

// TestLoadsWithFewCapabilities loads the program in all its shapes with no more than docs/privileges.md asks for. Without CAP_PERFMON the
// verifier is stricter: no differences of pointers, for one.
func TestLoadsWithFewCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give up all but a few capabilities")
	}
	for _, mode := range []Mode{OwnAddress, SharedAddress, WholeInterface} {
		for _, shape := range []int{0, 1, 6, 8, 15} {
			cfg := Config{Mode: mode, Fragments: shape&1 != 0, Hints: shape&2 != 0, Filter: shape&8 != 0}
			if shape&4 != 0 {
				cfg.VLAN, cfg.MaxPrefixes = 7, 4
			}
			t.Run(fmt.Sprintf("%+v", cfg), func(t *testing.T) {
				err := withCapabilities(func() error {
					p, err := Load(cfg)
					if err != nil {
						return err
					}
					return p.Close()
				}, unix.CAP_BPF, unix.CAP_NET_ADMIN)
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}
