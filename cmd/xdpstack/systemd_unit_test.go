package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// logged has what a service says in the test's log, and a watchdog that does not take a test's time.
const logged = "[Service]\nStandardOutput=append:/run/log\nStandardError=append:/run/log\nWatchdogSec=3s\n"

// serviceOf boots systemd with the unit for the lab's interface, which it does not start yet. The instance's name is what systemd-escape
// makes of the interface's.
func serviceOf(t *testing.T, lab *netlab.Lab, config string, dropIn ...string) (m *manager, unit string) {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	units := map[string]string{"xdpstack@.service": string(text), "xdpstack@.service.d/test.conf": logged + strings.Join(dropIn, "")}
	m = boot(t, lab, units, map[string]string{"etc/xdpstack/" + lab.Stack.Interface + ".toml": config})
	return m, "xdpstack@" + strings.ReplaceAll(lab.Stack.Interface, "-", `\x2d`) + ".service"
}

// TestUnderSystemd has the unit start, reload, hang, be killed and stop, with all of its hardening, under a real systemd.
func TestUnderSystemd(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "systemd", Queues: 2})
	config := configFor(lab, "", serviceNamed("echo"))
	file := "/etc/xdpstack/" + lab.Stack.Interface + ".toml"
	m, unit := serviceOf(t, lab, config)

	m.systemctl(t, "start", unit) // returns when the process is ready
	says(t, kernelDials(t, lab, 7), "started")
	if s := m.show(t, unit, "StatusText"); s == "" {
		t.Error("no status")
	}
	first := m.mainPID(t, unit)
	privileged(t, first, 65534, true)

	m.write(t, file, config+"[[service]]\nname = \"discard\"\n")
	m.systemctl(t, "reload", unit)
	kernelDials(t, lab, 9)
	m.write(t, file, config+"[[service]]\nname = \"nonsense\"\n")
	if out, err := m.command("systemctl", "reload", unit).CombinedOutput(); err == nil {
		t.Errorf("a bad configuration was taken: %s", out)
	}
	if !strings.Contains(m.log(t), "nonsense") {
		t.Error("the log does not say why")
	}
	kernelDials(t, lab, 9)
	if now := m.mainPID(t, unit); now != first || m.show(t, unit, "ActiveState") != "active" {
		t.Errorf("after the refused reload: process %d, before %d, %s", now, first, m.show(t, unit, "ActiveState"))
	}
	m.write(t, file, config)

	restarted := func(how string, restarts string) {
		t.Helper()
		m.waitFor(t, unit, "NRestarts", is(restarts))
		m.waitFor(t, unit, "ActiveState", is("active"))
		c := kernelDials(t, lab, 7)
		says(t, c, how)
		c.Close()
	}
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	restarted("killed", "1")
	if err := unix.Kill(m.mainPID(t, unit), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	restarted("hung", "2")
	if !strings.Contains(m.log(t), "Watchdog timeout") {
		t.Error("it was not the watchdog")
	}

	c := kernelDials(t, lab, 7) // the stop waits for it
	says(t, c, "open")
	m.systemctl(t, "stop", "--no-block", unit)
	m.waitFor(t, unit, "ActiveState", is("deactivating"))
	closes(t, lab, 7)
	says(t, c, "still open")
	if s := m.show(t, unit, "StatusText"); !strings.Contains(s, "1") {
		t.Errorf("status while it drains: %q", s)
	}
	c.Close()
	m.waitFor(t, unit, "ActiveState", is("inactive"))
	if result := m.show(t, unit, "Result"); result != "success" {
		t.Errorf("result %s", result)
	}
	if id := attached(t, lab, lab.Stack.Interface); id != 0 {
		t.Errorf("program %d stays attached", id)
	}
}

// closes waits until a port refuses connections.
func closes(t *testing.T, lab *netlab.Lab, port int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := lab.Kernel.Dial("tcp", address(lab, port))
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatalf("port %d still accepts", port)
		}
	}
}

// upgradeDropIn is what docs/deploy.md says for the unit.
func upgradeDropIn(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(b), "```\n[Service]\n")
	text, _, end := strings.Cut(after, "```")
	if !ok || !end || !strings.Contains(text, "xdpstack upgrade") {
		t.Fatal("docs/deploy.md has no drop-in for upgrades")
	}
	return text
}

// TestUpgradeUnderSystemd has "systemctl reload" put another process in the place of the first, twice: the unit stays active, a connection
// goes on, and the watchdog watches the new one.
func TestUpgradeUnderSystemd(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "systemd", Queues: 2})
	m, unit := serviceOf(t, lab, configFor(lab, "", serviceNamed("echo")), upgradeDropIn(t))
	m.systemctl(t, "start", unit)
	c := kernelDials(t, lab, 7)
	before := m.mainPID(t, unit)
	for _, round := range []string{"first", "second"} {
		says(t, c, round)
		m.systemctl(t, "reload", unit)
		now := m.mainPID(t, unit)
		if now == before {
			t.Fatalf("%s: the main process is the same\n%s", round, m.log(t))
		}
		says(t, c, round+", upgraded")
		privileged(t, now, 65534, true)
		before = now
		c.Close()
		c = kernelDials(t, lab, 7)
	}
	time.Sleep(3500 * time.Millisecond) // longer than the watchdog waits
	says(t, c, "still there")
	c.Close()
	if n, state := m.show(t, unit, "NRestarts"), m.show(t, unit, "ActiveState"); n != "0" || state != "active" {
		t.Errorf("%s restarts, %s\n%s", n, state, m.log(t))
	}
	if err := unix.Kill(before, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.waitFor(t, unit, "NRestarts", is("1"))
	m.waitFor(t, unit, "ActiveState", is("active"))
	says(t, kernelDials(t, lab, 7), "hung")
}
