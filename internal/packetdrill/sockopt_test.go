package packetdrill

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/tcp"
)

// TestEncodeInfo compares the bytes of tcp_info with the kernel's struct, from its first field to its last.
func TestEncodeInfo(t *testing.T) {
	b := encodeInfo(tcp.TCPInfo{
		State: 1, CAState: 4, Options: 7, SndWScale: 3, RcvWScale: 9, DeliveryRateAppLimited: true, RTO: 10, LastAckRecv: 11,
		TotalRetrans: 12, PacingRate: 1 << 40, SegsOut: 13, DeliveryRate: 1 << 41, Delivered: 14, BytesSent: 1 << 42, SndWnd: 15, RcvWnd: 16,
	})
	var i unix.TCPInfo
	if len(b) < int(unsafe.Offsetof(i.Snd_wnd))+4 {
		t.Fatalf("%d bytes", len(b))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&i)), unsafe.Sizeof(i)), b)
	if i.State != 1 || i.Ca_state != 4 || i.Options != 7 || i.Rto != 10 || i.Last_ack_recv != 11 || i.Total_retrans != 12 ||
		i.Pacing_rate != 1<<40 || i.Segs_out != 13 || i.Delivery_rate != 1<<41 || i.Delivered != 14 || i.Bytes_sent != 1<<42 || i.Snd_wnd != 15 {
		t.Errorf("%+v", i)
	}
	if b[6] != 0x93 || b[7] != 1 {
		t.Errorf("the bit fields are %#x %#x", b[6], b[7])
	}
}
