// Package receive is the other end of a generator: it takes what comes to an interface's queues and drops it, measures it or sends it
// back, and tells where every frame went.
//
//	            XDP program                 a worker for each queue
//	NIC/veth ─► redirected: by reason ─► RX ring ─► Receive ─► ARP for our address? ─► answered
//	             │ passed: by reason      │ full                 │ no
//	             ▼                        ▼                      ▼
//	           kernel                  counted             Handler: nil drops, Measurer measures, Reflector sends back
//
// [Open] opens an interface so that the frames of an address, of ports of the kernel's, or all frames come to it. A [Receiver] runs the
// workers; [Receiver.Snapshot] tells at any time what came and what became of it. [Account] puts the counters of the program, of the
// sockets and of the workers side by side: a frame that one hands on and the next does not know is a frame lost without a name, and
// there is none.
//
// A worker does not allocate, and locks once a batch, for who takes snapshots. It polls while packets come, and sleeps on its socket
// when none have come for a while.
package receive
