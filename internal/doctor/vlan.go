package doctor

import "fmt"

// judgeVLAN tells where XDP runs for a VLAN's interface. Whether the device leaves the tags to it, afxdp.Below has seen.
func judgeVLAN(name, device string, vlan uint16) Finding {
	fact := fmt.Sprintf("VLAN %d on %s: XDP runs there, and leaves other VLANs to the kernel", vlan, device)
	return Finding{Subject: name, Level: OK, Fact: fact}
}

// judgePeerTags is for a VLAN on veth, whose other end may keep the tags out of the frames.
func judgePeerTags(device string) Finding {
	return Finding{
		Subject: device + " VLAN tags", Level: Note,
		Fact: "on veth, the other end may keep tags beside the frames, where XDP does not see them",
		Cure: "at the peer: ethtool -K PEER txvlan off",
	}
}
