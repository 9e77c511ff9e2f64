// Package ring holds every fixed-size ring of the stack.
//
//   - [Producer] and [Consumer] are the two views of a ring in memory that another party shares: the kernel, for the four rings
//     of an AF_XDP socket, or another goroutine, for [NewPair].
//   - [Records] takes byte strings of any length, packets for example, from one goroutine to one other.
//   - [Mailbox] takes values from any number of goroutines to one.
//
// A shared ring is a power of two of slots and two free-running 32-bit indices, each written by one side only:
//
//	          consumer                 producer
//	             │                        │
//	─────────────▼────────────────────────▼──────────────
//	   empty     │   filled, readable     │    empty       slot = index & (size-1)
//	─────────────┴────────────────────────┴──────────────
//
// The side that owns a slot may touch it freely; handing it over is a store-release of one's own index, learning of it a
// load-acquire of the other's (kernel: Documentation/networking/af_xdp.rst, net/xdp/xsk_queue.h). Go's sync/atomic gives both,
// and on amd64 a store costs a full barrier; so both views keep cached copies of the two indices, look at the other side's
// only when the cached copy does not suffice, and publish their own once a batch.
package ring
