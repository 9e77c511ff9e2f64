package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// unprivileged runs a program as nobody, without any capability from the beginning.
var unprivileged = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"}

// TestServeThroughABroker has a process that never had a privilege serve on an interface that a broker has opened.
func TestServeThroughABroker(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "broker", Queues: 2})
	dir := publicDir(t)
	if err := os.WriteFile(filepath.Join(dir, "page"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	at, socket := filepath.Join(dir, "broker"), filepath.Join(dir, "s")
	own := lab.Stack.Address.Addr().String()
	b := launch(t, lab, nil, "broker", "-i", lab.Stack.Interface, "-a", own, "--allow-user", "65534", "--socket", at)
	b.ready(t)
	args := append([]string{"serve", "echo", "http", "--root", dir, "--broker", at, "--socket", socket}, linkArgs(lab)...)

	p := launch(t, lab, unprivileged, args...)
	p.ready(t)
	privileged(t, p.cmd.Process.Pid, 65534, true)
	for _, s := range tasks(t, b.cmd.Process.Pid) {
		if s["CapEff"] != "000000c000007000" && s["CapEff"] != "000000c000003000" || s["NoNewPrivs"] != "1" || s["Seccomp"] != "2" {
			t.Errorf("the broker's thread %s: CapEff %s, NoNewPrivs %s, Seccomp %s", s["Pid"], s["CapEff"], s["NoNewPrivs"], s["Seccomp"])
		}
	}
	serves(t, lab, socket)
	followsTheLink(t, lab, p)
	if code, _, errs := command(t.Context(), nil, "upgrade", "--socket", socket); code != exitFailure || !strings.Contains(errs, "is a broker's") {
		t.Errorf("upgrade: exit code %d, %s", code, errs)
	}
	serves(t, lab, socket)
	second := launch(t, lab, unprivileged, append([]string{"serve", "echo", "--broker", at, "--socket", socket + "2"}, linkArgs(lab)...)...)
	endsWithError(t, second, "is process")
	if err := p.cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.exitCode(t)
	b.err.waitFor(t, "given back")
	if id := attached(t, lab, lab.Stack.Interface); id != 0 {
		t.Errorf("program %d stays attached", id)
	}

	next := launch(t, lab, unprivileged, args...) // the broker serves the next
	next.ready(t)
	if err := b.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := b.exitCode(t); code != exitOK {
		t.Errorf("broker: exit code %d\n%s", code, &b.err)
	}
	serves(t, lab, socket) // without the broker it goes on
	endsWell(t, lab, next, socket)
}

// TestBrokerRefuses asks for what may not be had.
func TestBrokerRefuses(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "refuse"})
	at := filepath.Join(publicDir(t), "broker")
	b := launch(t, lab, nil, "broker", "-i", lab.Stack.Interface, "-a", "10.99.0.0/24", "--allow-user", "65534", "--memory", "64MiB", "--socket", at)
	b.ready(t)
	stranger := []string{"setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"}
	for _, c := range []struct {
		prefix []string
		args   string
		says   string
	}{
		{stranger, "-a 10.99.0.1/24", "user 65533 may not ask"},
		{unprivileged, "-a 10.98.0.1/24", "10.98.0.1 is not one of those that may be taken"},
		{unprivileged, "-a 10.99.0.1/24 --addresses 10.99.0.200-10.99.1.2", "not one of those"},
		{unprivileged, "-a 10.99.0.1/24 -i lo", `interface "lo" is not one of`},
		{unprivileged, "-a 10.99.0.1/24 --frames 200000", "64 MiB"},
		{unprivileged, "-a 10.99.0.1/24 --driver asavie", "cannot be handed over"},
	} {
		args := append([]string{"serve", "echo", "--broker", at, "--socket", at + ".s", "-i", lab.Stack.Interface}, strings.Fields(c.args)...)
		endsWithError(t, launch(t, lab, c.prefix, args...), c.says)
	}
	time.Sleep(10 * time.Millisecond)
	if strings.Contains(b.err.String(), "given") {
		t.Errorf("something was given:\n%s", &b.err)
	}
}

// endsWithError checks that a process ends with an error.
func endsWithError(t *testing.T, p *process, says string) {
	t.Helper()
	if code := p.exitCode(t); code != exitFailure || !strings.Contains(p.err.String(), says) {
		t.Errorf("exit code %d, no %q in: %s", code, says, &p.err)
	}
}
