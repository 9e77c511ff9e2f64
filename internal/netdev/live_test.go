package netdev

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// dialIn connects in the namespace of a lab's side.
func dialIn(t *testing.T, s *netlab.Side) *Conn {
	t.Helper()
	var c *Conn
	err := s.Do(func() (err error) {
		c, err = Dial()
		return err
	})
	if errors.Is(err, ErrUnknown) {
		t.Skip("needs Linux 6.3: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestLive asks the kernel about an interface that is there, in a namespace that the thread that asks is not in, and about what is not.
func TestLive(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{})
	c := dialIn(t, l.Stack)
	d, err := c.Device(l.Stack.Index)
	t.Logf("%+v, %v", d, err)
	if err != nil || d.Ifindex != l.Stack.Index || !d.XDP.Has(XDPBasic|XDPRedirect) {
		t.Errorf("%v, %v; want interface %d with basic and redirect", d, err, l.Stack.Index)
	}
	for _, ifindex := range []int{0, 9999, -1} {
		if d, err := c.Device(ifindex); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("interface %d: %v, %v; want an error", ifindex, d, err)
		}
	}
	if _, err := c.Device(9999); !errors.Is(err, unix.ENODEV) {
		t.Errorf("interface 9999: %v, want ENODEV", err)
	}
	queues, err := c.Queues(l.Stack.Index)
	if errors.Is(err, ErrUnknown) {
		t.Skip("needs Linux 6.8 for the rest: ", err)
	}
	if err != nil || len(queues) < 2 {
		t.Fatalf("queues %v, %v; want one for each direction", queues, err)
	}
	for _, want := range queues {
		got, err := c.Queue(l.Stack.Index, want.Type, want.ID)
		t.Log(got)
		if err != nil || got != want || got.Ifindex != l.Stack.Index || got.XSK {
			t.Errorf("%+v, %v; want %+v of interface %d, without a socket", got, err, want, l.Stack.Index)
		}
	}
	if q, err := c.Queue(l.Stack.Index, Receive, 999); !errors.Is(err, unix.EINVAL) {
		t.Errorf("queue 999: %v, %v; want EINVAL", q, err)
	}
	if n, err := c.NAPI(1); !errors.Is(err, unix.ENOENT) {
		t.Errorf("NAPI 1, which is none: %v, %v; want ENOENT", n, err)
	}
	if err := c.SetNAPI(1, Unchanged()); !errors.Is(err, unix.ENOENT) && !errors.Is(err, ErrUnknown) {
		t.Errorf("set NAPI 1: %v; want ENOENT", err)
	}
}

// TestLiveNAPI changes the settings of each NAPI that the interface has, and changes them back.
func TestLiveNAPI(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{GRO: true}) // on which a veth has NAPIs
	c := dialIn(t, l.Stack)
	all, err := c.NAPIs(l.Stack.Index)
	if errors.Is(err, ErrUnknown) {
		t.Skip("needs Linux 6.8: ", err)
	}
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v; want a NAPI", all, err)
	}
	for _, before := range all {
		t.Log(before)
		if got, err := c.NAPI(before.ID); err != nil || got != before {
			t.Errorf("%v, %v; want %v", got, err, before)
		}
		if before.GROFlush == Unknown {
			t.Skip("needs Linux 6.13 to set a NAPI")
		}
		change := Unchanged()
		change.DeferHardIRQs, change.GROFlush = 7, 123_456
		if err := c.SetNAPI(before.ID, change); err != nil {
			t.Fatal(err)
		}
		want := before.NAPISettings
		want.DeferHardIRQs, want.GROFlush = 7, 123_456
		if got, err := c.NAPI(before.ID); err != nil || got.NAPISettings != want {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if err := c.SetNAPI(before.ID, before.NAPISettings); err != nil {
			t.Fatal(err)
		}
		if got, err := c.NAPI(before.ID); err != nil || got != before {
			t.Errorf("changed back: %v, %v; want %v", got, err, before)
		}
	}
}
