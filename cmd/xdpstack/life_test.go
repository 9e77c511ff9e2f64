package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// configFor is a configuration for the lab's stack side, with more in front of the services.
func configFor(lab *netlab.Lab, more string, services ...string) string {
	text := fmt.Sprintf("interface = %q\naddress = %q\n%s\n", lab.Stack.Interface, lab.Stack.Address.String(), more)
	for _, s := range services {
		text += "[[service]]\n" + s + "\n"
	}
	return text
}

// service is a service in a configuration.
func serviceNamed(name string, more ...string) string {
	return fmt.Sprintf("name = %q\n%s", name, strings.Join(more, "\n"))
}

// says sends a line to an echo and wants it back.
func says(t *testing.T, c net.Conn, what string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte(what)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	buf := make([]byte, len(what))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != what {
		t.Fatalf("%s came back as %q, %v", what, buf, err)
	}
}

func kernelDials(t *testing.T, lab *netlab.Lab, port int) net.Conn {
	t.Helper()
	c, err := lab.Kernel.Dial("tcp", address(lab, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestReloadShield changes when the XDP program answers SYNs; none of its own are loaded for a process that began without.
func TestReloadShield(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "reload"})
	path := writeConfig(t, configFor(lab, "shield = \"auto\"\nafxdp.attach = \"generic\"", serviceNamed("echo")))
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "--config", path, "--socket", socket)
	p.ready(t)
	answered := func() uint64 {
		t.Helper()
		var s snapshot.Snapshot
		if err := (control.Client{Path: socket}).Get(t.Context(), "/stats", &s); err != nil {
			t.Fatal(err)
		}
		return s.Value("steer_answered_syn_cookie")
	}
	says(t, kernelDials(t, lab, 7), "in peace")
	if n := answered(); n != 0 {
		t.Errorf("%d SYNs were answered in XDP in peace", n)
	}
	rewrite(t, path, configFor(lab, "shield = \"always\"\nafxdp.attach = \"generic\"", serviceNamed("echo")))
	if code, out, errs := command(t.Context(), nil, "reload", "--socket", socket); code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	says(t, kernelDials(t, lab, 7), "by cookie")
	if n := answered(); n == 0 {
		t.Errorf("no SYN was answered in XDP")
	}
}

// Services come, go and change while connections stay; what is wrong, or cannot change, is refused as a whole.
func TestReload(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "reload"})
	first, second := publicDir(t), publicDir(t)
	rewrite(t, filepath.Join(first, "a"), "one")
	rewrite(t, filepath.Join(second, "a"), "two")
	root := func(dir string) string { return serviceNamed("http", fmt.Sprintf("root = %q", dir)) }
	path := writeConfig(t, configFor(lab, "", serviceNamed("echo"), root(first)))
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "--config", path, "--socket", socket)
	p.ready(t)
	echo, client := kernelDials(t, lab, 7), httpClient(lab)
	get := func() string {
		t.Helper()
		resp, err := client.Get("http://" + address(lab, 80) + "/a")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	says(t, echo, "before")
	if got := get(); got != "one" {
		t.Errorf("before: %q", got)
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

	o := reload(exitOK, configFor(lab, "stop.drain = \"3s\"\nlog.level = \"debug\"", root(second), serviceNamed("echo"), serviceNamed("discard")))
	if !o.Applied || len(o.Changes) != 4 {
		t.Errorf("%+v", o)
	}
	says(t, echo, "after one")
	if got := get(); got != "two" {
		t.Errorf("after one: %q", got)
	}
	kernelDials(t, lab, 9).Close()

	deny := fmt.Sprintf("[filter]\ndeny = [\"%s\"]", lab.Kernel.Address.Addr())
	reload(exitOK, configFor(lab, deny, root(second), serviceNamed("echo"), serviceNamed("discard")))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if c, err := lab.Kernel.DialContext(ctx, "tcp", address(lab, 9)); err == nil {
		c.Close()
		t.Error("who is denied connects")
	}
	reload(exitOK, configFor(lab, "log.level = \"debug\"", root(second), serviceNamed("echo"), serviceNamed("discard")))
	kernelDials(t, lab, 9).Close()
	says(t, echo, "let in again")
	for name, text := range map[string]string{
		"syntax":     "interface = \n",
		"key":        configFor(lab, "gatway = \"10.0.0.1\"", serviceNamed("chargen")),
		"root":       configFor(lab, "", root("/nonexistent"), serviceNamed("chargen")),
		"shield":     configFor(lab, "shield = \"auto\"", serviceNamed("chargen")),
		"restart":    configFor(lab, "afxdp.frames = 32768", serviceNamed("chargen")),
		"no service": configFor(lab, ""),
	} {
		o := reload(exitFailure, text)
		if o.Applied || len(o.Problems)+len(o.Refused) == 0 {
			t.Errorf("%s: %+v", name, o)
		}
		if name == "key" && (o.Problems[0].File != path || o.Problems[0].Line != 3) {
			t.Errorf("the problem is at %+v", o.Problems[0])
		}
		if name == "restart" && o.Refused[0].Key != "afxdp.frames" {
			t.Errorf("%+v", o.Refused)
		}
	}
	says(t, echo, "after refusals")
	if _, err := lab.Kernel.Dial("tcp", address(lab, 19)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("part of a refused configuration is served: %v", err)
	}
	if got := get(); got != "two" {
		t.Errorf("after refusals: %q", got)
	}

	// http leaves its port to another; SIGHUP this time.
	rewrite(t, path, configFor(lab, "", serviceNamed("echo", "port = 80"), serviceNamed("http", "port = 8080", "body = \"3\"")))
	if err := p.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.err.waitFor(t, "msg=reloaded file="+path+" changes=6") // a setting is back, 3 services have gone, 2 come
	says(t, kernelDials(t, lab, 80), "the other")
	says(t, echo, "still there")
	if _, err := lab.Kernel.Dial("tcp", address(lab, 7)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("echo on its old port: %v", err)
	}
	resp, err := httpClient(lab).Get("http://" + address(lab, 8080) + "/")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); len(b) != 3 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	resp.Body.Close()
	code, out, _ := command(t.Context(), nil, "reload", "--socket", socket)
	if code != exitOK || !strings.Contains(out, "has changed") {
		t.Errorf("nothing has changed: exit code %d, %s", code, out)
	}
}

// Without a file there is nothing to read again, and SIGHUP ends the process, as when its terminal is gone.
func TestReloadWithoutAFile(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "reload0"})
	socket := filepath.Join(t.TempDir(), "s")
	// Tests that run under nohup have SIGHUP ignored, and so would the process.
	p := launch(t, lab, []string{"env", "--default-signal=HUP"}, append([]string{"serve", "echo", "--socket", socket}, linkArgs(lab)...)...)
	p.ready(t)
	if code, _, errs := command(t.Context(), nil, "reload", "--socket", socket); code != exitFailure || !strings.Contains(errs, "--config") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if err := p.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != -1 {
		t.Errorf("exit code %d", code)
	}
}

// A download goes on to its end, an idle connection ends at once, and nobody new comes in.
func TestStop(t *testing.T) {
	const size = 24 << 20
	lab := netlab.ForTest(t, netlab.Config{Name: "stop"})
	for _, with := range []string{"", "--net-http"} {
		t.Run("http "+with, func(t *testing.T) {
			dir := publicDir(t)
			if err := os.WriteFile(filepath.Join(dir, "big"), bytes.Repeat([]byte("x"), size), 0o644); err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(t.TempDir(), "s")
			args := append([]string{"serve", "http", "--root", dir, "--socket", socket}, strings.Fields(with)...)
			p := launch(t, lab, nil, append(args, linkArgs(lab)...)...)
			p.ready(t)
			idle, busy := kernelDials(t, lab, 80), kernelDials(t, lab, 80)
			ask := func(c net.Conn, what string) *bufio.Reader {
				t.Helper()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", what); err != nil {
					t.Fatal(err)
				}
				return bufio.NewReader(c)
			}
			r := ask(idle, "/none")
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			download := ask(busy, "/big")
			if resp, err = http.ReadResponse(download, nil); err != nil {
				t.Fatal(err)
			}
			type result struct {
				code      int
				out, errs string
			}
			stopped := make(chan result, 1)
			go func() {
				code, out, errs := command(t.Context(), nil, "stop", "--socket", socket)
				stopped <- result{code, out, errs}
			}()
			if b, err := io.ReadAll(r); len(b) != 0 || err != nil {
				t.Errorf("the idle connection: %q, %v", b, err)
			}
			idle.Close()
			if c, err := lab.Kernel.Dial("tcp", address(lab, 80)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("a new connection: %v, %v", c, err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
				t.Errorf("the download: %d bytes, %v", n, err)
			}
			busy.Close()
			got := <-stopped
			if got.code != exitOK || !strings.Contains(got.out, "has ended after") {
				t.Errorf("stop: exit code %d\n%s%s", got.code, got.out, got.errs)
			}
			if code := p.exitCode(t); code != exitOK {
				t.Errorf("exit code %d\n%s", code, &p.err)
			}
			if !p.err.contains("msg=stopped ended=2 reset=0") {
				t.Errorf("the log does not say how they ended:\n%s", &p.err)
			}
		})
	}
}

// What does not end in time is reset, and a second signal does not wait for it.
func TestStopDeadline(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "stop2"})
	for _, tt := range []struct {
		name, drain string
		signals     int
		code        int
		says        string
	}{
		{"deadline", "300ms", 1, exitOK, "ended=0 reset=1"},
		{"no time", "0s", 1, exitOK, "ended=0 reset=1"},
		{"second signal", "1m", 2, -1, "left=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			p := launch(t, lab, nil, append([]string{"serve", "echo", "--drain", tt.drain, "--socket", socket}, linkArgs(lab)...)...)
			p.ready(t)
			c := kernelDials(t, lab, 7)
			says(t, c, "here")
			for i := range tt.signals {
				if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if i+1 < tt.signals {
					p.err.waitFor(t, "left=1")
				}
			}
			if code := p.exitCode(t); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !p.err.contains(tt.says) {
				t.Errorf("no %q in\n%s", tt.says, &p.err)
			}
			if tt.signals == 1 {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("the connection: %v, want a reset", err)
				}
			}
			if id := attached(t, lab, lab.Stack.Interface); id != 0 {
				t.Errorf("program %d stays attached", id)
			}
		})
	}
}

// The service manager is told of each part of the process's life, and its watchdog is fed.
func TestServiceManager(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "notify"})
	name := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	next := func() string {
		buf := make([]byte, 4096)
		_ = manager.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	until := func(text string) string { // what is not the watchdog's
		t.Helper()
		for {
			if s := next(); strings.Contains(s, text) {
				return s
			} else if s != "WATCHDOG=1" {
				t.Fatalf("%q, want %s", s, text)
			}
		}
	}
	path := writeConfig(t, configFor(lab, "", serviceNamed("echo")))
	p := launch(t, lab, []string{"env", "NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=600000"}, "serve", "--config", path,
		"--socket", filepath.Join(t.TempDir(), "s"))
	if s := until("READY=1"); !strings.Contains(s, "\nSTATUS=serving "+lab.Stack.Address.String()) {
		t.Errorf("%q", s)
	}
	for range 2 {
		if s := next(); s != "WATCHDOG=1" {
			t.Errorf("%q, want the watchdog fed", s)
		}
	}
	if err := p.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if s := until("RELOADING=1"); !strings.Contains(s, "\nMONOTONIC_USEC=") {
		t.Errorf("%q", s)
	}
	until("READY=1")
	c := kernelDials(t, lab, 7)
	says(t, c, "here")
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until("STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000")
	until("STATUS=stopping: 1 connections left")
	c.Close()
	if code := p.exitCode(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
}
