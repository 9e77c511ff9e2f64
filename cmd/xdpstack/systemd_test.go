package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// manager is a systemd that is process 1 in namespaces of its own, with the network namespace of the lab's stack side. Only the units that
// a test gives it exist.
type manager struct {
	pid  int    // outside
	dir  string // see testdata/systemd/boot
	said output // by systemd itself
}

// targets are those that systemd and services refer to. The machine's have far too much behind them.
var targets = []string{"sysinit", "basic", "multi-user", "shutdown", "network-pre", "network"}

// boot starts systemd with units: their files' text by name, "x.service.d/y.conf" among them. Other files of its root are in files.
func boot(t *testing.T, lab *netlab.Lab, units, files map[string]string) *manager {
	t.Helper()
	needs(t, "go", "nsenter", "unshare", "systemctl", "systemd-analyze")
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{dir: t.TempDir()}
	put := func(name, text string) {
		t.Helper()
		at := filepath.Join(m.dir, name)
		for d := filepath.Dir(at); d != m.dir; d = filepath.Dir(d) {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		rewrite(t, at, text)
	}
	for _, name := range targets {
		put("root/etc/systemd/test/"+name+".target", "[Unit]\nDefaultDependencies=no\n")
	}
	for name, text := range units {
		put("root/etc/systemd/test/"+name, text)
	}
	for name, text := range files {
		put("root/"+name, text)
	}
	// What udev writes about an interface that is there (its rule 99-systemd), and has systemd make a device unit of it.
	record := fmt.Sprintf("I:1\nE:SYSTEMD_ALIAS=/sys/subsystem/net/devices/%s\nG:systemd\nQ:systemd\nV:1\n", lab.Stack.Interface)
	put(fmt.Sprintf("root/run/udev/data/n%d", lab.Stack.Index), record)
	put(fmt.Sprintf("root/run/udev/tags/systemd/n%d", lab.Stack.Index), "")
	put("log", "")
	if err := os.Link(path, filepath.Join(m.dir, "xdpstack")); err != nil {
		t.Fatal(err)
	}
	m.start(t, lab)
	return m
}

// start boots, and ends everything with the test.
func (m *manager) start(t *testing.T, lab *netlab.Lab) {
	t.Helper()
	group := controlGroup(t)
	fd, err := unix.Open(group, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	script, err := filepath.Abs("testdata/systemd/boot")
	if err != nil {
		t.Fatal(err)
	}
	console, tty := terminal(t)
	cmd := lab.Stack.Command(context.Background(), "unshare", "--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--uts", "--ipc",
		script, m.dir, tty)
	cmd.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	cmd.Stdout, cmd.Stderr = &m.said, &m.said
	go func() { _, _ = io.Copy(&m.said, console) }() // until it is closed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		console.Close()
		if t.Failed() {
			t.Logf("systemd and the services said:\n%s", m.log(t))
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if m.pid = child(cmd.Process.Pid); m.pid != 0 {
			if out, err := m.command("systemctl", "show", "--property=ActiveState", "multi-user.target").Output(); err == nil &&
				strings.TrimSpace(string(out)) == "ActiveState=active" {
				return
			}
		}
		select {
		case <-ended:
			t.Skipf("systemd cannot be process 1 here: %s", m.log(t))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("systemd does not boot: %s", m.log(t))
		}
	}
}

// terminal makes what systemd takes for a console.
func terminal(t *testing.T) (console *os.File, path string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no terminal for systemd: %v", err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	path = fmt.Sprintf("/dev/pts/%d", n)
	other, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() }) // without one that is open, reading is an error
	return os.NewFile(uintptr(fd), "console"), path
}

// controlGroup makes a control group (version 2) that ends with the test.
func controlGroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if f[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(f[1], "xs-test-")
		if err != nil {
			t.Skipf("no control group for systemd: %v", err)
		}
		t.Cleanup(func() { removeGroups(dir) })
		return dir
	}
	t.Skip("no control groups (version 2) are mounted")
	return ""
}

// removeGroups removes a control group and those in it. They are empty as soon as the kernel has ended the processes.
func removeGroups(dir string) {
	inner, _ := os.ReadDir(dir) // not filepath.Glob, for which the \x2d in their names means something
	for _, d := range inner {
		if d.IsDir() {
			removeGroups(filepath.Join(dir, d.Name()))
		}
	}
	for range 100 {
		if unix.Rmdir(dir) != unix.EBUSY {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// child returns the only child of a process, 0 as long as there is none.
func child(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// command is one that runs beside systemd.
func (m *manager) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", strconv.Itoa(m.pid), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"}, args...)...)
}

// systemctl runs systemctl, which must succeed.
func (m *manager) systemctl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := m.command(append([]string{"systemctl"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("systemctl %s: %v\n%s%s", strings.Join(args, " "), err, out, m.log(t))
	}
}

// show returns a property of a unit.
func (m *manager) show(t *testing.T, unit, property string) string {
	t.Helper()
	out, err := m.command("systemctl", "show", "--value", "--property="+property, unit).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// waitFor waits until a property of a unit has a value that is right.
func (m *manager) waitFor(t *testing.T, unit, property string, right func(string) bool) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got := m.show(t, unit, property)
		if right(got) {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s of %s stays %q\n%s", property, unit, got, m.log(t))
		}
	}
}

// mainPID returns the process of a unit, as it is numbered outside.
func (m *manager) mainPID(t *testing.T, unit string) int {
	t.Helper()
	inside := m.show(t, unit, "MainPID")
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range all {
		b, _ := os.ReadFile(path) // it may have ended
		_, rest, ok := strings.Cut(string(b), "\nNSpid:")
		if !ok {
			continue
		}
		line, _, _ := strings.Cut(rest, "\n")
		f := strings.Fields(line)
		pid, _ := strconv.Atoi(f[0])
		if f[len(f)-1] == inside && len(f) > 1 && sameNamespace(pid, m.pid) {
			return pid
		}
	}
	t.Fatalf("no process has the number %s inside", inside)
	return 0
}

// sameNamespace tells whether two processes are of one namespace of processes.
func sameNamespace(a, b int) bool {
	x, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", a))
	y, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", b))
	return err == nil && x == y
}

// write changes a file that is seen inside.
func (m *manager) write(t *testing.T, path, text string) {
	t.Helper()
	rewrite(t, fmt.Sprintf("/proc/%d/root%s", m.pid, path), text)
}

// log returns what systemd and the services have said.
func (m *manager) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(m.said.String(), "\r", "") + string(b)
}
