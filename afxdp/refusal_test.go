package afxdp

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

func TestZeroCopyObstacles(t *testing.T) {
	const all = FeatureBasic | FeatureRedirect | FeatureZeroCopy
	card := Info{Name: "x0", Kind: "device", Driver: "ice", MTU: 1500, RxQueues: 4, TxQueues: 4, XDP: all, ZeroCopyFrames: 1}
	unknown := errors.New("too old")
	for _, c := range []struct {
		what   string
		info   func(*Info)
		opt    Options
		attach bpf.AttachMode
		kernel release
		reason string // empty: no obstacle
		cure   string
	}{
		{what: "none"},
		{what: "generic program", attach: bpf.AttachGeneric, reason: "generic mode", cure: "native mode"},
		{what: "veth", info: func(i *Info) { i.Kind, i.Driver, i.XDP = "veth", "veth", FeatureBasic }, reason: "veth has none", cure: "network card"},
		{what: "a driver without", info: func(i *Info) { i.Driver, i.XDP = "e1000e", 0 }, reason: "the driver e1000e has none", cure: "mode copy"},
		{what: "no driver", info: func(i *Info) { i.Driver, i.Kind, i.XDP = "", "bridge", 0 }, reason: "of this bridge", cure: "mode copy"},
		{what: "a driver that runs no program now", info: func(i *Info) { i.XDP = FeatureZeroCopy }, reason: "as it is set up", cure: "lro off"},
		{what: "virtio_net, old kernel", info: func(i *Info) { i.Driver, i.XDP = "virtio_net", FeatureBasic|FeatureRedirect },
			kernel: release{6, 12}, reason: "from Linux 6.13 on, and this is 6.12", cure: "newer kernel"},
		{what: "igb, old kernel without features", info: func(i *Info) { i.Driver, i.XDP, i.XDPUnknown = "igb", 0, unknown },
			kernel: release{5, 10}, reason: "from Linux 6.14 on, and this is 5.10", cure: "newer kernel"},
		{what: "igb, backported", info: func(i *Info) { i.Driver = "igb" }, kernel: release{6, 12}},
		{what: "features unknown", info: func(i *Info) { i.XDP, i.XDPUnknown = 0, unknown }, kernel: release{5, 15}},
		{what: "kernel unknown", info: func(i *Info) { i.Driver, i.XDP = "igb", FeatureBasic }, reason: "igb has none", cure: "mode copy"},
		{what: "virtio without DMA mapping", info: func(i *Info) { i.PlainDMA = true }, reason: "ACCESS_PLATFORM", cure: "iommu_platform=on"},
		{what: "headroom", opt: Options{FrameSize: 2048, Headroom: 264}, reason: "1500 does not fit a frame of 2048 bytes with a headroom of 264",
			cure: "frames of 4096 bytes,"},
		{what: "headroom that just fits", opt: Options{FrameSize: 2048, Headroom: 256}},
		{what: "MTU", info: func(i *Info) { i.MTU = 1767 }, opt: Options{FrameSize: 2048}, reason: "1767", cure: "frames of 4096"},
		{what: "MTU, default frames", info: func(i *Info) { i.MTU = 1767 }},
		{what: "the largest MTU", info: func(i *Info) { i.MTU = 3814 }},
		{what: "a larger one", info: func(i *Info) { i.MTU = 3815 }, reason: "3815", cure: "ip link set x0 mtu 3814"},
		{what: "headroom in large frames", info: func(i *Info) { i.MTU = 3700 }, opt: Options{Headroom: 256}, reason: "3700", cure: "smaller headroom"},
		{what: "igb", info: func(i *Info) { i.Driver = "igb" }},
		{what: "igb, small frames", info: func(i *Info) { i.Driver = "igb" }, opt: Options{FrameSize: 2048}, reason: "igb use whole KiB",
			cure: "frames of 4096"},
		{what: "igb, MTU", info: func(i *Info) { i.Driver, i.MTU = "igb", 3047 }, reason: "3047", cure: "mtu 3046"},
		{what: "jumbo, one frame", info: func(i *Info) { i.MTU = 9000 }, reason: "9000", cure: "mtu 3814"},
		{what: "jumbo, eight frames", info: func(i *Info) { i.MTU, i.ZeroCopyFrames = 9000, 8 }},
		{what: "jumbo, two frames", info: func(i *Info) { i.MTU, i.ZeroCopyFrames = 9000, 2 }, reason: "the 2 frames of 4096", cure: "mtu 6886"},
		{what: "jumbo, asavie", info: func(i *Info) { i.MTU, i.ZeroCopyFrames = 9000, 8 }, opt: Options{Driver: DriverAsavie}, reason: "9000",
			cure: "mtu 3814"},
	} {
		info := card
		if c.info != nil {
			c.info(&info)
		}
		if c.attach == bpf.AttachAuto {
			c.attach = bpf.AttachNative
		}
		info.fit(&c.opt)
		opt := c.opt.withDefaults(info.MTU)
		got := info.obstacle(&opt, c.attach, c.kernel)
		switch {
		case got == nil && c.reason == "":
		case got == nil || c.reason == "":
			t.Errorf("%s: %+v, want %q", c.what, got, c.reason)
		case !strings.Contains(got.Reason, c.reason) || !strings.Contains(got.Cure, c.cure):
			t.Errorf("%s: %+v, want %q and %q", c.what, got, c.reason, c.cure)
		}
	}
}

// TestGenericIsNotZeroCopy asks for zero-copy with a program behind the driver: in ModeZeroCopy that is an error, in ModeAuto it
// is copy mode, and both say why.
func TestGenericIsNotZeroCopy(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp"})
	for _, driver := range []string{DriverNative, DriverAsavie} {
		opt := Options{Driver: driver, Attach: bpf.AttachGeneric, Mode: ModeZeroCopy}
		i, err := openSide(lab.Stack, opt)
		if err == nil {
			t.Fatalf("%s: opened as %v", driver, errors.Join(errors.New(i.Describe()), i.Close()))
		}
		if !errors.Is(err, ErrNoZeroCopy) || !strings.Contains(err.Error(), "generic mode") || !strings.Contains(err.Error(), lab.Stack.Interface) {
			t.Errorf("%s: %v", driver, err)
		}
		clean(t, lab.Stack)
		opt.Mode = ModeAuto
		if i, err = openSide(lab.Stack, opt); err != nil {
			t.Fatal(err)
		}
		m := i.Queues()[0].Mode()
		if m.ZeroCopy || !errors.Is(m.NoZeroCopy, ErrNoZeroCopy) || !strings.Contains(m.NoZeroCopy.Error(), "generic mode") ||
			!strings.Contains(m.String(), "copy mode, generic XDP") {
			t.Errorf("%s: %+v", driver, m)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRefusedOnVeth is what a driver without zero-copy gives, the errno of the bind included.
func TestRefusedOnVeth(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "afxdp"})
	if !lab.Veth() {
		t.Skip("is about veth, which has no zero-copy")
	}
	for _, driver := range []string{DriverNative, DriverAsavie} {
		_, err := openSide(lab.Stack, Options{Driver: driver, Mode: ModeZeroCopy})
		if !errors.Is(err, ErrNoZeroCopy) || !errors.Is(err, unix.EOPNOTSUPP) || !strings.Contains(err.Error(), "veth has none") {
			t.Errorf("%s: %v", driver, err)
		}
	}
}
