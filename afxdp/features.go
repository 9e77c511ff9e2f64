package afxdp

import (
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
	netdevAttrSocket   = 6 // xsk-features

	socketTxTimestamp = 1 << 0 // of xsk-features: tx-timestamp
	socketTxChecksum  = 1 << 1 // tx-checksum
)

// genericHeader is a generic netlink header (genlmsghdr). The library's own serializes two bytes of whatever lies behind it as the
// reserved field, which this family wants to be zero.
type genericHeader struct{ command, version uint8 }

const genericHeaderLen = 4

func (genericHeader) Len() int            { return genericHeaderLen }
func (h genericHeader) Serialize() []byte { return []byte{h.command, h.version, 0, 0} }

// errNoFeatures says that the kernel does not tell which XDP features drivers have.
var errNoFeatures = errors.New("the kernel does not tell (before 6.3)")

// netdev has the "netdev" family of the calling thread's network namespace carry out a command, and returns the attributes of each answer.
func netdev(command uint8, attrs ...*nl.RtAttr) ([]map[uint16]attribute, error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if errors.Is(err, syscall.ENOENT) {
		return nil, errNoFeatures
	}
	if err != nil {
		return nil, fmt.Errorf("netdev family: %w", err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(genericHeader{command: command, version: 1})
	for _, a := range attrs {
		req.AddData(a)
	}
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, fmt.Errorf("netdev family: %w", err)
	}
	var answers []map[uint16]attribute
	for _, m := range messages {
		if len(m) < genericHeaderLen {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[genericHeaderLen:])
		if err != nil {
			return nil, fmt.Errorf("netdev family: %w", err)
		}
		answer := make(map[uint16]attribute)
		for _, a := range attrs {
			answer[a.Attr.Type&nl.NLA_TYPE_MASK] = a.Value
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// askFeatures asks the kernel which XDP features the interface's driver has, and of how many frames a packet may be with zero-copy.
func (i *Info) askFeatures() (Features, error) {
	answers, err := netdev(netdevCmdDevGet, nl.NewRtAttr(netdevAttrIfindex, nl.Uint32Attr(uint32(i.Index))))
	if err != nil {
		return 0, err
	}
	for _, attrs := range answers {
		if features, ok := attrs[netdevAttrFeatures]; ok {
			i.txTimestamp = attrs[netdevAttrSocket].uint64()&socketTxTimestamp != 0
			i.txChecksum = attrs[netdevAttrSocket].uint64()&socketTxChecksum != 0
			i.ZeroCopyFrames = int(attrs[netdevAttrSegments].uint32(0))
			return Features(features.uint64()), nil
		}
	}
	return 0, errNoFeatures
}
