package netlab

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The part of the kernel's netdev family (include/uapi/linux/netdev.h) that is used here.
const (
	netdevNapiGet     = 11 // NETDEV_CMD_NAPI_GET
	netdevNapiIfindex = 1  // NETDEV_A_NAPI_IFINDEX
	netdevNapiPID     = 4  // NETDEV_A_NAPI_PID
)

// ReceiveThreads returns the process ids of the kernel threads that do the interface's receive processing, one per queue. They
// exist as [Config.Threaded] describes; there are none otherwise. It needs Linux 6.8.
func (s *Side) ReceiveThreads() (pids []int, err error) {
	err = s.Do(func() error {
		family, err := netlink.GenlFamilyGet("netdev")
		if err != nil {
			return fmt.Errorf("netlab: netlink family netdev (Linux 6.8 has it): %w", err)
		}
		request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
		// Not nl.Genlmsg: it leaves the header's reserved bytes undefined, which the kernel refuses.
		request.AddRawData([]byte{netdevNapiGet, 1, 0, 0})
		request.AddRawData(nl.NewRtAttr(netdevNapiIfindex, nl.Uint32Attr(uint32(s.Index))).Serialize())
		pids, err = dumpPIDs(request)
		if err != nil {
			return fmt.Errorf("netlab: receive threads of %s: %w", s.Interface, err)
		}
		return nil
	})
	return pids, err
}

// dumpPIDs sends a request and collects the process ids in the replies. The replies of this family lack NLM_F_MULTI, so
// NetlinkRequest.Execute would return the first one only.
func dumpPIDs(request *nl.NetlinkRequest) (pids []int, err error) {
	socket, err := nl.Subscribe(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	if err := socket.Send(request); err != nil {
		return nil, err
	}
	for {
		messages, _, err := socket.Receive()
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return pids, nil
			case unix.NLMSG_ERROR:
				return nil, unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			}
			attrs, err := nl.ParseRouteAttrAsMap(m.Data[nl.SizeofGenlmsg:])
			if err != nil {
				return nil, err
			}
			if pid, ok := attrs[netdevNapiPID]; ok && len(pid.Value) == 4 {
				pids = append(pids, int(binary.NativeEndian.Uint32(pid.Value)))
			}
		}
	}
}
