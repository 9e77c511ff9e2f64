package hop

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The geometry of a port's receive ring.
const (
	slotSize  = 2048 // bytes: a frame of MTU 1500, and the header before it
	blockSize = 1 << 16
	slots     = 8192
	maxFrame  = slotSize - 128 // bytes that a slot has room for, behind the kernel's header

	sendBatch = 64
)

// port is one interface: an AF_PACKET socket with a receive ring (the kernel's packet_mmap.rst, TPACKET_V2).
type port struct {
	name    string
	fd      int
	ring    []byte
	next    int // slot to be looked at
	iov     [sendBatch]unix.Iovec
	headers [sendBatch]mmsghdr
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	_      uint32 // bytes sent
	_      [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// slot is a frame in the ring; it is the kernel's again after release.
type slot struct {
	frame            []byte
	sec, nsec        uint32 // when it came, of the real-time clock
	whole, truncated bool   // whole: its checksum is final
	status           *uint32
}

func (s *slot) release() { atomic.StoreUint32(s.status, unix.TP_STATUS_KERNEL) }

func openPort(name string) (*port, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("hop: %s: %w", name, err)
	}
	// Protocol 0: nothing is received until bind says what, and from which interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hop: packet socket: %w: it needs CAP_NET_RAW", err)
	}
	p := &port{name: name, fd: fd}
	if err := p.setUp(iface.Index); err != nil {
		p.close()
		return nil, fmt.Errorf("hop: packet socket on %s: %w", name, err)
	}
	return p, nil
}

func (p *port) setUp(index int) error {
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return fmt.Errorf("version 2 of the ring: %w", err)
	}
	// What the forwarder sends itself must not come back.
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("leave out what is sent (Linux 4.20 can): %w", err)
	}
	req := unix.TpacketReq{
		Block_size: blockSize, Block_nr: slots * slotSize / blockSize, Frame_size: slotSize, Frame_nr: slots,
	}
	if err := unix.SetsockoptTpacketReq(p.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("receive ring: %w", err)
	}
	var err error
	if p.ring, err = unix.Mmap(p.fd, 0, slots*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map the receive ring: %w", err)
	}
	// No queueing discipline: it would be one more queue that nobody asked for.
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return fmt.Errorf("bypass the queueing discipline: %w", err)
	}
	if err := unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20); err != nil {
		return fmt.Errorf("send buffer: %w", err)
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // in network byte order
	if err := unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// receive returns the next frame in the ring, if there is one.
func (p *port) receive() (s slot, ok bool) {
	b := p.ring[p.next*slotSize : (p.next+1)*slotSize]
	h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&b[0]))
	status := atomic.LoadUint32(&h.Status) // what the kernel wrote before is seen after this
	if status&unix.TP_STATUS_USER == 0 {
		return s, false
	}
	if p.next++; p.next == slots {
		p.next = 0
	}
	end := min(int(h.Mac)+int(h.Snaplen), slotSize)
	return slot{
		frame: b[min(int(h.Mac), end):end], sec: h.Sec, nsec: h.Nsec, status: &h.Status,
		whole: status&unix.TP_STATUS_CSUMNOTREADY == 0, truncated: h.Snaplen < h.Len,
	}, true
}

// send sends frames in order and returns how many the link did not take.
func (p *port) send(frames [][]byte) (refused int) {
	for i, b := range frames {
		p.iov[i].Base = &b[0]
		p.iov[i].SetLen(len(b))
		p.headers[i].header.Iov = &p.iov[i]
		p.headers[i].header.SetIovlen(1)
	}
	for at := 0; at < len(frames); {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(p.fd), uintptr(unsafe.Pointer(&p.headers[at])),
			uintptr(len(frames)-at), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0: // The first of them: the ring of the other end is full, or the link is down.
			refused++
			at++
		default:
			at += int(n)
		}
	}
	runtime.KeepAlive(frames)
	return refused
}

// dropped returns how many frames found the ring full since it was last called.
func (p *port) dropped() uint64 {
	s, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}

func (p *port) close() {
	if p.ring != nil {
		_ = unix.Munmap(p.ring)
	}
	_ = unix.Close(p.fd)
}
