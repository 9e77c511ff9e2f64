package afxdp

import (
	"errors"
	"fmt"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// Errors of Below.
var (
	// ErrVLAN: the VLAN's interface is of a kind that is not implemented.
	ErrVLAN = errors.New("only one tag is implemented, of 802.1Q")
	// ErrTagsOff: the device below does not leave the tags to XDP.
	ErrTagsOff = errors.New("the device takes VLAN tags off before XDP sees them")
)

// Below returns the interface that a VLAN's lies on, in the calling thread's network namespace, and the VLAN's number: XDP runs
// there, and sees the frames with their tags. Of an interface that is no VLAN's, or is not there, it returns that itself and 0.
func Below(name string) (below string, vlan uint16, err error) {
	at := place{name: name, queue: -1}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return name, 0, nil // Open says what is the matter
	}
	v, ok := link.(*netlink.Vlan)
	if !ok {
		return name, 0, nil
	}
	if v.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q && v.VlanProtocol != netlink.VLAN_PROTOCOL_UNKNOWN {
		return "", 0, at.fail("find", ErrVLAN, fmt.Errorf("it is a VLAN of %v", v.VlanProtocol), "")
	}
	parent, err := netlink.LinkByIndex(v.ParentIndex)
	if err != nil {
		return "", 0, at.fail("find the interface below", ErrNoInterface, err,
			"it may be in another network namespace: use xdpstack there")
	}
	below = parent.Attrs().Name
	if _, nested := parent.(*netlink.Vlan); nested {
		return "", 0, at.fail("find", ErrVLAN, fmt.Errorf("it is a VLAN within the VLAN %s", below), "")
	}
	if takesTagsOff(parent) {
		return "", 0, at.fail("find", ErrTagsOff, fmt.Errorf("%s has rx-vlan-offload on", below), "ethtool -K "+below+" rxvlan off")
	}
	return below, uint16(v.VlanId), nil
}

// featureTries is how often a device's features are asked for: see askEthtool.
const featureTries = 5

// takesTagsOff reports whether a device takes tags off what it receives. A veth pair never does: there it is the sender that does
// not put them on, and it may be in another namespace.
func takesTagsOff(device netlink.Link) bool {
	if device.Type() == "veth" {
		return false
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return false
	}
	defer e.Close()
	for range featureTries {
		if features, err := e.Features(device.Attrs().Name); err != nil || len(features) > 0 {
			return features["rx-vlan-hw-parse"]
		}
	}
	return false
}
