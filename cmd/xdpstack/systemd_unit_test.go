package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// logged has what a service says in the test's log.
const logged = "[Service]\nStandardOutput=append:/run/log\nStandardError=append:/run/log\n"

// impatient is a watchdog that does not take a test's time.
const impatient = "WatchdogSec=3s\n"

// instance is the name of a unit for the lab's interface, as systemd-escape makes it.
func instance(lab *netlab.Lab, template string) string {
	return strings.Replace(template, "@", "@"+strings.ReplaceAll(lab.Stack.Interface, "-", `\x2d`), 1)
}

// serviceOf boots systemd with the unit for the lab's interface, which it does not start yet.
func serviceOf(t *testing.T, lab *netlab.Lab, config string, dropIn ...string) (m *manager, unit string) {
	t.Helper()
	name := unitFiles[0]
	units := map[string]string{name: unitText(t, name), name + ".d/test.conf": logged + impatient + strings.Join(dropIn, "")}
	m = boot(t, lab, units, map[string]string{"etc/xdpstack/" + lab.Stack.Interface + ".toml": config})
	return m, instance(lab, name)
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
	m.waitFor(t, unit, "StatusText", func(s string) bool { return strings.HasPrefix(s, "stopping: ") && strings.Contains(s, "left") })
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

// TestBrokerUnderSystemd has the two units serve, of which one never has a privilege; it goes on without the other, and comes back with
// it.
func TestBrokerUnderSystemd(t *testing.T) {
	const none = "0000000000000000"
	lab := netlab.ForTest(t, netlab.Config{Name: "systemd", Queues: 2, BothKernel: true})
	units := make(map[string]string)
	for _, name := range unitFiles[1:] {
		units[name], units[name+".d/test.conf"] = unitText(t, name), logged
	}
	units[unitFiles[2]+".d/test.conf"] += impatient + "User=33\n" // www-data, in Debian
	config := fmt.Sprintf("interface = %q\nshared = true\n[[service]]\nname = \"echo\"\n", lab.Stack.Interface)
	file := "etc/xdpstack/" + lab.Stack.Interface
	m := boot(t, lab, units, map[string]string{file + ".toml": config, file + ".broker": "ARGS=--shared --ports 7,9 --allow-user 33\n"})
	broker, server := instance(lab, unitFiles[1]), instance(lab, unitFiles[2])

	m.systemctl(t, "start", server) // and with it the broker, before it
	says(t, kernelDials(t, lab, 7), "never privileged")
	pid := m.mainPID(t, server)
	for _, s := range tasks(t, pid) {
		for name, want := range map[string]string{"CapEff": none, "CapPrm": none, "CapBnd": none, "NoNewPrivs": "1", "Seccomp": "2"} {
			if s[name] != want {
				t.Errorf("thread %s: %s %s, want %s", s["Pid"], name, s[name], want)
			}
		}
		if s["Uid"] != strings.Repeat("33\t", 3)+"33" {
			t.Errorf("thread %s: user %s", s["Pid"], s["Uid"])
		}
	}
	m.systemctl(t, "stop", broker)
	says(t, kernelDials(t, lab, 7), "without the broker")

	m.systemctl(t, "start", broker)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.waitFor(t, server, "NRestarts", is("1"))
	m.waitFor(t, server, "ActiveState", is("active"))
	m.write(t, "/"+file+".toml", config+"[[service]]\nname = \"discard\"\n")
	m.systemctl(t, "reload", server) // which asks the broker for port 9
	kernelDials(t, lab, 9).Close()
	m.systemctl(t, "stop", server, broker)
	if id := attached(t, lab, lab.Stack.Interface); id != 0 {
		t.Errorf("program %d stays attached", id)
	}
}
