package receive

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// datagram is a UDP packet of which tests vary something.
type datagram struct {
	to, from ethernet.Addr
	src, dst netip.Addr
	proto    uint8 // default UDP
	fragment uint16
	tags     int
	payload  int
	sign     *gen.Signature
}

var (
	senderIP, ourIP   = netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.2")
	senderMAC, ourMAC = ethernet.Addr{2, 0, 0, 0, 0, 1}, ethernet.Addr{2, 0, 0, 0, 0, 2}
)

const sourcePort, destinationPort = 5000, 9

// bytes builds the frame, with every checksum right.
func (d datagram) bytes() []byte {
	if d.proto == 0 {
		d.proto = 17
	}
	h := ethernet.Header{Dst: d.to, Src: d.from, Type: ethernet.TypeIPv4, NumTags: uint8(d.tags)}
	for i := range d.tags {
		h.Tags[i] = ethernet.Tag{TPID: ethernet.TypeVLAN, TCI: uint16(i + 1)}
	}
	b := make([]byte, h.Len()+28+max(d.payload, gen.SignatureLen+2))
	ip := b[h.Marshal(b):]
	ip[0], ip[8], ip[9] = 0x45, 64, d.proto
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[6:], d.fragment)
	copy(ip[12:], d.src.AsSlice())
	copy(ip[16:], d.dst.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], checksum.Finish(checksum.Sum(ip[:20], 0)))
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp, sourcePort)
	binary.BigEndian.PutUint16(udp[2:], destinationPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	if d.sign != nil {
		gen.PutSignature(udp[len(udp)-gen.SignatureLen:], *d.sign)
	}
	binary.BigEndian.PutUint16(udp[6:], checksum.Finish(udpSum(ip)))
	return b
}

// udpSum is the sum over UDP in an IPv4 packet without options, which is all ones if its checksum is right.
func udpSum(ip []byte) uint32 {
	return checksum.Sum(ip[20:], checksum.Sum(ip[12:20], uint32(ip[9])+uint32(len(ip)-20)))
}

// ordinary is a datagram to us.
func ordinary() datagram {
	return datagram{to: ourMAC, from: senderMAC, src: senderIP, dst: ourIP}
}

// arpRequest asks for an address.
func arpRequest(for4 netip.Addr) []byte {
	b := make([]byte, 60)
	h := ethernet.Header{Dst: ethernet.Broadcast, Src: senderMAC, Type: ethernet.TypeARP}
	a := ethernet.ARP{Op: ethernet.ARPRequest, SenderMAC: senderMAC, SenderIP: senderIP.As4(), TargetIP: for4.As4()}
	a.Marshal(b[h.Marshal(b):])
	return b
}

// wire is a packet socket on a side of a lab.
type wire struct {
	t  *testing.T
	fd int
}

func openWire(t *testing.T, side *netlab.Side) *wire {
	t.Helper()
	w := &wire{t: t}
	err := side.Do(func() (err error) {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(w.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		_ = unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: side.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

// send sends a frame.
func (w *wire) send(b []byte) {
	w.t.Helper()
	for {
		_, err := unix.Write(w.fd, b)
		if err == nil {
			return
		}
		if err != unix.ENOBUFS && err != unix.EAGAIN {
			w.t.Fatal(err)
		}
	}
}

// receive returns the next frame, nil if there is none for five seconds.
func (w *wire) receive() []byte {
	b := make([]byte, 10000)
	n, err := unix.Read(w.fd, b)
	for err == unix.EINTR { // by Go's scheduler
		n, err = unix.Read(w.fd, b)
	}
	if err != nil {
		return nil
	}
	return b[:n]
}
