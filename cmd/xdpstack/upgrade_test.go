package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/fdpass"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/stack"
)

// upgradeLoad is a kernel's clients that open connections to an echo one after the other, and others that send and receive all the time.
type upgradeLoad struct {
	connects, bytes atomic.Int64
	stop            chan struct{}
	done            sync.WaitGroup
}

func startUpgradeLoad(t *testing.T, lab *netlab.Lab, openers, streams int) *upgradeLoad {
	l := &upgradeLoad{stop: make(chan struct{})}
	stopped := func() bool {
		select {
		case <-l.stop:
			return true
		default:
			return false
		}
	}
	for range openers {
		l.done.Go(func() {
			for !stopped() {
				if err := echoOnce(lab); err != nil {
					t.Errorf("connection %d: %v", l.connects.Load(), err)
					return
				}
				l.connects.Add(1)
			}
		})
	}
	for i := range streams {
		c := kernelDials(t, lab, 7)
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		l.done.Go(func() {
			sent, got, length := sha256.New(), sha256.New(), int64(0)
			go func() {
				random, buf := rand.NewChaCha8([32]byte{byte(i)}), make([]byte, 16<<10)
				for !stopped() {
					random.Read(buf)
					sent.Write(buf)
					if _, err := c.Write(buf); err != nil {
						t.Errorf("stream %d: write: %v", i, err)
						return
					}
					length += int64(len(buf))
				}
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			n, err := io.Copy(got, c)
			if err != nil || n != length || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
				t.Errorf("stream %d: %d bytes of %d came back (%v), or others", i, n, length, err)
			}
			l.bytes.Add(n)
		})
	}
	return l
}

func echoOnce(lab *netlab.Lab) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := lab.Kernel.DialContext(ctx, "tcp", address(lab, 7))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var b [5]byte
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "hello" {
		return fmt.Errorf("%q came back: %w", b, err)
	}
	return nil
}

func (l *upgradeLoad) end() {
	close(l.stop)
	l.done.Wait()
}

// replaced replaces the process with a control socket by another of the same binary, which is ended with the test, and returns that one's PID,
// when the control socket is its.
func replaced(t *testing.T, first *process, socket string, pid int) int {
	t.Helper()
	code, out, errs := command(t.Context(), nil, "upgrade", "--socket", socket, "--json")
	var done daemon.Upgraded
	if err := json.Unmarshal([]byte(out), &done); err != nil || code != exitOK || done.Old != pid || done.New == pid {
		t.Fatalf("upgrade: exit code %d, %v\n%s%s\n%s", code, err, out, errs, &first.err)
	}
	t.Logf("packets waited for %v", time.Duration(done.Stopped*1e9))
	t.Cleanup(func() { _ = unix.Kill(done.New, unix.SIGKILL) }) // it may have ended
	var info control.Info
	for end := time.Now().Add(5 * time.Second); info.PID != done.New; time.Sleep(5 * time.Millisecond) {
		if err := (control.Client{Path: socket}).Get(t.Context(), "/info", &info); err != nil || time.Now().After(end) {
			t.Fatalf("the control socket is process %d's, want %d: %v\n%s", info.PID, done.New, err, &first.err)
		}
	}
	return done.New
}

// TestUpgrade replaces a process three times, as an operator does, while a kernel's clients use it: no connection fails, none is reset, and
// every byte is as it was. The control socket has one name all the time. The processes before end with their last connection.
func TestUpgrade(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "upgrade"})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.String(), "echo", "--socket", socket)
	p.ready(t)
	load := startUpgradeLoad(t, lab, 2, 2)
	pid := p.cmd.Process.Pid
	pids := []int{pid}
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		pid = replaced(t, p, socket, pid)
		pids = append(pids, pid)
	}
	time.Sleep(200 * time.Millisecond)
	load.end()
	t.Logf("%d connections, %d MiB", load.connects.Load(), load.bytes.Load()>>20)
	if strings.Contains(p.err.String(), "level=ERROR") || strings.Contains(p.err.String(), "guard:") {
		t.Errorf("the processes say:\n%s", &p.err)
	}
	if err := echoOnce(lab); err != nil {
		t.Error(err)
	}
	code, out, errs := command(t.Context(), nil, "stop", "--socket", socket)
	if code != exitOK {
		t.Errorf("stop: exit code %d\n%s%s\n%s", code, out, errs, &p.err)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Errorf("the first process ended with exit code %d\n%s", code, &p.err)
	}
	if id := attached(t, lab, lab.Stack.Interface); id != 0 {
		t.Errorf("program %d is still attached", id)
	}
	for _, pid := range pids {
		for end := time.Now().Add(5 * time.Second); unix.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("process %d of %v has not ended", pid, pids)
				break
			}
		}
	}
}

// TestUpgradeBehindTheShield does the same while each connection begins with a cookie of the XDP program's.
func TestUpgradeBehindTheShield(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "upgrade"})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.String(), "--shield", "always", "--attach", "generic",
		"echo", "--socket", socket)
	p.ready(t)
	load := startUpgradeLoad(t, lab, 2, 2)
	pid := p.cmd.Process.Pid
	for range 2 {
		time.Sleep(200 * time.Millisecond)
		pid = replaced(t, p, socket, pid)
	}
	answered := func() uint64 {
		t.Helper()
		var s snapshot.Snapshot
		if err := (control.Client{Path: socket}).Get(t.Context(), "/stats", &s); err != nil {
			t.Fatal(err)
		}
		return s.Value("steer_answered_syn_cookie")
	}
	before := answered()
	time.Sleep(200 * time.Millisecond)
	load.end()
	t.Logf("%d connections, %d MiB, %d cookies", load.connects.Load(), load.bytes.Load()>>20, answered())
	if err := echoOnce(lab); err != nil {
		t.Error(err)
	}
	if after := answered(); after == before {
		t.Errorf("no SYN is answered in XDP any more, after %d\n%s", before, &p.err)
	}
	if code := endsLast(t, p, socket); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
}

// TestUpgradeFails has what is to take over fail at each step. The command says so, and the old process goes on, with all its connections.
func TestUpgradeFails(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "upgrade"})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.String(), "echo", "--socket", socket)
	p.ready(t)
	load := startUpgradeLoad(t, lab, 1, 1)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := func(step string) string {
		path := filepath.Join(t.TempDir(), "xdpstack")
		text := fmt.Sprintf("#!/bin/sh\nXDPSTACK_TEST_SUCCESSOR=%s exec %s\n", step, self)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, binary, want string }{
		{"there is none", "/nonexistent", "no such file"},
		{"it is something else", "/bin/false", "ended before it took over"},
		{"it dies at once", script("die"), "ended before it took over"},
		{"it dies with the offer", script("offer"), "could not prepare"},
		{"it cannot", script("fail"), "no room"},
		{"it dies when it is ready", script("prepared"), "did not begin"},
		{"it dies with everything", script("state"), "did not begin"},
	} {
		before := load.connects.Load()
		code, out, errs := command(t.Context(), nil, "upgrade", "--socket", socket, "--binary", c.binary)
		if code != exitFailure || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d, and it does not say %q:\n%s%s", c.name, code, c.want, out, errs)
		}
		for end := time.Now().Add(5 * time.Second); load.connects.Load() < before+10; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: no more connections are accepted\n%s", c.name, &p.err)
			}
		}
	}
	load.end()
	code, out, errs := command(t.Context(), nil, "upgrade", "--socket", socket)
	if code != exitOK {
		t.Errorf("after all that: exit code %d\n%s%s", code, out, errs)
	}
	if err := echoOnce(lab); err != nil {
		t.Error(err)
	}
	if code, out, errs := command(t.Context(), nil, "stop", "--socket", socket); code != exitOK {
		t.Errorf("stop: exit code %d\n%s%s", code, out, errs)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
}

// badSuccessor is a process that takes over as far as a step, and ends.
func badSuccessor(step string) int {
	if step == "die" {
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := control.Client{Path: os.Getenv(daemon.TakeOver)}.Socket(ctx, "/handover")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := stack.ReceiveHandover(c); err != nil || step == "offer" {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if step == "fail" {
		_ = fdpass.Send(c, []byte(`{"failed":"no room"}`), nil)
		return 1
	}
	if err := fdpass.Send(c, fmt.Appendf(nil, `{"pid":%d}`, os.Getpid()), nil); err != nil || step == "prepared" {
		return 1
	}
	for range 2 { // of the filter, and of the queues
		if _, _, err := fdpass.Receive(c, fdpass.Limits{Body: 1 << 20}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return 1
}
