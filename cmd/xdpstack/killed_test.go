package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// traffic writes to the discard service on several connections until they end, and counts the bytes. The returned function waits for
// the end.
func traffic(t *testing.T, lab *netlab.Lab, conns int) (sent *atomic.Int64, wait func()) {
	t.Helper()
	sent = new(atomic.Int64)
	var wg sync.WaitGroup
	var all []net.Conn
	for range conns {
		c, err := lab.Kernel.Dial("tcp", address(lab, 9))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for {
				n, err := c.Write(buf)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	return sent, func() {
		for _, c := range all {
			c.Close()
		}
		wg.Wait()
	}
}

// SIGKILL while as much comes in as can: no program stays on the interface, and the next process can start at once, even with the
// same control socket, which was left behind.
func TestKilledAtFullLoad(t *testing.T) {
	const enough = 64 << 20 // bytes, to be at full load
	for _, driver := range []string{"native", "asavie"} {
		t.Run(driver, func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "killed", Queues: 2})
			socket := filepath.Join(t.TempDir(), "s")
			args := append([]string{"serve", "discard", "echo", "--driver", driver, "--socket", socket}, linkArgs(lab)...)
			for round := range 3 {
				p := launch(t, lab, nil, args...)
				p.ready(t)
				sent, wait := traffic(t, lab, 4)
				for deadline := time.Now().Add(20 * time.Second); sent.Load() < enough; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("round %d: %d bytes sent", round, sent.Load())
					}
				}
				if err := p.cmd.Process.Signal(unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				if code := p.exitCode(t); code != -1 {
					t.Errorf("round %d: it ended by itself, with code %d\n%s", round, code, &p.err)
				}
				if round == 1 { // in the other rounds the next process comes at once
					if id := attached(t, lab, lab.Stack.Interface); id != 0 {
						t.Errorf("program %d stays attached", id)
					}
				}
				next := launch(t, lab, nil, args...)
				next.ready(t)
				c, err := lab.Kernel.Dial("tcp", address(lab, 7))
				if err != nil {
					t.Fatal(err)
				}
				echoes(t, c)
				c.Close()
				wait()
				endsWell(t, lab, next, socket)
			}
		})
	}
}

// endsWell asks a process to end and checks that nothing is left.
func endsWell(t *testing.T, lab *netlab.Lab, p *process, socket string) {
	t.Helper()
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
	if id := attached(t, lab, lab.Stack.Interface); id != 0 {
		t.Errorf("program %d stays attached", id)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
}
