package nexthop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ethernet"
)

// ask sends ARP requests for an address and waits for an answer. It does so itself, and not through the kernel, whose address on the link
// may be another or none.
func ask(ctx context.Context, link netlink.Link, q Query, hop netip.Addr) (mac ethernet.Addr, err error) {
	if q.Tries == 0 {
		q.Tries = 3
	}
	if q.Wait == 0 {
		q.Wait = 500 * time.Millisecond
	}
	from, err := hardware(link)
	if err != nil {
		return mac, err
	}
	s, err := open(link)
	if err != nil {
		return mac, fmt.Errorf("open a packet socket on %s for ARP: %w", link.Attrs().Name, err)
	}
	defer unix.Close(s)
	request := ethernet.ARP{Op: ethernet.ARPRequest, SenderMAC: from, TargetIP: hop.As4()}
	if q.Source.IsValid() {
		request.SenderIP = q.Source.As4()
	}
	var b [60]byte
	header := ethernet.Header{Dst: ethernet.Broadcast, Src: from, Type: ethernet.TypeARP}
	request.Marshal(b[header.Marshal(b[:]):])
	for range q.Tries {
		if err := unix.Send(s, b[:], 0); err != nil {
			return mac, fmt.Errorf("send an ARP request on %s: %w", link.Attrs().Name, err)
		}
		if mac, err = answer(ctx, s, hop, time.Now().Add(q.Wait)); err != nil || !mac.IsZero() {
			return mac, err
		}
	}
	return mac, noAnswer(link, &q, hop)
}

// open opens a socket that receives ARP packets on an interface.
func open(link netlink.Link) (int, error) {
	protocol := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ARP >> 8, unix.ETH_P_ARP & 0xff}) // in network order
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(s, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}); err != nil {
		unix.Close(s)
		return 0, err
	}
	return s, nil
}

// answer waits until an address says its hardware address; the zero address means that it did not.
func answer(ctx context.Context, s int, hop netip.Addr, until time.Time) (mac ethernet.Addr, err error) {
	var b [2048]byte
	for {
		if err := ctx.Err(); err != nil {
			return mac, err
		}
		n, err := unix.Read(s, b[:])
		switch {
		case err == nil:
			if mac, ok := says(b[:n], hop); ok {
				return mac, nil
			}
		case errors.Is(err, unix.EAGAIN):
			left := time.Until(until)
			if left <= 0 {
				return mac, nil
			}
			// Not longer, so that the context is looked at.
			wait := unix.NsecToTimespec(int64(min(left, 50*time.Millisecond)))
			_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(s), Events: unix.POLLIN}}, &wait, nil)
		case !errors.Is(err, unix.EINTR):
			return mac, fmt.Errorf("wait for ARP: %w", err)
		}
	}
}

// says reports whether a frame is an answer of an address, and returns what it says.
func says(b []byte, hop netip.Addr) (mac ethernet.Addr, ok bool) {
	var h ethernet.Header
	off, err := ethernet.Parse(b, &h)
	if err != nil || h.Type != ethernet.TypeARP {
		return mac, false
	}
	a, err := ethernet.ParseARP(b[off:])
	if err != nil || a.Op != ethernet.ARPReply || a.SenderIP != hop.As4() {
		return mac, false
	}
	return a.SenderMAC, true
}
