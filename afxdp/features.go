package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Features are what an interface's driver does for XDP, as the kernel's "netdev" generic netlink family tells it (Linux 6.3,
// Documentation/netlink/specs/netdev.yaml).
type Features uint64

// The features.
const (
	FeatureBasic         Features = 1 << iota // the driver runs XDP programs itself
	FeatureRedirect                           // it redirects frames, to AF_XDP sockets for example
	FeatureTransmit                           // it sends frames that were redirected to it
	FeatureZeroCopy                           // AF_XDP sockets may be bound with zero-copy
	FeatureOffload                            // the hardware runs XDP programs
	FeatureReceiveMulti                       // it receives frames of several buffers
	FeatureTransmitMulti                      // it sends redirected frames of several buffers
)

// Has reports whether all of want are there.
func (f Features) Has(want Features) bool { return f&want == want }

const (
	netdevCmdDevGet    = 1
	netdevAttrIfindex  = 1
	netdevAttrFeatures = 3
	netdevAttrSegments = 4 // xdp-zc-max-segs
)

// genericHeader is a generic netlink header (genlmsghdr). The library's own serializes two bytes of whatever lies behind it as the
// reserved field, which this family wants to be zero.
type genericHeader struct{ command, version uint8 }

const genericHeaderLen = 4

func (genericHeader) Len() int            { return genericHeaderLen }
func (h genericHeader) Serialize() []byte { return []byte{h.command, h.version, 0, 0} }

// errNoFeatures says that the kernel does not tell which XDP features drivers have.
var errNoFeatures = errors.New("the kernel does not tell (before 6.3)")

// askFeatures asks the kernel which XDP features the interface's driver has, and of how many frames a packet may be with zero-copy.
func (i *Info) askFeatures() (Features, error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if errors.Is(err, syscall.ENOENT) {
		return 0, errNoFeatures
	}
	if err != nil {
		return 0, fmt.Errorf("netdev family: %w", err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(genericHeader{command: netdevCmdDevGet, version: 1})
	req.AddData(nl.NewRtAttr(netdevAttrIfindex, nl.Uint32Attr(uint32(i.Index))))
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, fmt.Errorf("netdev family: %w", err)
	}
	for _, m := range messages {
		if len(m) < genericHeaderLen {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[genericHeaderLen:])
		if err != nil {
			return 0, fmt.Errorf("netdev family: %w", err)
		}
		if f, ok := i.readFeatures(attrs); ok {
			return f, nil
		}
	}
	return 0, errNoFeatures
}

func (i *Info) readFeatures(attrs []syscall.NetlinkRouteAttr) (f Features, ok bool) {
	for _, a := range attrs {
		switch kind := a.Attr.Type & nl.NLA_TYPE_MASK; {
		case kind == netdevAttrFeatures && len(a.Value) >= 8:
			f, ok = Features(binary.NativeEndian.Uint64(a.Value)), true
		case kind == netdevAttrSegments && len(a.Value) >= 4:
			i.ZeroCopyFrames = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return f, ok
}
