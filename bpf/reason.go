package bpf

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// driverReason returns what the driver says against a program whose attachment it has just refused, in its own words; empty if it says
// nothing. The system call that attaches a link has no place for that, netlink has: so it is asked there once more. Should the driver
// take the program now, it is taken off at once.
func driverReason(program, ifindex int, mode AttachMode) string {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetOption(netlink.ExtendedAcknowledge, true)
	flags := uint32(unix.XDP_FLAGS_UPDATE_IF_NOEXIST | unix.XDP_FLAGS_DRV_MODE)
	if mode == AttachGeneric {
		flags = unix.XDP_FLAGS_UPDATE_IF_NOEXIST | unix.XDP_FLAGS_SKB_MODE
	}
	err = setXDP(c, ifindex, program, flags, nil)
	if err == nil {
		_ = setXDP(c, ifindex, -1, flags&^unix.XDP_FLAGS_UPDATE_IF_NOEXIST|unix.XDP_FLAGS_REPLACE, &program)
		return ""
	}
	var refused *netlink.OpError
	if !errors.As(err, &refused) {
		return ""
	}
	return refused.Message
}

// setXDP has the kernel attach a program, or with -1 none, to an interface; with expected only in place of that program.
func setXDP(c *netlink.Conn, ifindex, program int, flags uint32, expected *int) error {
	e := netlink.NewAttributeEncoder()
	e.Nested(unix.IFLA_XDP, func(e *netlink.AttributeEncoder) error {
		e.Int32(unix.IFLA_XDP_FD, int32(program))
		e.Uint32(unix.IFLA_XDP_FLAGS, flags)
		if expected != nil {
			e.Int32(unix.IFLA_XDP_EXPECTED_FD, int32(*expected))
		}
		return nil
	})
	attrs, err := e.Encode()
	if err != nil {
		return err
	}
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(ifindex)) // after family, padding and type
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_SETLINK, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(header, attrs...),
	})
	return err
}
