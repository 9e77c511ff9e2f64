package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/reserve"
)

// kernelLoad is an echo service of the kernel's on the stack's side, which clients use all the time.
type kernelLoad struct {
	ln       net.Listener
	connects atomic.Int64
	stop     chan struct{}
	done     sync.WaitGroup
}

func startKernelLoad(t *testing.T, lab *netlab.Lab, port int) *kernelLoad {
	t.Helper()
	ln, err := lab.Stack.Listen("tcp", address(lab, port))
	if err != nil {
		t.Fatal(err)
	}
	l := &kernelLoad{ln: ln, stop: make(chan struct{})}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	long := dialKernel(t, lab, port)
	l.done.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			if !echoesWithin(long, 5*time.Second) {
				t.Error("a connection of the kernel's is broken")
				return
			}
			c, err := lab.Kernel.Dial("tcp", address(lab, port))
			if err != nil || !echoesWithin(c, 5*time.Second) {
				t.Errorf("the kernel's connection %d: %v", l.connects.Load(), err)
				return
			}
			c.Close()
			l.connects.Add(1)
		}
	})
	return l
}

func dialKernel(t *testing.T, lab *netlab.Lab, port int) net.Conn {
	t.Helper()
	c, err := lab.Kernel.Dial("tcp", address(lab, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (l *kernelLoad) end() {
	close(l.stop)
	l.done.Wait()
	l.ln.Close()
}

// TestUpgradeShared replaces a process that shares the kernel's address, under load of its own and of the kernel: no connection of either fails,
// no port is free for a moment, and who wants one is told of the process that has it now.
func TestUpgradeShared(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "upgrade", BothKernel: true})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "-i", lab.Stack.Interface, "--shared", "echo", "--socket", socket)
	p.ready(t)
	load, kernel := startUpgradeLoad(t, lab, 2, 2), startKernelLoad(t, lab, 22)
	stop := make(chan struct{})
	var thief sync.WaitGroup
	thief.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, port := range []string{":7", ":61000", ":61777"} { // the service's, and two for dialing
				if ln, err := lab.Stack.Listen("tcp", port); !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("port %s can be had: %v", port, err)
					if err == nil {
						ln.Close()
					}
				}
			}
		}
	})
	pid := p.cmd.Process.Pid
	for range 2 {
		time.Sleep(200 * time.Millisecond)
		pid = replaced(t, p, socket, pid)
	}
	var inUse error
	err := lab.Stack.Do(func() error {
		_, inUse = reserve.Bind(reserve.TCP, netip.IPv4Unspecified(), 7)
		return nil
	})
	if err != nil || inUse == nil || !strings.Contains(inUse.Error(), fmt.Sprintf("process %d (xdpstack)", pid)) {
		t.Errorf("process %d has the port, and who wants it is told: %v, %v", pid, inUse, err)
	}
	time.Sleep(200 * time.Millisecond)
	load.end()
	kernel.end()
	close(stop)
	thief.Wait()
	t.Logf("%d connections, %d MiB; %d of the kernel's", load.connects.Load(), load.bytes.Load()>>20, kernel.connects.Load())
	if strings.Contains(p.err.String(), "level=ERROR") {
		t.Errorf("the processes say:\n%s", &p.err)
	}
	for end := time.Now().Add(5 * time.Second); unix.Kill(p.cmd.Process.Pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the first process has not ended\n%s", &p.err)
		}
	}
	if err := echoOnce(lab); err != nil {
		t.Errorf("after the first process has ended: %v\n%s", err, &p.err)
	}
	if code := endsLast(t, p, socket); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		ln, err := lab.Stack.Listen("tcp", ":7")
		if err == nil {
			ln.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("its port is not free: %v", err)
		}
	}
}
