package udp_test

import (
	"fmt"

	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/udp"
)

// A datagram is built and read again.
func Example() {
	src, dst := ipv4.Addr{192, 0, 2, 1}, ipv4.Addr{192, 0, 2, 2}
	b := make([]byte, udp.HeaderLen+5)
	out := udp.Header{SrcPort: 40000, DstPort: 7, Length: uint16(len(b))}
	copy(b[out.Marshal(b):], "hello")
	udp.SetChecksum(b, ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoUDP, len(b)))

	var in udp.Header
	err := udp.Parse(b, &in)
	if err == nil {
		err = in.Verify(b, ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoUDP, int(in.Length)))
	}
	fmt.Println(in.SrcPort, in.DstPort, string(in.Payload(b)), err)
	// Output: 40000 7 hello <nil>
}
