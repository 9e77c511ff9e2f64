// Package afxdp gives an interface's queues to user space: [Open] attaches the steering program of package bpf and opens an
// AF_XDP socket on each queue; a [Queue] then moves whole batches of frames, without an allocation, and its pool can account for
// each of them at any moment.
//
// A socket has four rings. Two bring frames of the UMEM, the memory that both sides share, to the kernel; two bring them back:
//
//	                 Recycle                             Transmit, Flush
//	                    │                                       │
//	user space    frame.Pool                              packets to send
//	──────────────┬─────┴──────────────────────────────────────┬┴───────────────────────
//	     fill ring ▼        ▲ RX ring            TX ring        ▼        ▲ completion ring
//	──────────────┬─────────┴──────────────────────────────────┬─────────┴──────────────
//	kernel         XDP program redirects                        device sends
//	               a packet into the frame                      the packet
//	                         │                                           │
//	                      Receive                                     Recycle
//
// The number of frames that the kernel has for receiving is bounded by half of the pool: fill ring and RX ring can never hold
// them all, so there is always something to answer with. When frames run short otherwise, an eighth is kept from the fill ring.
//
// Two drivers have this one interface. The native one is this package's own; the other is on github.com/asavie/xdp, which keeps a
// UMEM of its own, so that each packet is copied: it is there to compare with.
//
// # Packets larger than a frame
//
// A frame is at most a page. Where the interface's MTU is larger than one holds, packets lie in several frames, up to
// [frame.MaxFrames], whose descriptors follow each other ([frame.Desc] says which do): up to the 65535 bytes that a veth may
// have. That takes the native driver, Linux 6.6, and with zero-copy a network driver that has it. What cannot be so is in
// BoundMode.NoMultiBuffer, and the MTU that the queue gives is then what one frame holds. Where a network driver's own buffers
// are too small for the MTU, it is given a program that bears several of them, and where it takes no such program either, the
// program runs behind it.
//
// # Metadata
//
// A packet that is sent may ask two things of the device, in its descriptor: that it complete a checksum (Options.TxChecksum),
// and that it say when it sends the packet (Options.TxStamps). That takes Linux 6.8, the native driver, and 24 free bytes in
// front of every frame that is sent. With zero-copy it also takes a driver that can; in copy mode the kernel does it.
//
// Of a received packet the XDP program can note when it came, and the driver's hash (Options.RxHints). The note lies in front of
// the packet until somebody writes there; the driver is asked if the program can be bound to its device (Linux 6.3).
//
// # Memory that queues share
//
// Each queue has memory of its own, unless Options.Memory names one that several have together: of one interface or of more. Each
// then has a part for its frames, and can send frames of the others' parts without a copy ([Memory.Lend]); a frame goes home when
// it was sent. That is for programs that forward packets.
//
// # From process to process
//
// With Options.Transferable the frames lie in a file without a name, and the whole interface is files: the program, its link and maps,
// the queues' sockets and memory. [Interface.Export] gives it to another process, which needs no privilege to [Adopt] it; with
// [Interface.Offer] and [Transfer] it changes hands between two turns of a shard, and can be taken back. Neither side leaks a frame: what
// the kernel has goes over with the rings, what is held stays, in a copy of its memory.
//
// # Modes
//
// In zero-copy mode the network card itself reads and writes the frames, and a kick (sendto) only starts it. In copy mode, which
// every driver can do, the kernel copies, and the kick is the transmission: it sends a bounded number of frames and says EAGAIN
// if there are more, so [Queue.Flush] goes on until the ring is empty or nothing moves. What then is left is tried again at the
// next Flush; Wait sleeps only briefly meanwhile, so no frame is stuck.
//
// Who only sends needs no XDP program in copy mode, and can leave alone the one that is there (Options.SendOnly).
//
// [BoundMode] says what a queue got. A link that goes down gives ENETDOWN until it is up again, and the queue goes on. An
// interface that is removed, or moved to another network namespace, gives ENXIO for good; [Interface.Follow] tells when.
//
// Every error is an [*Error] that names the interface, the queue, what failed and a cure, and matches one of the package's errors
// as well as the errno. See Documentation/networking/af_xdp.rst in the Linux kernel for the interface beneath.
package afxdp
