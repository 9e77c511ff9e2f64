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

// Send what arrives on eth0 out of eth1, as it is: both have their frames in one memory.
func ExampleMemory_Lend() {
	memory, err := afxdp.NewMemory(2, afxdp.Options{})
	if err != nil {
		log.Fatal(err)
	}
	var q [2]afxdp.Queue
	for i, name := range []string{"eth0", "eth1"} {
		iface, err := afxdp.Open(name, afxdp.Options{Queues: []int{0}, Memory: memory}, bpf.Config{Mode: bpf.OwnAddress})
		if err != nil {
			log.Fatal(err)
		}
		q[i] = iface.Queues()[0] // what the program on eth0 steers here, its maps say
	}
	in, out := q[0], q[1]
	var batch [64]frame.Desc
	for {
		n := in.Receive(batch[:min(len(batch), out.Room())])
		memory.Lend(out, in, batch[:n]) // there is room for all of them
		if err := out.Flush(); err != nil {
			log.Print(err)
		}
		out.Recycle() // gives back what was sent,
		in.Recycle()  // and takes it to receive into
		if n == 0 {
			if err := in.Wait(time.Millisecond); err != nil {
				log.Print(err)
			}
		}
	}
}
