package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What the kernel's "netdev" generic netlink family says (Documentation/netlink/specs/netdev.yaml, Linux 6.3).
const (
	netdevCmdDevGet    = 1
	netdevAttrIfindex  = 1
	netdevAttrFeatures = 3

	featureBasic    = 1 << 0 // the driver runs XDP programs itself
	featureRedirect = 1 << 1
	featureZeroCopy = 1 << 3
)

// genericHeader is a generic netlink header (genlmsghdr). The library's own serializes two bytes of whatever lies behind it as the
// reserved field, which this family wants to be zero.
type genericHeader struct{ command, version uint8 }

const genericHeaderLen = 4

func (genericHeader) Len() int            { return genericHeaderLen }
func (h genericHeader) Serialize() []byte { return []byte{h.command, h.version, 0, 0} }

// errNoFeatures says that the kernel does not tell which XDP features drivers have.
var errNoFeatures = errors.New("the kernel does not tell (before 6.3)")

// xdpFeatures asks the kernel which XDP features an interface's driver has.
func xdpFeatures(ifindex int) (uint64, error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if errors.Is(err, syscall.ENOENT) {
		return 0, errNoFeatures
	}
	if err != nil {
		return 0, fmt.Errorf("netdev family: %w", err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(genericHeader{command: netdevCmdDevGet, version: 1})
	req.AddData(nl.NewRtAttr(netdevAttrIfindex, nl.Uint32Attr(uint32(ifindex))))
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
		for _, a := range attrs {
			if a.Attr.Type&nl.NLA_TYPE_MASK == netdevAttrFeatures && len(a.Value) >= 8 {
				return binary.NativeEndian.Uint64(a.Value), nil
			}
		}
	}
	return 0, errNoFeatures
}
