//go:build nic

package afxdp

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/copycount"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// withZeroCopy makes a lab of cards that have zero-copy.
func withZeroCopy(t *testing.T, cfg netlab.Config) (*netlab.Lab, Info) {
	t.Helper()
	cfg.Name = "afxdp"
	lab := cardsFor(t, cfg)
	var info Info
	if err := lab.Stack.Do(func() (err error) { info, err = Discover(lab.Stack.Interface); return err }); err != nil {
		t.Fatal(err)
	}
	if info.PlainDMA {
		t.Skipf("%s uses memory without the kernel's DMA mapping: no zero-copy", info.Name)
	}
	return lab, info
}

// TestNICZeroCopyRefused asks the drivers for what they cannot do with zero-copy: ModeZeroCopy gives the reason, ModeAuto copies.
func TestNICZeroCopyRefused(t *testing.T) {
	for _, c := range []struct {
		what          string
		mtu, headroom int
		frameSize     int
		reason, cure  string
	}{
		{"headroom", 1500, 264, 2048, "an MTU of 1500 does not fit a frame of 2048 bytes with a headroom of 264", "frames of 4096"},
		{"MTU", 1900, 0, 2048, "an MTU of 1900 does not fit a frame of 2048", "frames of 4096"},
	} {
		t.Run(c.what, func(t *testing.T) {
			lab, info := withZeroCopy(t, netlab.Config{MTU: c.mtu})
			opt := small
			opt.FrameSize, opt.Headroom = c.frameSize, c.headroom
			for _, driver := range []string{DriverNative, DriverAsavie} {
				if driver == DriverAsavie && c.headroom != 0 {
					continue // it has none
				}
				opt.Driver, opt.Mode = driver, ModeZeroCopy
				_, err := openSide(lab.Stack, opt)
				if !errors.Is(err, ErrNoZeroCopy) || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), c.cure) {
					t.Errorf("%s: %v", driver, err)
				}
				if roughRoom[info.Driver] == 0 && !errors.Is(err, unix.EINVAL) {
					t.Errorf("%s: %v: want EINVAL", driver, err)
				}
				opt.Mode = ModeAuto
				i, err := openSide(lab.Stack, opt)
				if err != nil {
					t.Fatal(err)
				}
				if m := i.Queues()[0].Mode(); m.ZeroCopy || !errors.Is(m.NoZeroCopy, ErrNoZeroCopy) ||
					!strings.Contains(m.NoZeroCopy.Error(), c.reason) {
					t.Errorf("%s: %+v", driver, m)
				}
				if err := i.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestNICPlainDMA is what a virtio device gives without VIRTIO_F_ACCESS_PLATFORM.
func TestNICPlainDMA(t *testing.T) {
	lab := cardsFor(t, netlab.Config{Name: "afxdp"})
	var info Info
	if err := lab.Stack.Do(func() (err error) { info, err = Discover(lab.Stack.Interface); return err }); err != nil {
		t.Fatal(err)
	}
	if !info.PlainDMA {
		t.Skipf("%s (%s) uses the kernel's DMA mapping", info.Name, info.Driver)
	}
	_, err := openSide(lab.Stack, Options{Mode: ModeZeroCopy})
	if !errors.Is(err, ErrNoZeroCopy) || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "ACCESS_PLATFORM") ||
		!strings.Contains(err.Error(), "iommu_platform=on") {
		t.Error(err)
	}
}

// TestNICLargestPackets receives and sends packets up to the largest that zero-copy is given for: the kernel gives it for more
// than some cards receive.
func TestNICLargestPackets(t *testing.T) {
	var info Info
	t.Run("look", func(t *testing.T) { _, info = withZeroCopy(t, netlab.Config{}) })
	if t.Skipped() || info.Name == "" {
		return
	}
	for _, size := range []int{2048, 4096} {
		mtu := info.zeroCopyRoom(1, size, 0)
		if info.Driver == "virtio_net" {
			mtu = min(mtu, 3500) // what its native XDP bears in one buffer
		}
		t.Run(strconv.Itoa(mtu), func(t *testing.T) {
			r := newRig(t, netlab.Config{MTU: mtu}, Options{Mode: ModeZeroCopy, FrameSize: size})
			q := r.queue()
			if q.MTU() != mtu || !q.Mode().ZeroCopy {
				t.Fatalf("MTU %d, want %d; %v", q.MTU(), mtu, q.Mode())
			}
			for n, length := range []int{mtu + 14, mtu/2 + 14, mtu + 13, 60, mtu + 14} {
				r.peer.send(r.toStack(uint32(n), length))
				got := r.receive(q, 1, func(_ uint32, d frame.Desc) bool {
					if int(d.Len) != length {
						t.Errorf("%d bytes of %d", d.Len, length)
					}
					return false
				})
				if got != 1 {
					t.Errorf("%d bytes did not come", length)
				}
				r.transmit(q, uint32(n), length)
				r.drain(q)
				if got := r.peer.receive(1); len(got) != 1 {
					t.Errorf("%d bytes did not go", length)
				}
			}
			r.allBack(q)
		})
	}
}

// TestNICGenericZeroCopyIsCopied shows why a socket's word is not enough: bound with zero-copy beside a program in generic mode
// it says that it has zero-copy, and the kernel copies every packet all the same.
func TestNICGenericZeroCopyIsCopied(t *testing.T) {
	lab, info := withZeroCopy(t, netlab.Config{})
	counter, err := copycount.Open()
	if err != nil {
		t.Skip(err)
	}
	defer counter.Close()
	program, err := bpf.Load(bpf.Config{Mode: bpf.OwnAddress})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	q := &native{}
	err = lab.Stack.Do(func() error {
		if _, err := program.Attach(info.Index, bpf.AttachGeneric); err != nil {
			return err
		}
		o := Options{FrameSize: 4096}.withDefaults(info.MTU)
		at := place{name: info.Name, index: info.Index}
		q.init(at, &info, &o)
		q.level.init(o.fillTarget())
		q.mem, err = newUMEM(at, &o, -1)
		if err == nil {
			q.pool, err = frame.NewPool(q.mem.frames, o.FrameSize)
		}
		if err == nil {
			err = q.attempt(&o, unix.XDP_ZEROCOPY)
		}
		if err == nil {
			err = q.openEvent(at, q.fd)
		}
		return err
	})
	if err != nil {
		t.Fatal(errors.Join(err, q.Close()))
	}
	defer q.Close()
	if !zeroCopy(q.fd) {
		t.Error("the socket does not say that it has zero-copy")
	}
	if err := errors.Join(program.SetSocket(0, q.fd), program.AddAddress(lab.Stack.Address.Addr()), lab.WaitCarrier()); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, lab: lab, peer: newPacketSocket(t, lab.Kernel)}
	const packets = 50
	for n := range uint32(packets) {
		r.peer.send(r.toStack(n, 200))
	}
	var got []uint32
	r.receive(q, packets, func(n uint32, _ frame.Desc) bool { got = append(got, n); return false })
	n, err := counter.Read()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets received; %v", len(got), n)
	if len(got) != packets || !slices.IsSorted(got) || n.Received < packets {
		t.Errorf("%d packets of %d received; %v", len(got), packets, n)
	}
}
