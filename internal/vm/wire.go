package vm

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	bridgeName = "xs-bridge"
	wireMTU    = 9216  // bytes: what a card of MTU 9000 sends fits
	wireQueue  = 10000 // packets that wait in a tap device for QEMU, which takes them late on a busy machine: as many as its hub keeps
)

func tapName(i int) string { return fmt.Sprintf("xs-tap%d", i) }

// makeWire puts the calling thread into a new network namespace and makes there two tap devices joined by a bridge. The thread
// must not be used for anything else afterwards. The namespace has no name: it goes with its last process, however that ends.
func makeWire(queues int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return unavailable("a wire for several queues needs a network namespace: %w: run as root", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = bridgeName, wireMTU
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return unavailable("a wire for several queues needs a bridge: %w", err)
	}
	for i := range 2 {
		if err := addTap(tapName(i), queues, bridge); err != nil {
			return unavailable("a wire for several queues needs tap devices: %w", err)
		}
	}
	return netlink.LinkSetUp(bridge)
}

func addTap(name string, queues int, bridge *netlink.Bridge) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
	if queues > 1 {
		tap.Flags |= netlink.TUNTAP_MULTI_QUEUE
	}
	if err := netlink.LinkAdd(tap); err != nil {
		return err
	}
	for _, f := range tap.Fds {
		f.Close() // the device is persistent; QEMU opens it by its name
	}
	if err := netlink.LinkSetMTU(tap, wireMTU); err != nil {
		return err
	}
	if err := netlink.LinkSetTxQLen(tap, wireQueue); err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(tap, bridge); err != nil {
		return err
	}
	return netlink.LinkSetUp(tap)
}

// onThread runs f on a thread that is thrown away when f returns.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread is the process to the rest of the system and cannot be thrown away. While this goroutine keeps it,
			// another thread is found.
			defer runtime.UnlockOSThread()
			done := make(chan struct{})
			onThread(func() { defer close(done); f() })
			<-done
			return
		}
		f()
	}()
}
