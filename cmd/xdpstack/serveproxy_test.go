package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// sayer is a server of the kernel's, on the stack's side, that says its name to whoever connects.
func sayer(t *testing.T, lab *netlab.Lab, name string) (target string) {
	t.Helper()
	ln, err := lab.Stack.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, name) // a client that has gone reads nothing
			c.Close()
		}
	}()
	return "kernel:" + ln.Addr().String()
}

// A proxy of the file comes, changes its targets and goes while another service stays.
func TestReloadProxy(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "reload"})
	one, two := sayer(t, lab, "one"), sayer(t, lab, "two")
	to := func(port int, targets ...string) string {
		return serviceNamed("proxy", fmt.Sprintf("port = %d", port), fmt.Sprintf("to = [\"%s\"]", strings.Join(targets, "\", \"")))
	}
	path := writeConfig(t, configFor(lab, "", serviceNamed("echo"), to(80, one)))
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "--config", path, "--socket", socket)
	p.ready(t)
	echo := kernelDials(t, lab, 7)
	hears := func(port int) string {
		t.Helper()
		b, err := io.ReadAll(kernelDials(t, lab, port))
		if err != nil {
			t.Fatalf("%v\n%s", err, &p.err)
		}
		return string(b)
	}
	reload := func(want int, text string) (o config.Outcome) {
		t.Helper()
		rewrite(t, path, text)
		code, out, errs := command(t.Context(), nil, "reload", "--socket", socket, "--json")
		if err := json.Unmarshal([]byte(out), &o); err != nil || code != want {
			t.Fatalf("exit code %d, want %d, %v\n%s%s\n%s", code, want, err, out, errs, &p.err)
		}
		return o
	}
	if got := hears(80); got != "one" {
		t.Errorf("at first: %q", got)
	}
	o := reload(exitOK, configFor(lab, "", serviceNamed("echo"), to(80, two), to(81, one, two)))
	if len(o.Changes) != 2 || o.Changes[0].Key != "service proxy:80 to" {
		t.Errorf("%+v", o.Changes)
	}
	if got := hears(80) + hears(81) + hears(81); got != "twoonetwo" && got != "twotwoone" {
		t.Errorf("with others: %q", got)
	}
	reload(exitFailure, configFor(lab, "", to(80, two, "stack:192.0.2.9:1")))
	reload(exitOK, configFor(lab, "", serviceNamed("echo"), to(81, two)))
	if c, err := lab.Kernel.Dial("tcp", address(lab, 80)); err == nil {
		c.Close()
		t.Error("a proxy that has gone still accepts")
	}
	if got := hears(81); got != "two" {
		t.Errorf("in the end: %q", got)
	}
	says(t, echo, "still there")
}

// A process that began without such a proxy has given up making the sockets, and says so instead of resetting clients.
func TestReloadFirstProxy(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "reload"})
	path := writeConfig(t, configFor(lab, "", serviceNamed("echo")))
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "--config", path, "--socket", socket)
	p.ready(t)
	for to, want := range map[string]int{"kernel:127.0.0.1:8080": exitFailure, "kernel:/nonexistent": exitOK} {
		rewrite(t, path, configFor(lab, "", serviceNamed("echo"), serviceNamed("proxy", fmt.Sprintf("to = [%q]", to))))
		code, out, errs := command(t.Context(), nil, "reload", "--socket", socket)
		if code != want || want == exitFailure && !strings.Contains(out+errs, "restart it") {
			t.Errorf("%s: exit code %d: %s%s", to, code, out, errs)
		}
	}
	says(t, kernelDials(t, lab, 7), "still there")
}
