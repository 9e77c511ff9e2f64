package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestServeShared serves on the kernel's address, fetches from there with get on the other side, and refuses what does not go
// together.
func TestServeShared(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "shared", BothKernel: true})
	log, socket := &output{}, filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- inLab(ctx, lab, log, "serve", "--socket", socket, "-i", lab.Stack.Interface, "--shared", "echo", "http")
	}()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "ready"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not ready\n%s", log)
		}
	}
	kernel, err := lab.Stack.Listen("tcp", lab.Stack.Address.Addr().String()+":22") // the same address
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	c, err := lab.Kernel.Dial("tcp", lab.Stack.Address.Addr().String()+":7")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	echoes(t, c)
	c.Close()
	if c, err = lab.Kernel.Dial("tcp", kernel.Addr().String()); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	code, _, errs := inside(t.Context(), lab, nil, "get", "-i", lab.Stack.Interface, "--shared", "http://10.77.0.1/")
	if code != exitFailure || !strings.Contains(errs, "another XDP program") {
		t.Errorf("a second program on the interface: %d, %s", code, errs)
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("serve: exit code %d\n%s", code, log)
	}
	for what, args := range map[string][]string{
		"-a":           {"-a", "10.77.0.9/24"},
		"--gateway":    {"--gateway", "10.77.0.1"},
		"--addresses":  {"--addresses", "10.77.0.9"},
		"--dial-ports": {"--dial-ports", "40000"},
	} {
		args = append([]string{"serve", "-i", lab.Stack.Interface, "--shared", "echo"}, args...)
		if code, _, errs := inside(t.Context(), lab, nil, args...); code != exitUsage || !strings.Contains(errs, what) {
			t.Errorf("%s: %d, %s", what, code, errs)
		}
	}
}

// inLab runs a command on the stack's side.
func inLab(ctx context.Context, lab *netlab.Lab, log *output, args ...string) (code int) {
	_ = lab.Stack.Do(func() error { // code tells
		code = run(ctx, args, streams{out: log, err: log})
		return nil
	})
	return code
}

// TestSharedKilled kills a process that shares the kernel's address: its clients are told by a reset, its ports are free, and the
// next process has them at once.
func TestSharedKilled(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "shared", BothKernel: true})
	args := []string{"serve", "--socket", filepath.Join(t.TempDir(), "s"), "-i", lab.Stack.Interface, "--shared", "echo"}
	for range 2 {
		p := launch(t, lab, nil, args...)
		p.ready(t)
		c, err := lab.Kernel.Dial("tcp", address(lab, 7))
		if err != nil {
			t.Fatal(err)
		}
		echoes(t, c)
		if ln, err := lab.Stack.Listen("tcp", ":7"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("somebody else listens: %v, %v", ln, err)
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.exitCode(t)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		_, written := c.Write([]byte("is anybody there?"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(errors.Join(written, err), syscall.ECONNRESET) {
			t.Errorf("its client: %v, %v", written, err)
		}
		c.Close()
		ln, err := lab.Stack.Listen("tcp", ":7")
		if err != nil {
			t.Fatalf("its port is not free: %v", err)
		}
		ln.Close()
	}
}
