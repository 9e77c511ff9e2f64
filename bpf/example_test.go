package bpf_test

import (
	"fmt"
	"log"
	"net"
	"net/netip"

	"github.com/xdpstack/xdpstack/bpf"
)

// A stack of its own address on one interface. The sockets are bound AF_XDP sockets, one per queue.
func Example() {
	var sockets []int

	nic, err := net.InterfaceByName("eth1")
	if err != nil {
		log.Fatal(err)
	}
	program, err := bpf.Load(bpf.Config{Mode: bpf.OwnAddress, Queues: len(sockets)})
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	for queue, fd := range sockets {
		if err := program.SetSocket(queue, fd); err != nil {
			log.Fatal(err)
		}
	}
	if err := program.AddAddress(netip.MustParseAddr("192.0.2.10")); err != nil {
		log.Fatal(err)
	}
	mode, err := program.Attach(nic.Index, bpf.AttachAuto)
	if err != nil {
		log.Fatal(err)
	}
	counters, err := program.Counters()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("attached in %v mode, %d segments so far\n", mode, counters.Redirected.TCP)
}
