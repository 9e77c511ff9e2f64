package stack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
)

// A stack on a VLAN's interface works on the interface below: the program takes the frames with the VLAN's tag, and the tag is taken off
// before the stack looks at them, and put on when all else is done. Each costs a copy of the two hardware addresses.

// tag is the four bytes that go between the addresses and the type of a frame; 0: none.
type tag uint32

func newTag(vlan uint16) tag { return tag(uint32(ethernet.TypeVLAN)<<16 | uint32(vlan)) }

// addressesLen is the length of what goes before a tag, in bytes.
const addressesLen = 12

// untag takes the tag off each packet that has it. One that has not is left for parseFrame to drop.
func (s *Shard) untag(batch []frame.Desc) {
	for i := 0; i < len(batch); i++ {
		m := s.pool.Meta(batch[i].Frame)
		b := s.pool.Data(batch[i].Frame)
		if len(b) >= addressesLen+ethernet.TagLen && (tag(binary.BigEndian.Uint32(b[addressesLen:]))^s.tag)&0xffff0fff == 0 {
			copy(b[ethernet.TagLen:], b[:addressesLen])
			m.Off += ethernet.TagLen
			m.Len -= ethernet.TagLen
		} else {
			m.Len = 0
		}
		for batch[i].More && i+1 < len(batch) {
			i++
		}
	}
}

// addTag puts the tag into a packet that is complete. Of a packet of several frames, that is for the first.
func (s *Shard) addTag(d frame.Desc) frame.Desc {
	if n := len(s.txq); n > 0 && s.txq[n-1].More {
		return d
	}
	d.Off -= ethernet.TagLen
	d.Len += ethernet.TagLen
	b := s.pool.Bytes(d)
	copy(b[:addressesLen], b[ethernet.TagLen:])
	binary.BigEndian.PutUint32(b[addressesLen:], uint32(s.tag))
	return d
}

// vlanBelow returns the interface below a VLAN's, with the VLAN's number; the interface itself and 0 if it is none.
func vlanBelow(name string) (below string, vlan uint16, err error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return name, 0, nil // afxdp says what is the matter
	}
	v, ok := link.(*netlink.Vlan)
	if !ok {
		return name, 0, nil
	}
	if v.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q && v.VlanProtocol != netlink.VLAN_PROTOCOL_UNKNOWN {
		return "", 0, fmt.Errorf("%w: %s is a VLAN of %v: only 802.1Q is implemented", ErrConfig, name, v.VlanProtocol)
	}
	parent, err := netlink.LinkByIndex(v.ParentIndex)
	if err != nil {
		return "", 0, fmt.Errorf("stack: find the interface below the VLAN %s: %w", name, err)
	}
	if _, nested := parent.(*netlink.Vlan); nested {
		return "", 0, fmt.Errorf("%w: %s is a VLAN within the VLAN %s: only one tag is implemented", ErrConfig, name, parent.Attrs().Name)
	}
	return parent.Attrs().Name, uint16(v.VlanId), checkTagsStay(parent)
}

// stripping is the name of the feature by which a device takes the tags off what it receives.
const stripping = "rx-vlan-hw-parse"

// featureTries is how often a device's features are asked for.
const featureTries = 5

// errStripped is in the error for a device that takes tags off.
var errStripped = errors.New("the device takes VLAN tags off before XDP sees them")

// checkTagsStay refuses a device that takes tags off what it receives. A veth pair never does: there it is the sender that does not put them
// on, and it may be in another namespace.
func checkTagsStay(parent netlink.Link) error {
	if parent.Type() == "veth" {
		return nil
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return nil
	}
	defer e.Close()
	var features map[string]bool
	for range featureTries { // Now and then the library's answer is empty.
		if features, err = e.Features(parent.Attrs().Name); err != nil || len(features) > 0 {
			break
		}
	}
	if !features[stripping] {
		return nil
	}
	return fmt.Errorf("%w: %s: %w: turn that off with: ethtool -K %s rxvlan off", ErrConfig, parent.Attrs().Name, errStripped,
		parent.Attrs().Name)
}
