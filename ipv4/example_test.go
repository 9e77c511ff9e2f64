package ipv4_test

import (
	"fmt"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
)

// A datagram is sent in fragments and put together again.
func ExampleReassembler() {
	r, err := ipv4.NewReassembler(ipv4.ReassemblerConfig{MaxDatagrams: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	payload := make([]byte, 3000)
	whole := ipv4.Header{ID: 7, TTL: ipv4.DefaultTTL, Proto: ipv4.ProtoUDP,
		Src: ipv4.Addr{192, 0, 2, 1}, Dst: ipv4.Addr{192, 0, 2, 2}}
	for off := 0; off < len(payload); {
		h, n := whole.FragmentAt(off, len(payload), 1500)
		packet := make([]byte, 1500)
		copy(packet[h.Marshal(packet):], payload[off:off+n])
		off += n

		if err := ipv4.Parse(packet, &h); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d bytes at %d\n", h.PayloadLen(), h.FragOffset)
		if datagram := r.Input(packet, &h, clock.Time(1)); datagram != nil {
			fmt.Println("datagram of", len(datagram), "bytes")
		}
	}
	// Output:
	// 1480 bytes at 0
	// 1480 bytes at 1480
	// 40 bytes at 2960
	// datagram of 3020 bytes
}

// A packet to a port that nobody listens on is answered with an ICMP error.
func ExampleICMP_MarshalError() {
	packet := make([]byte, 40)
	h := ipv4.Header{TotalLen: 40, TTL: 64, Proto: ipv4.ProtoUDP, Src: ipv4.Addr{192, 0, 2, 1}, Dst: ipv4.Addr{192, 0, 2, 2}}
	h.Marshal(packet)

	reporter := ipv4.NewReporter(ipv4.ReporterConfig{})
	if err := ipv4.Parse(packet, &h); err != nil || !reporter.Allow(packet, &h, false, clock.Time(1)) {
		return
	}
	m := ipv4.PortUnreachable()
	answer := make([]byte, ipv4.MaxErrorLen)
	n := m.MarshalError(answer, packet, &h, 0)
	fmt.Printf("%d bytes from %v to %v\n", n, h.Dst, h.Src)
	// Output: 68 bytes from 192.0.2.2 to 192.0.2.1
}
