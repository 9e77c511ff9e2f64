package afxdp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// flows are as many senders as are sure to come to both of two queues.
const flows = 32

// sendFlows sends a packet from each of many addresses, which the other side spreads over its queues by a hash.
func (r *rig) sendFlows() {
	for n := range uint32(flows) {
		from := netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + n)})
		r.peer.send(udpFrame(r.buf[:], r.lab.Stack.MAC, r.lab.Kernel.MAC, r.lab.Stack.Address.Addr(), from, n, 100))
	}
}

func (r *rig) passedWithoutSocket() int {
	r.t.Helper()
	c, err := r.iface.Program().Counters()
	if err != nil {
		r.t.Fatal(err)
	}
	return int(c.Passed.NoSocket)
}

// TestUnservedQueue opens one queue of two: what comes to the other goes to the kernel, and is counted; nothing is lost.
func TestUnservedQueue(t *testing.T) {
	for served := range 2 {
		t.Run(fmt.Sprint(served), func(t *testing.T) {
			r := newRig(t, netlab.Config{Queues: 2}, Options{Queues: []int{served}})
			kernel := newPacketSocket(t, r.lab.Stack)
			q := r.queue()
			if q.Index() != served || len(r.iface.Queues()) != 1 {
				t.Fatalf("queue %d of %d", q.Index(), len(r.iface.Queues()))
			}
			r.sendFlows()
			passed := len(kernel.receive(flows))
			got := r.receive(q, flows-passed, func(uint32, frame.Desc) bool { return false })
			if got+passed != flows || got == 0 || passed == 0 || r.passedWithoutSocket() != passed {
				t.Errorf("%d packets came, %d passed to the kernel and %d counted, of %d", got, passed, r.passedWithoutSocket(), flows)
			}
			r.allBack(q)
		})
	}
}

// TestAllQueuesServed has both of two queues: each gets a part, the kernel nothing, and on a card both are without copies.
func TestAllQueuesServed(t *testing.T) {
	r := newRig(t, netlab.Config{Queues: 2}, Options{})
	if n := len(r.iface.Queues()); n != 2 {
		t.Fatalf("%d queues", n)
	}
	for i, q := range r.iface.Queues() {
		if m := q.Mode(); q.Index() != i || m.ZeroCopy == r.lab.Veth() {
			t.Errorf("queue %d: %v", q.Index(), m)
		}
	}
	r.sendFlows()
	var got [2]int
	for range 2 { // the second round is for what came to the first queue while the other was waited for
		for i, q := range r.iface.Queues() {
			got[i] += r.receive(q, flows-got[0]-got[1], func(uint32, frame.Desc) bool { return false })
		}
	}
	if got[0] == 0 || got[1] == 0 || got[0]+got[1] != flows || r.passedWithoutSocket() != 0 {
		t.Errorf("%d packets came to the queues, %d passed to the kernel, of %d", got, r.passedWithoutSocket(), flows)
	}
	for _, q := range r.iface.Queues() {
		for n := range uint32(20) {
			r.transmit(q, n, 200)
		}
		if err := q.Flush(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.peer.receive(20)); n != 20 {
			t.Errorf("queue %d: %d packets of 20 were sent", q.Index(), n)
		}
		r.allBack(q)
	}
}

// TestClosedQueue closes one queue of two while the program runs: its packets go to the kernel from then on.
func TestClosedQueue(t *testing.T) {
	r := newRig(t, netlab.Config{Queues: 2}, Options{})
	kernel := newPacketSocket(t, r.lab.Stack)
	if err := r.iface.Queues()[0].Close(); err != nil {
		t.Fatal(err)
	}
	q := r.iface.Queues()[1]
	r.sendFlows()
	passed := len(kernel.receive(flows))
	got := r.receive(q, flows-passed, func(uint32, frame.Desc) bool { return false })
	if got+passed != flows || got == 0 || passed == 0 || r.passedWithoutSocket() != passed {
		t.Errorf("%d packets came, %d passed to the kernel and %d counted, of %d", got, passed, r.passedWithoutSocket(), flows)
	}
	r.allBack(q)
}

// TestMoreQueuesThanThereAre names queues that the interface does not have, with a cure.
func TestMoreQueuesThanThereAre(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp", Queues: 2})
	for _, queues := range [][]int{{2}, {0, 1, 2}, {-1}, {1 << 20}} {
		err := lab.Stack.Do(func() error {
			i, err := Open(lab.Stack.Interface, Options{Queues: queues}, bpf.Config{})
			if err == nil {
				i.Close()
			}
			return err
		})
		var e *Error
		if !errors.Is(err, ErrNoQueue) || !errors.As(err, &e) || e.Queue != queues[len(queues)-1] || e.Cure == "" {
			t.Errorf("queues %d: %v", queues, err)
		}
	}
	clean(t, lab.Stack)
}

// TestKernelBesideSharedAddress has the kernel serve TCP on an address while a port of the same address is the queues': over both of them,
// each gets its own.
func TestKernelBesideSharedAddress(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp", Queues: 2, BothKernel: true})
	r := &rig{t: t, lab: lab, peer: newPacketSocket(t, lab.Kernel)}
	err := lab.Stack.Do(func() (err error) {
		r.iface, err = Open(lab.Stack.Interface, Options{}, bpf.Config{Mode: bpf.SharedAddress})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	if err := r.iface.Program().AddPort(unix.IPPROTO_UDP, lab.Stack.Address.Addr(), testPort); err != nil {
		t.Fatal(err)
	}
	ln, err := lab.Stack.Listen("tcp", netip.AddrPortFrom(lab.Stack.Address.Addr(), 22).String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	for range 12 { // to both queues, by their ports
		c, err := lab.Kernel.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		echoOnce(t, c)
		c.Close()
	}
	r.sendFlows()
	got := 0
	for range 2 {
		for _, q := range r.iface.Queues() {
			got += r.receive(q, flows-got, func(uint32, frame.Desc) bool { return false })
		}
	}
	c, err := r.iface.Program().Counters()
	if err != nil {
		t.Fatal(err)
	}
	if got != flows || c.Redirected.UDP != flows || c.Redirected.TCP != 0 || c.Passed.Port < 12*3 || c.Passed.NoSocket != 0 {
		t.Errorf("%d packets came of %d, %+v", got, flows, c)
	}
	for _, q := range r.iface.Queues() {
		r.allBack(q)
	}
}

func echoOnce(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	text := "beside the stack"
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("echo: %q, %v", b, err)
	}
}
