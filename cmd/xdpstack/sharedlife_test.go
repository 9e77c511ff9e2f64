package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// sharedConfig is a configuration for the kernel's address on the lab's stack side.
func sharedConfig(lab *netlab.Lab, services ...string) string {
	text := fmt.Sprintf("interface = %q\nshared = true\nstop.drain = \"0s\"\n", lab.Stack.Interface)
	for _, s := range services {
		text += "[[service]]\n" + s + "\n"
	}
	return text
}

// kernelHas waits until a socket of the kernel's on the stack's side can have a port, and lets go of it.
func kernelHas(t *testing.T, lab *netlab.Lab, network, port string) {
	t.Helper()
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = kernelTries(lab, network, port); err == nil {
			return
		}
	}
	t.Errorf("%s %s is not free: %v", network, port, err)
}

// kernelTries has a socket of the kernel's on the stack's side try to have a port.
func kernelTries(lab *netlab.Lab, network, port string) error {
	if network == "udp" {
		p, err := lab.Stack.ListenPacket(network, port)
		if err != nil {
			return err
		}
		return p.Close()
	}
	ln, err := lab.Stack.Listen(network, port)
	if err != nil {
		return err
	}
	return ln.Close()
}

// TestSharedReload has services come and go on the kernel's address: their ports are reserved, and given back when their last connection
// has ended. What somebody has is refused with everything else that is in the file.
func TestSharedReload(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "shreload", BothKernel: true, Queues: 2})
	path := writeConfig(t, sharedConfig(lab, serviceNamed("echo"), serviceNamed("http", `body = "3"`)))
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "--config", path, "--socket", socket)
	p.ready(t)
	privileged(t, p.cmd.Process.Pid, 65534, true)
	reload := func(want int, services ...string) (o config.Outcome) {
		t.Helper()
		rewrite(t, path, sharedConfig(lab, services...))
		code, out, errs := command(t.Context(), nil, "reload", "--socket", socket, "--json")
		if err := json.Unmarshal([]byte(out), &o); err != nil || code != want || o.Applied != (want == exitOK) {
			t.Fatalf("exit code %d, want %d, %v\n%s%s\n%s", code, want, err, out, errs, &p.err)
		}
		return o
	}
	says(t, kernelDials(t, lab, 7), "here")
	open := kernelDials(t, lab, 80)

	reload(exitOK, serviceNamed("echo"), serviceNamed("echo", "port = 7007"))
	says(t, kernelDials(t, lab, 7007), "added")
	for _, network := range []string{"tcp", "udp"} {
		if err := kernelTries(lab, network, ":7007"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the kernel has %s 7007 too: %v", network, err)
		}
	}
	open.Close()
	kernelHas(t, lab, "tcp", ":80")

	// Somebody has a port: nothing of the file is taken over.
	other, err := lab.Stack.Listen("tcp", ":7009")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	o := reload(exitFailure, serviceNamed("echo"), serviceNamed("discard", "port = 7008"), serviceNamed("discard", "port = 7009"))
	if said := fmt.Sprint(o.Problems); !strings.Contains(said, "7009") || !strings.Contains(said, "has it") {
		t.Errorf("it does not say who has the port: %s", said)
	}
	says(t, kernelDials(t, lab, 7007), "as before")
	if c, err := lab.Kernel.Dial("tcp", address(lab, 7008)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("part of a refused configuration is served: %v, %v", c, err)
	}
	kernelHas(t, lab, "tcp", ":7008")

	// A port below 1024 cannot be had any more; one that changes its service stays.
	o = reload(exitFailure, serviceNamed("echo"), serviceNamed("echo", "port = 7007"), serviceNamed("http", `body = "3"`))
	if said := fmt.Sprint(o.Problems); !strings.Contains(said, "restart it") || !strings.Contains(said, "ip_unprivileged_port_start=80") {
		t.Errorf("it does not say what to do: %s", said)
	}
	reload(exitOK, serviceNamed("discard", "port = 7"), serviceNamed("echo", "port = 7007"))
	c := kernelDials(t, lab, 7)
	if _, err := c.Write([]byte("nothing comes back")); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes from discard, %v", n, err)
	}
	for _, network := range []string{"tcp", "udp"} {
		if err := kernelTries(lab, network, ":7"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the kernel has %s 7 too: %v", network, err)
		}
	}
	c.Close()
	endsWell(t, lab, p, socket)
	for _, network := range []string{"tcp", "udp"} {
		for _, port := range []string{":7", ":7007"} {
			kernelHas(t, lab, network, port)
		}
	}
	kernelHas(t, lab, "tcp", ":61000") // for dialing
}

// TestSharedSecondInstance starts a second process on the interface, and one on another that wants the same port: they are refused, with
// the process that is in the way.
func TestSharedSecondInstance(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "shsecond", BothKernel: true})
	dir := t.TempDir()
	args := func(iface, name, port string) []string {
		return []string{"serve", "--socket", filepath.Join(dir, name), "-i", iface, "--shared", "--drain", "0s", "echo", "--port", port}
	}
	first := launch(t, lab, nil, args(lab.Stack.Interface, "first", "7")...)
	first.ready(t)
	owner := fmt.Sprint("process ", first.cmd.Process.Pid)
	addLink(t, lab, vethWithQueues("xs-more", 1, 1, 1, 1))
	kernelTakes(t, lab, "xs-more", "10.79.0.1/24")
	for _, tt := range []struct{ iface, port, says string }{
		{lab.Stack.Interface, "7", "another XDP program"},
		{lab.Stack.Interface, "8", "another XDP program"},
		{"xs-more", "7", "reserve TCP port 7"},
	} {
		second := launch(t, lab, nil, args(tt.iface, "second", tt.port)...)
		if code := second.exitCode(t); code != exitFailure || !second.err.contains(tt.says) || !second.err.contains(owner) {
			t.Errorf("port %s of %s: exit code %d, want %q and %q in\n%s", tt.port, tt.iface, code, tt.says, owner, &second.err)
		}
	}
	second := launch(t, lab, nil, args("xs-more", "second", "8")...)
	second.ready(t)
	says(t, kernelDials(t, lab, 7), "as before")
	endsWell(t, lab, first, filepath.Join(dir, "first"))
	kernelHas(t, lab, "tcp", ":7")
	if err := kernelTries(lab, "tcp", ":8"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the kernel has port 8 too: %v", err)
	}
	if err := second.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := second.exitCode(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &second.err)
	}
}

// TestSharedKilledWithPin kills a process whose program stays: it passes everything to the kernel, the stack's ports are the kernel's,
// and the next process has both again.
func TestSharedKilledWithPin(t *testing.T) {
	mountBPF(t)
	lab := netlab.ForTest(t, netlab.Config{Name: "shpin", BothKernel: true, Queues: 2})
	iface := lab.Stack.Interface
	t.Cleanup(func() { command(t.Context(), nil, "clean", "-i", iface) })
	socket := filepath.Join(t.TempDir(), "s")
	program := func() (id uint32) {
		t.Helper()
		inStackNamespace(t, lab, func() error {
			info, err := afxdp.Discover(iface)
			id = info.Program
			return err
		})
		return id
	}
	start := func() *process {
		p := launch(t, lab, nil, "serve", "--socket", socket, "-i", iface, "--shared", "--drain", "0s", "--crash", "pin", "echo")
		p.ready(t)
		says(t, kernelDials(t, lab, 7), "here")
		return p
	}
	p := start()
	before := program()
	beside, err := lab.Stack.Listen("tcp", ":22")
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	client := kernelDials(t, lab, 7)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.exitCode(t)
	if id := program(); id != before || id == 0 {
		t.Errorf("program %d is on the interface, want %d", id, before)
	}
	_, written := client.Write([]byte("is anybody there?"))
	_ = client.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(errors.Join(written, err), syscall.ECONNRESET) {
		t.Errorf("its client: %v, %v", written, err)
	}
	kernelDials(t, lab, 22).Close()
	ln, err := lab.Stack.Listen("tcp", ":7")
	if err != nil {
		t.Fatalf("its port is not free: %v", err)
	}
	kernelDials(t, lab, 7).Close() // through the program, which has it still
	ln.Close()
	next := start()
	if id := program(); id == before || id == 0 {
		t.Errorf("program %d is on the interface, and %d was", id, before)
	}
	kernelDials(t, lab, 22).Close()
	endsWell(t, lab, next, socket)
	if _, err := os.Stat(filepath.Join(bpf.PinDir, iface)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something stays pinned: %v", err)
	}
	kernelHas(t, lab, "tcp", ":7")
}
