package ethernet_test

import (
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// A host asks for a neighbour's address while a frame waits for it.
func ExampleNeighbours() {
	pool, _ := frame.NewPool(make([]byte, 64*2048), 2048)
	gateway := [4]byte{192, 0, 2, 1}
	table, _ := ethernet.NewNeighbours(pool, ethernet.NeighboursConfig{
		MAC:     ethernet.Addr{2, 0, 0, 0, 0, 1},
		IP:      [4]byte{192, 0, 2, 10},
		Gateway: gateway,
	})
	now := clock.Time(time.Second)

	waiting := frame.Desc{Frame: pool.Alloc(), Off: 256, Len: 60}
	if _, ok := table.Lookup(gateway, now); !ok && table.Resolve(gateway, waiting, now) == ethernet.Queued {
		fmt.Println("the frame waits")
	}
	for a := (ethernet.ARP{}); table.NextOutput(&a); {
		fmt.Println("ask", a.Destination(), "for", a.TargetIP)
	}

	table.Input(&ethernet.ARP{
		Op:        ethernet.ARPReply,
		SenderMAC: ethernet.Addr{2, 0, 0, 0, 0, 0xfe},
		SenderIP:  gateway,
		TargetMAC: ethernet.Addr{2, 0, 0, 0, 0, 1},
		TargetIP:  [4]byte{192, 0, 2, 10},
	}, now.Add(time.Millisecond))

	var d frame.Desc
	var dst ethernet.Addr
	for table.NextReady(&d, &dst) {
		copy(pool.Bytes(d), dst[:])
		fmt.Println("send", d.Len, "bytes to", dst)
		pool.Release(d.Frame)
	}
	// Output:
	// the frame waits
	// ask ff:ff:ff:ff:ff:ff for [192 0 2 1]
	// send 60 bytes to 02:00:00:00:00:fe
}

// A frame with a VLAN tag is taken apart.
func ExampleParse() {
	b := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x81\x00\x00\x64\x08\x00payload")
	var h ethernet.Header
	off, err := ethernet.Parse(b, &h)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v to %v, VLAN %d, type %#x: %s\n", h.Src, h.Dst, h.Tags[0].VLAN(), h.Type, b[off:])
	// Output: 02:00:00:00:00:02 to 02:00:00:00:00:01, VLAN 100, type 0x800: payload
}
