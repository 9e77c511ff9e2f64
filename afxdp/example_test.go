package afxdp_test

import (
	"log"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
)

// Count what arrives for an address on the first queue of eth0, for ever.
func Example() {
	iface, err := afxdp.Open("eth0", afxdp.Options{Queues: []int{0}}, bpf.Config{Mode: bpf.OwnAddress})
	if err != nil {
		log.Fatal(err)
	}
	defer iface.Close()
	log.Print(iface.Describe())
	if err := iface.Program().AddAddress(netip.MustParseAddr("192.0.2.10")); err != nil {
		log.Print(err)
		return
	}
	q := iface.Queues()[0]
	var batch [64]frame.Desc
	for {
		n := q.Receive(batch[:])
		for _, d := range batch[:n] {
			q.Pool().Release(d.Frame) // its bytes were q.Pool().Bytes(d)
		}
		q.Recycle()
		if n == 0 {
			if err := q.Wait(time.Second); err != nil {
				log.Print(err) // the link is down: it may come up again
			}
		}
	}
}
