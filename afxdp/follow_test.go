package afxdp

import (
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// linkMessage is what the kernel says about an interface, in a family of addresses.
func linkMessage(t *testing.T, kind netlink.HeaderType, family byte, index, flags uint32, attributes func(*netlink.AttributeEncoder)) *netlink.Message {
	t.Helper()
	data := make([]byte, unix.SizeofIfInfomsg)
	data[0] = family
	binary.NativeEndian.PutUint32(data[4:], index)
	binary.NativeEndian.PutUint32(data[8:], flags)
	e := netlink.NewAttributeEncoder()
	attributes(e)
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &netlink.Message{Header: netlink.Header{Type: kind}, Data: append(data, b...)}
}

func TestFollowerMessages(t *testing.T) {
	start := Link{Up: true, Carrier: true, MTU: 1500, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Queues: 4}
	const works = unix.IFF_UP | unix.IFF_LOWER_UP
	with := func(change func(*Link)) Link { l := start; change(&l); return l }
	none := func(*netlink.AttributeEncoder) {}
	mtu := func(e *netlink.AttributeEncoder) { e.Uint32(unix.IFLA_MTU, 9000) }
	for what, c := range map[string]struct {
		message *netlink.Message
		want    Link
	}{
		"nothing new":       {linkMessage(t, unix.RTM_NEWLINK, 0, 7, works, none), start},
		"another interface": {linkMessage(t, unix.RTM_DELLINK, 0, 8, 0, none), start},
		"no longer a port of a bridge": {
			linkMessage(t, unix.RTM_DELLINK, unix.AF_BRIDGE, 7, 0, none), start,
		},
		"down":       {linkMessage(t, unix.RTM_NEWLINK, 0, 7, 0, none), with(func(l *Link) { l.Up, l.Carrier = false, false })},
		"no carrier": {linkMessage(t, unix.RTM_NEWLINK, 0, 7, unix.IFF_UP, none), with(func(l *Link) { l.Carrier = false })},
		"MTU":        {linkMessage(t, unix.RTM_NEWLINK, 0, 7, works, mtu), with(func(l *Link) { l.MTU = 9000 })},
		"address": {linkMessage(t, unix.RTM_NEWLINK, 0, 7, works, func(e *netlink.AttributeEncoder) {
			e.Bytes(unix.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 2})
		}), with(func(l *Link) { l.MAC[5] = 2 })},
		"removed": {linkMessage(t, unix.RTM_DELLINK, 0, 7, 0, mtu), Link{Gone: true}},
		"moved": {linkMessage(t, unix.RTM_DELLINK, 0, 7, 0, func(e *netlink.AttributeEncoder) {
			e.Int32(unix.IFLA_NEW_NETNSID, 3)
		}), Link{Gone: true, Moved: true}},
		"cut short": {&netlink.Message{Header: netlink.Header{Type: unix.RTM_DELLINK}, Data: make([]byte, 15)}, start},
		"damaged attributes": {&netlink.Message{
			Header: netlink.Header{Type: unix.RTM_DELLINK}, Data: []byte{4: 7, 16: 255, 17: 255, 20: 0},
		}, start},
	} {
		calls := 0
		f := &follower{at: place{index: 7}, now: start, changed: func(from, to Link) {
			calls++
			if from != start || to != c.want {
				t.Errorf("%s: from %+v to %+v", what, from, to)
			}
		}}
		f.message(c.message)
		if f.now != c.want || (calls == 1) != (c.want != start) {
			t.Errorf("%s: %+v, want %+v, told %d times", what, f.now, c.want, calls)
		}
	}
}
