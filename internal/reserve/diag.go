package reserve

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	sockDiagByFamily = 20 // linux/sock_diag.h
	boundInactive    = 13 // TCP_BOUND_INACTIVE, linux/tcp_states.h, since Linux 6.8
	diagRequestLen   = 56 // struct inet_diag_req_v2
	diagMessageLen   = 72 // struct inet_diag_msg
)

// idle returns the TCP sockets of a port that are bound and nothing else, as another reservation is: /proc does not list them. A
// kernel before 6.8 does not tell.
func idle(port uint16) (found []socket) {
	conn, err := netlink.Dial(unix.NETLINK_INET_DIAG, nil)
	if err != nil {
		return nil
	}
	defer conn.Close()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, diagRequestLen)
		request[0], request[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(request[4:], 1<<boundInactive)
		messages, err := conn.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump}, Data: request,
		})
		if err != nil {
			continue
		}
		for _, m := range messages {
			if s, ok := parseDiag(m.Data); ok && s.port == port {
				found = append(found, s)
			}
		}
	}
	return found
}

// parseDiag reads a struct inet_diag_msg.
func parseDiag(b []byte) (s socket, ok bool) {
	if len(b) < diagMessageLen || b[1] != boundInactive {
		return s, false
	}
	s.port = binary.BigEndian.Uint16(b[4:])
	s.addr = netip.AddrFrom4([4]byte(b[8:12]))
	if b[0] == unix.AF_INET6 {
		s.addr = netip.AddrFrom16([16]byte(b[8:24]))
	}
	s.inode = int(binary.NativeEndian.Uint32(b[68:]))
	s.state = "bound"
	return s, true
}
