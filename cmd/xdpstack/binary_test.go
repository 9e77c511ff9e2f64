package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// buildDir is where build puts the command; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) {
	if step := os.Getenv("XDPSTACK_TEST_SUCCESSOR"); step != "" {
		os.Exit(badSuccessor(step))
	}
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// build builds the command, once for all tests that run it as users do: as a process of its own.
var build = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "xdpstack-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "xdpstack")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// needs skips a test where a program is not installed.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed: make setup as root on Debian installs it", p)
		}
	}
}

// process is the command as a process in the stack's namespace of a lab.
type process struct {
	cmd      *exec.Cmd
	out, err output
	ended    chan struct{}
}

// launch starts the built command. The words of prefix are put before it, "setpriv" and its arguments for example. What still runs
// at the end of the test is killed.
func launch(t *testing.T, lab *netlab.Lab, prefix []string, args ...string) *process {
	t.Helper()
	needs(t, append([]string{"go", "nsenter"}, prefix[:min(1, len(prefix))]...)...)
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	words := append(append(append([]string{}, prefix...), path), args...)
	p := &process{cmd: lab.Stack.Command(context.Background(), words[0], words[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state tells
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// exitCode waits for the end and returns the exit code, -1 after a signal.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end:\n%s%s", &p.out, &p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// ready waits until the process serves.
func (p *process) ready(t *testing.T) {
	t.Helper()
	running := func() bool {
		select {
		case <-p.ended:
			return false
		default:
			return true
		}
	}
	for deadline := time.Now().Add(20 * time.Second); !p.err.contains("msg=ready"); time.Sleep(5 * time.Millisecond) {
		if !running() || time.Now().After(deadline) {
			t.Fatalf("it is not ready, and running: %v\n%s", running(), &p.err)
		}
	}
}

// attached returns the number of the XDP program on the stack's interface, 0 for none. The kernel may take a moment to remove it
// after the process has ended.
func attached(t *testing.T, lab *netlab.Lab, iface string) (id uint32) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := lab.Stack.Do(func() error {
			info, err := afxdp.Discover(iface)
			id = info.Program
			return err
		})
		if errors.Is(err, afxdp.ErrNoInterface) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		if id == 0 || time.Now().After(deadline) {
			return id
		}
	}
}
