package netdev

import (
	"fmt"
	"math"

	"github.com/mdlayher/netlink"
)

// The attributes of a device.
const (
	devIfindex        = 1
	devXDPFeatures    = 3
	devZeroCopySegs   = 4
	devRxMetadata     = 5
	devXSKFeatures    = 6
	largestIfindex    = math.MaxInt32
	largestSegs       = math.MaxUint16
	singleSegmentOnly = 1
)

// Device is what the driver of an interface can do.
type Device struct {
	Ifindex int         `json:"ifindex"`
	XDP     XDPFeatures `json:"xdp-features"`
	// ZeroCopySegments is of how many frames a packet may be with zero-copy; Unknown where the driver has no zero-copy, or the
	// kernel does not tell. 1 means that there is no multi-buffer with zero-copy.
	ZeroCopySegments int         `json:"xdp-zc-max-segs"`
	RxMetadata       RxMetadata  `json:"xdp-rx-metadata-features"`
	XSK              XSKFeatures `json:"xsk-features"`
}

// Device asks what the driver of an interface can do.
func (c *Conn) Device(ifindex int) (Device, error) {
	a, err := c.one(cmdDevGet, func(e *netlink.AttributeEncoder) { e.Uint32(devIfindex, uint32(ifindex)) })
	if err != nil {
		return Device{}, fmt.Errorf("netdev: device of interface %d: %w", ifindex, err)
	}
	return readDevice(a), nil
}

func readDevice(a attributes) Device {
	return Device{
		Ifindex:          int(a[devIfindex].int(largestIfindex)),
		XDP:              XDPFeatures(a[devXDPFeatures].flags()),
		ZeroCopySegments: int(a[devZeroCopySegs].int(largestSegs)),
		RxMetadata:       RxMetadata(a[devRxMetadata].flags()),
		XSK:              XSKFeatures(a[devXSKFeatures].flags()),
	}
}

// flags reads a set of features.
func (v value) flags() uint64 {
	n, ok := v.number()
	if !ok {
		return unknownBit
	}
	return n &^ unknownBit
}

// MultiBuffer reports whether packets may lie in several frames with zero-copy. It is false where that is unknown.
func (d *Device) MultiBuffer() bool { return d.ZeroCopySegments > singleSegmentOnly }

// String describes the device with the kernel's names.
func (d Device) String() string {
	s := fmt.Sprintf("xdp-features: %v", d.XDP)
	if d.ZeroCopySegments != Unknown {
		s += fmt.Sprintf("; xdp-zc-max-segs: %d", d.ZeroCopySegments)
	}
	return s + fmt.Sprintf("; xdp-rx-metadata-features: %v; xsk-features: %v", d.RxMetadata, d.XSK)
}
