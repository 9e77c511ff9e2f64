package afxdp

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDefaults(t *testing.T) {
	o := Options{}.withDefaults(1500)
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	if o.Driver != DriverNative || o.FrameSize != 2048 || o.Frames != 16384 || o.RxRing != 2048 || o.FillRing != 4096 ||
		o.CompletionRing != 2048 || o.TxBudget != 256 {
		t.Errorf("%+v", o)
	}
	for _, c := range []struct{ mtu, headroom, size int }{
		{1500, 0, 2048}, {1500, 256, 2048}, {1770, 0, 2048}, {1771, 0, 4096}, {1500, 272, 4096}, {3498, 0, 4096}, {9000, 0, 4096},
	} {
		o := Options{Headroom: c.headroom}.withDefaults(c.mtu)
		if err := o.check(); err != nil || o.FrameSize != c.size {
			t.Errorf("MTU %d, headroom %d: frames of %d, want %d: %v", c.mtu, c.headroom, o.FrameSize, c.size, err)
		}
	}
}

func TestMetadataOptions(t *testing.T) {
	for _, c := range []struct {
		opt Options
		ok  bool
	}{
		{Options{TxChecksum: TxChecksumDevice, TxStamps: 1 << 20}, true},
		{Options{TxChecksum: TxChecksumStack, Driver: DriverAsavie}, true},
		{Options{TxChecksum: TxChecksumDevice, Driver: DriverAsavie}, false},
		{Options{TxChecksum: TxChecksumDevice + 1}, false},
		{Options{TxStamps: -1}, false}, {Options{TxStamps: 1<<20 + 1}, false}, {Options{TxStamps: 1, Driver: DriverAsavie}, false},
	} {
		o := c.opt.withDefaults(1500)
		if err := o.check(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("%v and %d times with the driver %s: %v", o.TxChecksum, o.TxStamps, o.Driver, err)
		}
	}
}

// With zero-copy less fits a frame, and with some drivers much less.
func TestDefaultFramesWithZeroCopy(t *testing.T) {
	for _, c := range []struct {
		driver        string
		mtu, headroom int
		mode          Mode
		size          int
	}{
		{"ice", 1500, 0, ModeAuto, 2048}, {"ice", 1500, 256, ModeZeroCopy, 2048}, {"ice", 1500, 264, ModeZeroCopy, 4096},
		{"ice", 1766, 0, ModeAuto, 2048}, {"ice", 1767, 0, ModeAuto, 4096}, {"ice", 1767, 0, ModeCopy, 2048},
		{"igb", 998, 0, ModeAuto, 2048}, {"igb", 999, 0, ModeAuto, 4096}, {"igb", 1500, 0, ModeZeroCopy, 4096}, {"igb", 1500, 0, ModeCopy, 2048},
	} {
		info := Info{Driver: c.driver, MTU: c.mtu}
		o := Options{Headroom: c.headroom, Mode: c.mode}
		info.fit(&o)
		if o = o.withDefaults(c.mtu); o.FrameSize != c.size {
			t.Errorf("%+v: frames of %d", c, o.FrameSize)
		}
	}
}

// TestKernelNeverHasAllFrames is what keeps a frame for transmission.
func TestKernelNeverHasAllFrames(t *testing.T) {
	for _, o := range []Options{{}, small, {Frames: 6144}, {Frames: 8192, FillRing: 16384}} {
		o = o.withDefaults(1500)
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		if n := o.fillTarget(); n > o.Frames/2 || n > o.FillRing || n < o.RxRing {
			t.Errorf("%d frames to receive into, of %d, with an RX ring of %d and a fill ring of %d", n, o.Frames, o.RxRing, o.FillRing)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := error(&Error{Op: "bind", Interface: "eth7", Queue: 3, Kind: ErrQueueBusy, Err: unix.EBUSY, Cure: "wait"})
	if got := err.Error(); got != "afxdp: eth7 queue 3: bind: queue is in use: device or resource busy (wait)" {
		t.Error(got)
	}
	if !errors.Is(err, ErrQueueBusy) || !errors.Is(err, unix.EBUSY) || errors.Is(err, ErrGone) {
		t.Error("errors.Is")
	}
	at := place{name: "eth7", queue: -1}
	for errno, kind := range map[unix.Errno]error{
		unix.EPERM: ErrPermission, unix.ENOBUFS: ErrMemory, unix.ENOMEM: ErrMemory, unix.EBUSY: ErrQueueBusy, unix.ENODEV: ErrNoInterface,
		unix.ENETDOWN: ErrInterfaceDown, unix.ENXIO: ErrGone, unix.EAFNOSUPPORT: ErrUnsupported,
	} {
		err := at.errno("test", errno)
		if !errors.Is(err, kind) || !errors.Is(err, errno) || err.Cure == "" || strings.Contains(err.Error(), "queue -1") {
			t.Errorf("%v: %v", errno, err)
		}
	}
}
