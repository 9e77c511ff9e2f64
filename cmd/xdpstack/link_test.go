package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestServeFollowsTheLink takes the interface of a running serve down and up, and then away: the log says what happened and what to do, and
// serve ends with that as its error.
func TestServeFollowsTheLink(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "link"})
	if !lab.Veth() {
		t.Skip("needs an interface that can be removed")
	}
	log := &output{}
	args := append([]string{"serve", "echo", "--socket", filepath.Join(t.TempDir(), "s")}, linkArgs(lab)...)
	done := make(chan int, 1)
	go func() {
		code := -1
		_ = lab.Stack.Do(func() error { // code tells
			code = run(t.Context(), args, streams{out: log, err: log})
			return nil
		})
		done <- code
	}()
	log.waitFor(t, "msg=ready")
	if err := lab.Stack.SetDown(); err != nil {
		t.Fatal(err)
	}
	log.waitFor(t, "connections wait until it is up, with: ip link set "+lab.Stack.Interface+" up")
	if err := lab.Stack.SetUp(); err != nil {
		t.Fatal(err)
	}
	log.waitFor(t, "the link works again, after")
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	err = lab.Kernel.Do(func() error {
		link, err := netlink.LinkByName(lab.Kernel.Interface)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link) // takes the other end with it
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-done:
		if code != exitFailure {
			t.Errorf("exit code %d\n%s", code, log)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("serve does not end\n%s", log)
	}
	log.waitFor(t, "xdpstack: stack: "+lab.Stack.Interface+": the interface was removed: open the stack again when it is back")
}
