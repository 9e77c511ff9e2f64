package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
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

// mountBPF makes sure that there is a BPF file system where systemd would have mounted one.
func mountBPF(t *testing.T) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err != nil {
		t.Skipf("/sys/fs/bpf: %v", err)
	}
	if st.Type == unix.BPF_FS_MAGIC {
		return
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
		t.Skipf("mount /sys/fs/bpf: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH) })
}

// With --crash pin, SIGKILL under load leaves the program, the kernel's traffic goes on, and the next process takes its place without a
// moment in which there is none; an orderly end leaves nothing.
func TestKilledWithPin(t *testing.T) {
	mountBPF(t)
	lab := netlab.ForTest(t, netlab.Config{Name: "killpin", Queues: 2})
	iface := lab.Stack.Interface
	t.Cleanup(func() { command(t.Context(), nil, "clean", "-i", iface) })
	socket := filepath.Join(t.TempDir(), "s")
	args := append([]string{"serve", "discard", "echo", "--crash", "pin", "--drain", "0s", "--socket", socket}, linkArgs(lab)...)
	start := func() *process {
		p := launch(t, lab, nil, args...)
		p.ready(t)
		return p
	}
	kill := func(p *process) {
		t.Helper()
		if err := p.cmd.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.exitCode(t)
	}
	program := func() (id uint32) {
		t.Helper()
		inStackNamespace(t, lab, func() error {
			info, err := afxdp.Discover(iface)
			id = info.Program
			return err
		})
		return id
	}
	p := start()
	first := program()
	sent, wait := traffic(t, lab, 4)
	for deadline := time.Now().Add(20 * time.Second); sent.Load() < 32<<20; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes sent", sent.Load())
		}
	}
	kill(p)
	if id := program(); id != first {
		t.Errorf("program %d is on the interface, want %d", id, first)
	}
	kernelTakes(t, lab, iface, "10.79.0.1/24") // what is the kernel's goes through the program
	needs(t, "ping", "ip")
	ping := lab.Kernel.Command(t.Context(), "sh", "-c", fmt.Sprintf("ip addr add 10.79.0.2/24 dev %s && ping -c 2 -i 0.2 -W 2 10.79.0.1",
		lab.Kernel.Interface))
	if out, err := ping.CombinedOutput(); err != nil || !strings.Contains(string(out), " 0% packet loss") {
		t.Errorf("%v\n%s", err, out)
	}
	if code, out, _ := inside(t.Context(), lab, nil, "doctor", "-i", iface); !strings.Contains(out, "pinned by a process that was killed") {
		t.Errorf("doctor does not say what is there, exit code %d:\n%s", code, out)
	}
	stop := make(chan struct{})
	watched := make(chan bool)
	go func() { // that there is no moment without a program
		never := true
		for {
			select {
			case <-stop:
				watched <- never
				return
			default:
				var id uint32
				_ = lab.Stack.Do(func() error {
					info, err := afxdp.Discover(iface)
					id = info.Program
					return err
				})
				never = never && id != 0
			}
		}
	}()
	next := start()
	close(stop)
	if !<-watched {
		t.Error("there was a moment without a program")
	}
	if id := program(); id == first || id == 0 {
		t.Errorf("program %d is on the interface, and %d was", id, first)
	}
	says(t, kernelDials(t, lab, 7), "again")
	wait()
	if code, out, errs := command(t.Context(), nil, "clean", "-i", iface); code != exitFailure {
		t.Errorf("clean, of a process that runs: exit code %d, %s%s", code, out, errs)
	}
	kill(next)
	if code, out, errs := command(t.Context(), nil, "clean", "-i", iface); code != exitOK || !strings.Contains(out, "is removed") {
		t.Errorf("clean: exit code %d, %s%s", code, out, errs)
	}
	if id := attached(t, lab, iface); id != 0 {
		t.Errorf("program %d stays attached", id)
	}
	endsWell(t, lab, start(), socket)
	if _, err := os.Stat(filepath.Join(bpf.PinDir, iface)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something stays pinned: %v", err)
	}
}
