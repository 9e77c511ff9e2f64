package gen_test

import (
	"fmt"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen"
)

// Two workers share the packets of a stream.
func Example() {
	stream, err := gen.ParseStream("vlan=7/udp,src=10.0.0.1-10.0.0.3,dst=10.1.0.1,sport=1024-65535,dport=9,size=128")
	if err != nil {
		fmt.Println(err)
		return
	}
	for worker := range 2 {
		program, err := gen.Compile([]gen.Stream{stream}, gen.Options{
			Worker:  worker,
			Workers: 2,
			Source:  ethernet.Addr{2, 0, 0, 0, 0, 1},
			Target:  ethernet.Addr{2, 0, 0, 0, 0, 2},
			MTU:     1500,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		packet := make([]byte, program.MaxLen())
		for range 2 {
			packet = packet[:program.Next(packet, 0)]
			signature, _ := gen.FindSignature(packet)
			fmt.Printf("%d bytes from 10.0.0.%d, worker %d, sequence %d\n", len(packet), packet[33], signature.Worker, signature.Sequence)
		}
	}
	// Output:
	// 124 bytes from 10.0.0.1, worker 0, sequence 0
	// 124 bytes from 10.0.0.3, worker 0, sequence 1
	// 124 bytes from 10.0.0.2, worker 1, sequence 0
	// 124 bytes from 10.0.0.1, worker 1, sequence 1
}

// Frames that come back from the device still have most of the next packets.
func ExampleProgram_Write() {
	stream, _ := gen.ParseStream("udp,src=10.0.0.1,dst=10.1.0.1,sport=1024-65535,size=1518")
	program, _ := gen.Compile([]gen.Stream{stream}, gen.Options{})
	pool, _ := frame.NewPool(make([]byte, 16*2048), 2048)
	batch := make([]frame.Desc, 8)
	for range 3 {
		for i := range batch {
			batch[i] = frame.Desc{Frame: pool.AllocHolding(), Off: 256}
		}
		fmt.Println(program.Write(pool, batch, 0), "bytes")
		for i := range batch { // here they would be given to a queue
			pool.Release(batch[i].Frame)
		}
	}
	// Output:
	// 12112 bytes
	// 12112 bytes
	// 12112 bytes
}

// Everything that is wrong with a template is told at once.
func ExampleParseStream_mistakes() {
	_, err := gen.ParseStream("udp,dst=10.1.0.1,dprot=9,size=63")
	fmt.Println(err)
	// Output:
	// udp: no field "dprot" (did you mean dport?)
	//     udp,dst=10.1.0.1,dprot=9,size=63
	//                      ^
	// size: expected at least 64 bytes, the 4 of the frame check sequence counted, got 63
	//     udp,dst=10.1.0.1,dprot=9,size=63
	//                                   ^
}
