package gvisor

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	gxdp "gvisor.dev/gvisor/pkg/tcpip/link/xdp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/xdpstack/xdpstack/bench/internal/xdp"
)

// queueLength is that of gVisor's own sandbox (runsc), in packets.
const queueLength = 1000

// closer undoes what opening a link did.
type closer func() error

// openXDP makes a stack on gVisor's AF_XDP link. Its MTU is fixed at 1500.
func openXDP(iface *net.Interface, addr netip.Prefix) (*stack.Stack, closer, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("gvisor: open an AF_XDP socket: %w", err)
	}
	link, err := gxdp.New(&gxdp.Options{
		FD: fd, Bind: true, InterfaceIndex: iface.Index, QueueID: 0, Address: tcpip.LinkAddress(iface.HardwareAddr),
	})
	if err != nil {
		_ = unix.Close(fd)
		return nil, nil, fmt.Errorf("gvisor: AF_XDP on %s: %w", iface.Name, err)
	}
	prog, err := xdp.Redirect(iface.Index, fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, nil, err
	}
	// The auto-tuned window outgrows the link's receive ring of 512 frames: 512 KiB is what fits.
	s, err := newStack(link, fifo.New(link, runtime.GOMAXPROCS(0), queueLength), addr, Buffers{Receive: 512 << 10})
	if err != nil {
		_ = prog.Close()
		return nil, nil, err
	}
	return s, prog.Close, nil
}

// openPacket makes a stack on gVisor's AF_PACKET link, set up as runsc does: batched receive (recvmmsg), receive merging,
// software segmentation, 4 MiB of socket buffers.
func openPacket(iface *net.Interface, addr netip.Prefix) (*stack.Stack, closer, error) {
	proto := uint16(unix.ETH_P_ALL)
	proto = proto<<8 | proto>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return nil, nil, fmt.Errorf("gvisor: open an AF_PACKET socket: %w", err)
	}
	closeFD := func() error { return unix.Close(fd) }
	for _, o := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 4<<20); err != nil {
			_ = closeFD()
			return nil, nil, fmt.Errorf("gvisor: enlarge the packet socket's buffers: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: iface.Index}); err != nil {
		_ = closeFD()
		return nil, nil, fmt.Errorf("gvisor: bind the packet socket to %s: %w", iface.Name, err)
	}
	link, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: uint32(iface.MTU), EthernetHeader: true, Address: tcpip.LinkAddress(iface.HardwareAddr),
		PacketDispatchMode: fdbased.RecvMMsg, GRO: true, GVisorGSOEnabled: true, GSOMaxSize: 65536,
	})
	if err != nil {
		_ = closeFD()
		return nil, nil, fmt.Errorf("gvisor: AF_PACKET on %s: %w", iface.Name, err)
	}
	s, err := newStack(link, fifo.New(link, runtime.GOMAXPROCS(0), queueLength), addr, Buffers{})
	if err != nil {
		_ = closeFD()
		return nil, nil, err
	}
	return s, closeFD, nil
}
