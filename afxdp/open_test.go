package afxdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

func TestOpenErrors(t *testing.T) {
	lab := ownLab(t, netlab.Config{Name: "afxdp", Queues: 2})
	open := func(name string, opt Options) error {
		return lab.Stack.Do(func() error {
			i, err := Open(name, opt, bpf.Config{})
			if err == nil {
				i.Close()
			}
			return err
		})
	}
	on := lab.Stack.Interface
	rx := small
	rx.RxRing = 100
	fill := small
	fill.FillRing = 64
	for _, c := range []struct {
		what  string
		name  string
		opt   Options
		kind  error
		errno error
		text  string // that the message must have: the name and the cure
	}{
		{"missing interface", "xs-nowhere", Options{}, ErrNoInterface, unix.ENODEV, "ip link"},
		{"no such queue", on, Options{Queues: []int{0, 2}}, ErrNoQueue, nil, "queue 2: open: no such queue (there are 2"},
		{"queue twice", on, Options{Queues: []int{1, 1}}, ErrOptions, nil, "twice"},
		{"no zero-copy", on, Options{Mode: ModeZeroCopy}, ErrNoZeroCopy, unix.EOPNOTSUPP, "veth has none"},
		{"driver", on, Options{Driver: "dpdk"}, ErrOptions, nil, `"native"`},
		{"ring size", on, rx, ErrOptions, nil, "power of two"},
		{"fill ring", on, fill, ErrOptions, nil, "at least twice"},
		{"frames", on, Options{Frames: 100}, ErrOptions, nil, "at least 6144"},
		{"frame size", on, Options{FrameSize: 3000}, ErrOptions, nil, "2048"},
		{"headroom", on, Options{FrameSize: 2048, Headroom: 1600}, ErrOptions, nil, "headroom"},
		{"memory", on, Options{Frames: 1 << 24, HugePages: HugePagesMust}, ErrMemory, unix.ENOMEM, "vm.nr_hugepages"},
	} {
		if errors.Is(c.kind, ErrNoZeroCopy) && !lab.Veth() {
			continue
		}
		for _, driver := range []string{DriverNative, DriverAsavie} {
			if c.opt.Driver == "" || c.opt.Driver == DriverAsavie {
				c.opt.Driver = driver
			}
			if driver == DriverAsavie && c.opt.HugePages == HugePagesMust {
				continue
			}
			err := open(c.name, c.opt)
			if !errors.Is(err, c.kind) || c.errno != nil && !errors.Is(err, c.errno) {
				t.Errorf("%s, %s: %v", c.what, driver, err)
				continue
			}
			if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%s, %s: %q does not say %q", c.what, driver, err, c.text)
			}
		}
	}
	clean(t, lab.Stack)

	if err := lab.Stack.SetDown(); err != nil {
		t.Fatal(err)
	}
	if err := open(on, Options{}); !errors.Is(err, ErrInterfaceDown) || !errors.Is(err, unix.ENETDOWN) ||
		!strings.Contains(err.Error(), "ip link set "+on+" up") {
		t.Errorf("down: %v", err)
	}
	clean(t, lab.Stack)
}

// attachedProgram returns the id of the XDP program that is attached to a side's interface, 0 for none.
func attachedProgram(t *testing.T, side *netlab.Side) (id uint32) {
	t.Helper()
	err := side.Do(func() error {
		info, err := Discover(side.Interface)
		id = info.Program
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return id
}

// clean checks that nothing is attached to the interface and that no ring of a socket is mapped.
func clean(t *testing.T, side *netlab.Side) {
	t.Helper()
	if program := attachedProgram(t, side); program != 0 {
		t.Errorf("XDP program %d is still attached", program)
	}
	left, err := socketMappings()
	if err != nil || len(left) != 0 {
		t.Errorf("rings are still mapped: %v, %v", left, err)
	}
}

func openFiles(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err == nil && !strings.Contains(target, "/proc/") {
			n++
		}
	}
	return n
}

// TestReopen opens and closes an interface again and again: each time it works at once, and nothing is left.
func TestReopen(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		var before int
		for i := range 3 {
			q := r.queue()
			r.peer.send(r.toStack(1, 100))
			if got := r.receive(q, 1, func(uint32, frame.Desc) bool { return false }); got != 1 {
				t.Errorf("round %d: nothing received", i)
			}
			r.close()
			clean(t, r.lab.Stack)
			files := openFiles(t)
			if before != 0 && files != before {
				t.Errorf("round %d: %d open files, %d after the round before", i, files, before)
			}
			before = files
			if q.Transmit([]frame.Desc{{Len: 60}}) != 0 || q.Receive(r.batch[:]) != 0 || q.Room() != 0 || q.Recycle() != 0 {
				t.Error("a closed queue works")
			}
			if err := q.Flush(); !errors.Is(err, ErrClosed) {
				t.Errorf("Flush of a closed queue says %v", err)
			}
			if err := q.Wait(time.Second); !errors.Is(err, ErrClosed) {
				t.Errorf("Wait of a closed queue says %v", err)
			}
			if _, err := q.Statistics(); !errors.Is(err, ErrClosed) {
				t.Errorf("Statistics of a closed queue says %v", err)
			}
			if a := q.Pool().Account(); a.Free != q.Pool().Size() {
				t.Errorf("after Close: %+v", a)
			}
			if err := q.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
			start := time.Now()
			r.open(opt)
			t.Logf("opened after %v: %s", time.Since(start), r.iface.Describe())
		}
	})
}

// TestQueueInUse binds a queue twice.
func TestQueueInUse(t *testing.T) {
	r := newRig(t, netlab.Config{}, small)
	info := r.iface.Info()
	at := place{name: info.Name, index: info.Index}
	for _, driver := range []string{DriverNative, DriverAsavie} {
		opt := small
		opt.Mode, opt.BindTimeout = ModeCopy, 100*time.Millisecond
		opt = opt.withDefaults(info.MTU)
		err := r.lab.Stack.Do(func() (err error) {
			if driver == DriverAsavie {
				_, err = openAsavie(at, &info, &opt, BoundMode{Attach: bpf.AttachNative})
			} else {
				_, err = openNative(at, &info, &opt, BoundMode{Attach: bpf.AttachNative})
			}
			return err
		})
		if !errors.Is(err, ErrQueueBusy) || !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "another AF_XDP socket") {
			t.Errorf("%s: %v", driver, err)
		}
		if m, err := socketMappings(); err != nil || len(m) != 4 {
			t.Errorf("%s: %d rings are mapped (%v), want the 4 of the open queue", driver, len(m), err)
		}
	}
	r.peer.send(r.toStack(1, 100))
	if got := r.receive(r.queue(), 1, func(uint32, frame.Desc) bool { return false }); got != 1 {
		t.Error("the first queue works no more")
	}
}

func TestMode(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		m := r.queue().Mode()
		name, zeroCopy, refused := "copy mode", !r.lab.Veth() && opt.Mode != ModeCopy, r.lab.Veth()
		if zeroCopy {
			name = "zero-copy mode"
		}
		if m.ZeroCopy != zeroCopy || m.Attach != bpf.AttachNative || errors.Is(m.NoZeroCopy, ErrNoZeroCopy) != refused || m.Driver != opt.Driver {
			t.Errorf("%+v", m)
		}
		if s := m.String(); !strings.Contains(s, opt.Driver+" driver, "+name+", native XDP") {
			t.Error(s)
		}
		r.close()
		opt.Attach, opt.Mode = bpf.AttachGeneric, ModeCopy
		r.open(opt)
		if m := r.queue().Mode(); m.Attach != bpf.AttachGeneric || m.ZeroCopy || m.NoZeroCopy != nil {
			t.Errorf("%+v", m)
		}
		r.peer.send(r.toStack(1, 100))
		if got := r.receive(r.queue(), 1, func(uint32, frame.Desc) bool { return false }); got != 1 {
			t.Error("nothing received in generic mode")
		}
	})
}

func TestDiscover(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp", Queues: 3, MTU: 1400})
	for _, side := range []*netlab.Side{lab.Kernel, lab.Stack} {
		var info Info
		err := side.Do(func() (err error) {
			info, err = Discover(side.Interface)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if info.Index != side.Index || info.MAC != side.MAC || info.MTU != 1400 || !info.Up || !info.Carrier ||
			info.Kind != "veth" || info.Driver != "veth" || info.Queues() != 3 || info.Peer == 0 || info.Program != 0 {
			t.Errorf("%+v", info)
		}
		if info.XDPUnknown == nil && (!info.XDP.Has(FeatureBasic|FeatureRedirect) || info.XDP.Has(FeatureZeroCopy)) {
			t.Errorf("features %b: veth runs programs and redirects, and has no zero-copy", info.XDP)
		}
		if want := side == lab.Kernel; want && (len(info.Addresses) != 1 || info.Addresses[0] != side.Address) ||
			!want && len(info.Addresses) != 0 {
			t.Errorf("addresses %v", info.Addresses)
		}
	}
	var info Info
	if err := lab.Kernel.Do(func() (err error) { info, err = Discover("lo"); return err }); err != nil {
		t.Fatal(err)
	}
	if info.Queues() != 1 || info.Kind != "device" || info.Peer != 0 || info.XDP.Has(FeatureBasic) {
		t.Errorf("lo: %+v", info)
	}
}

// TestJumboFrames needs frames of 4096 bytes, which is the default for such an MTU. The larger one fits those, and is too large for the
// drivers' own buffers: veth and virtio_net then want a program that bears several.
func TestJumboFrames(t *testing.T) {
	for _, mtu := range []int{3000, 3700} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			r := newRig(t, netlab.Config{MTU: mtu}, Options{})
			q := r.queue()
			attach := bpf.AttachNative
			if mtu > 3046 {
				attach = r.bufferedXDP()
			}
			if q.MTU() != mtu || q.Pool().ChunkSize() != 4096 || q.Mode().Attach != attach || q.Mode().MultiBuffer {
				t.Fatalf("MTU %d, chunks of %d, %v", q.MTU(), q.Pool().ChunkSize(), q.Mode())
			}
			length := mtu + 14
			buf := make([]byte, length)
			r.peer.send(udpFrame(buf, r.lab.Stack.MAC, r.lab.Kernel.MAC, r.lab.Stack.Address.Addr(), sink, 1, length))
			got := r.receive(q, 1, func(_ uint32, d frame.Desc) bool {
				if int(d.Len) != length {
					t.Errorf("%d bytes", d.Len)
				}
				return false
			})
			if got != 1 {
				t.Error("nothing received")
			}
			if r.transmit(q, 2, length); q.Flush() != nil || len(r.peer.receive(1)) != 1 {
				t.Errorf("nothing sent: %+v", *q.Stats())
			}
			r.allBack(q)
		})
	}
}

// TestForeignProgram finds another XDP program on the interface and leaves it there.
func TestForeignProgram(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp"})
	foreign, err := bpf.Load(bpf.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	err = lab.Stack.Do(func() error {
		if _, err := foreign.Attach(lab.Stack.Index, bpf.AttachNative); err != nil {
			return err
		}
		for _, driver := range []string{DriverNative, DriverAsavie} {
			if _, err := Open(lab.Stack.Interface, Options{Driver: driver}, bpf.Config{}); !errors.Is(err, bpf.ErrOccupied) {
				t.Errorf("%s: %v", driver, err)
			}
		}
		info, err := Discover(lab.Stack.Interface)
		if err == nil && info.Program == 0 {
			t.Error("the other program is gone")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInterfaceNames makes sure that names which no interface can have are errors too.
func TestInterfaceNames(t *testing.T) {
	for _, name := range []string{"", "an-interface-name-that-is-too-long", "no/slash"} {
		if _, err := Discover(name); err == nil {
			t.Errorf("%q was found", name)
		}
	}
}
