package afxdp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
)

// The kernel refuses a zero-copy bind with a bare EINVAL or EOPNOTSUPP. What follows finds out what was meant.

const (
	zeroCopyAlign = 128          // drivers are given room in multiples of it
	zeroCopyLink  = 14 + 2*4 + 4 // what the kernel adds to the MTU: Ethernet header, two VLAN tags, frame check sequence
	fragmentInfo  = 320          // what it keeps at the end of a frame (skb_shared_info) where packets lie in several
)

// roughRoom are the drivers whose cards take the room of a frame in units of so many bytes, rounded down. The kernel does not
// check that, and the card drops every packet that is larger: 1024 bytes are all that fits a frame of 2048. Of ixgbe it is so
// with the 82599 only, which cannot be told from here.
var roughRoom = map[string]int{"igb": 1024, "igc": 1024, "ixgbe": 1024}

// zeroCopyRoom returns how many bytes of network packet so many frames can have with zero-copy, by the kernel's check at bind
// (Linux 7.1, and older ones that were mended) and what is known of the driver.
func (i *Info) zeroCopyRoom(frames, frameSize, headroom int) int {
	usable := frameSize - xdpHeadroom - headroom
	if frames > 1 {
		usable -= fragmentInfo
	}
	return frames*(usable&^(max(zeroCopyAlign, roughRoom[i.Driver])-1)) - zeroCopyLink
}

// fit chooses frames that zero-copy is possible with, if they are not given and zero-copy is wanted.
func (i *Info) fit(o *Options) {
	if o.FrameSize == 0 && o.Mode != ModeCopy && o.Attach != bpf.AttachGeneric && i.zeroCopyRoom(1, 2048, o.Headroom) < i.MTU {
		o.FrameSize = 4096
	}
}

// FrameSize returns how many bytes the frames of the interface's queues have with these options.
func (i *Info) FrameSize(o Options) int {
	i.fit(&o)
	return o.withDefaults(i.MTU).FrameSize
}

// zeroCopySince is from which release of Linux on a driver has zero-copy, where that is later than what xdpstack needs anyway.
var zeroCopySince = map[string]release{
	"stmmac": {5, 13}, "st_gmac": {5, 13}, "igc": {5, 14}, "nfp": {5, 18}, "fsl_dpaa2_eth": {6, 2}, "gve": {6, 4},
	"virtio_net": {6, 13}, "igb": {6, 14},
}

// release is a release of Linux.
type release struct{ major, minor int }

// runningRelease returns that of the running kernel; zero if it does not say.
func runningRelease() (r release) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &r.major, &r.minor)
	}
	return r
}

func (r release) before(o release) bool {
	return r != release{} && (r.major < o.major || r.major == o.major && r.minor < o.minor)
}

// Obstacle is what keeps an interface from zero-copy.
type Obstacle struct {
	Reason string
	Cure   string // what the user can do about it
}

const useCopy = "use mode copy"

// ZeroCopyObstacle returns what keeps the interface's queues from zero-copy with these options, as far as it can be known without
// trying; nil if nothing.
func (i *Info) ZeroCopyObstacle(o Options) *Obstacle {
	i.fit(&o)
	o = o.withDefaults(i.MTU)
	return i.obstacle(&o, o.Attach, runningRelease())
}

// obstacle is ZeroCopyObstacle for a program that is, or will be, attached in that mode. The defaults have been set.
func (i *Info) obstacle(o *Options, attach bpf.AttachMode, kernel release) *Obstacle {
	if attach == bpf.AttachGeneric {
		cure := "attach it in native mode, or use mode copy"
		return &Obstacle{"the XDP program is in generic mode, behind the driver, where every frame has been copied", cure}
	}
	if why := i.driverObstacle(kernel); why != nil {
		return why
	}
	if i.PlainDMA {
		return &Obstacle{"the virtio device uses memory without the kernel's DMA mapping (no VIRTIO_F_ACCESS_PLATFORM)",
			"start the virtual machine with iommu_platform=on for this device, or use mode copy"}
	}
	return i.roomObstacle(o)
}

// driverObstacle finds a driver without zero-copy.
func (i *Info) driverObstacle(kernel release) *Obstacle {
	const need = FeatureBasic | FeatureRedirect | FeatureZeroCopy
	since, late := zeroCopySince[i.Driver]
	switch late = late && kernel.before(since); {
	case i.Kind == "veth":
		return &Obstacle{"veth has none", "use a network card whose driver has it, or use mode copy"}
	case i.XDPUnknown == nil && i.XDP.Has(need), i.XDPUnknown != nil && !late:
		return nil
	case late:
		return &Obstacle{fmt.Sprintf("the driver %s has it from Linux %d.%d on, and this is %d.%d", i.Driver, since.major, since.minor,
			kernel.major, kernel.minor), "use a newer kernel, or use mode copy"}
	case i.XDP.Has(FeatureZeroCopy):
		return &Obstacle{fmt.Sprintf("the driver %s has it, but runs no XDP program as it is set up now", i.Driver),
			fmt.Sprintf("turn off what excludes XDP, such as LRO (ethtool -K %s lro off), or use mode copy", i.Name)}
	}
	return &Obstacle{fmt.Sprintf("the driver %s has none", i.driver()), "use a network card whose driver has it, or use mode copy"}
}

// driver names the driver, or what is known instead.
func (i *Info) driver() string {
	if i.Driver == "" {
		return "of this " + i.Kind
	}
	return i.Driver
}

// roomObstacle finds packets that do not fit.
func (i *Info) roomObstacle(o *Options) *Obstacle {
	frames := 1
	if o.Driver == DriverNative && room(o.FrameSize, o.Headroom) < i.MTU {
		frames = max(i.ZeroCopyFrames, 1)
	}
	if i.zeroCopyRoom(frames, o.FrameSize, o.Headroom) >= i.MTU {
		return nil
	}
	why := fmt.Sprintf("an MTU of %d does not fit a frame of %d bytes with a headroom of %d", i.MTU, o.FrameSize, o.Headroom)
	if frames > 1 {
		why = fmt.Sprintf("an MTU of %d does not fit the %d frames of %d bytes that a packet may have with this driver", i.MTU, frames,
			o.FrameSize)
	}
	if roughRoom[i.Driver] != 0 {
		why += fmt.Sprintf(", of which cards with the driver %s use whole KiB", i.Driver)
	}
	const largest = 4096
	switch {
	case i.zeroCopyRoom(frames, largest, o.Headroom) >= i.MTU:
		return &Obstacle{why, fmt.Sprintf("use frames of %d bytes, or use mode copy", largest)}
	case i.zeroCopyRoom(frames, largest, 0) >= i.MTU:
		return &Obstacle{why, fmt.Sprintf("use frames of %d bytes and a smaller headroom, or use mode copy", largest)}
	}
	return &Obstacle{why, fmt.Sprintf("set an MTU of at most %d (ip link set %s mtu %[1]d), or use mode copy",
		i.zeroCopyRoom(frames, largest, 0), i.Name)}
}

// drops reports whether packets would be lost with zero-copy that the kernel does not refuse.
func (i *Info) drops(o *Options) bool { return roughRoom[i.Driver] != 0 && i.roomObstacle(o) != nil }

// noZeroCopy explains why a queue is not bound with zero-copy, by how it was to be bound. The error of the bind is nil if it was
// not tried, or did not give it.
func (p place) noZeroCopy(o *Options, mode *BoundMode, bind error) error {
	info, err := Discover(p.name) // anew: it may have changed since
	if err != nil {
		return errors.Join(p.fail("bind", ErrNoZeroCopy, bind, useCopy), err)
	}
	var errno unix.Errno
	errors.As(bind, &errno)
	if errno == unix.EINVAL && p.queue >= info.Queues() {
		return p.fail("bind", ErrNoQueue, errno, fmt.Sprintf("there are %d, from 0: see them with: ethtool -l %s", info.Queues(), p.name))
	}
	why := info.obstacle(o, mode.Attach, runningRelease())
	switch {
	case why != nil:
	case errno == 0:
		why = &Obstacle{"the kernel bound the socket in copy mode all the same", useCopy}
	case errno == unix.EOPNOTSUPP:
		why = &Obstacle{fmt.Sprintf("the driver %s does not have it as it is set up now", info.driver()), useCopy}
	default:
		why = &Obstacle{fmt.Sprintf("the driver %s refuses frames of %d bytes, a headroom of %d, or rings of %d and %d", info.driver(),
			o.FrameSize, o.Headroom, o.RxRing, o.TxRing), "see dmesg, try frames of 4096 bytes, or use mode copy"}
	}
	cause := errors.New(why.Reason)
	switch {
	case errno != 0:
		cause = fmt.Errorf("%s: %w", why.Reason, errno)
	case mode.noNative != nil:
		cause = fmt.Errorf("%s: %w", why.Reason, mode.noNative)
	}
	return p.fail("bind", ErrNoZeroCopy, cause, why.Cure)
}
