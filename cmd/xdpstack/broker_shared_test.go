package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestServeSharedThroughABroker has a process that never had a privilege serve ports below 1024 of the kernel's own address, and take
// others when its file changes.
func TestServeSharedThroughABroker(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "broker", Queues: 2, BothKernel: true})
	dir := publicDir(t)
	at, socket, file := filepath.Join(dir, "broker"), filepath.Join(dir, "s"), filepath.Join(dir, "x.toml")
	b := launch(t, lab, nil, "broker", "-i", lab.Stack.Interface, "--shared", "--ports", "7,9-10", "--allow-user", "65534", "--socket", at)
	b.ready(t)
	configure := func(services ...string) {
		text := "interface = \"" + lab.Stack.Interface + "\"\nshared = true\n[privileges]\nbroker = \"" + at + "\"\n"
		for _, s := range services {
			text += "[[service]]\n" + s + "\n"
		}
		rewrite(t, file, text)
	}
	configure(serviceNamed("echo"))
	p := launch(t, lab, unprivileged, "serve", "--config", file, "--socket", socket)
	p.ready(t)
	privileged(t, p.cmd.Process.Pid, 65534, true)
	says(t, kernelDials(t, lab, 7), "below 1024")
	taken := func(port string) bool {
		ln, err := lab.Stack.Listen("tcp", net.JoinHostPort(lab.Stack.Address.Addr().String(), port))
		if err == nil {
			ln.Close()
		}
		return err != nil
	}
	if !taken("7") || taken("9") {
		t.Errorf("reserved in the kernel: 7: %v, want true, 9: %v, want false", taken("7"), taken("9"))
	}

	configure(serviceNamed("echo"), serviceNamed("discard")) // port 9
	if code, out, errs := command(t.Context(), nil, "reload", "--socket", socket); code != exitOK {
		t.Fatalf("reload: exit code %d\n%s%s\n%s", code, out, errs, &b.err)
	}
	kernelDials(t, lab, 9)
	configure(serviceNamed("echo"), serviceNamed("discard"), serviceNamed("chargen")) // port 19
	code, out, errs := command(t.Context(), nil, "reload", "--socket", socket)
	if code != exitFailure || !strings.Contains(out+errs, "port 19 is not one of those that may be taken") {
		t.Errorf("a port that may not be had: exit code %d\n%s%s", code, out, errs)
	}
	configure(serviceNamed("echo", "port = 1007"), serviceNamed("discard"), serviceNamed("chargen", "port = 10"))
	if code, out, errs := command(t.Context(), nil, "reload", "--socket", socket); code != exitFailure {
		t.Errorf("all or nothing: exit code %d\n%s%s", code, out, errs)
	}
	says(t, kernelDials(t, lab, 7), "as before")

	if err := p.cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.exitCode(t)
	b.err.waitFor(t, "given back")
	if taken("7") || taken("9") {
		t.Error("ports stay reserved")
	}
	if id := attached(t, lab, lab.Stack.Interface); id != 0 {
		t.Errorf("program %d stays attached", id)
	}
	if err := b.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := b.exitCode(t); code != exitOK {
		t.Errorf("broker: exit code %d\n%s", code, &b.err)
	}
}
