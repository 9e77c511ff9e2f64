// Package hop forwards frames between two network interfaces as badly as it is told: late, with losses, out of order, twice, or no
// faster than a rate. It is what netem does in kernels that have it, for tests and benchmarks against the kernel's TCP:
//
//	namespace …-stack                 namespace …-hop                       namespace …-kernel
//	┌──────────┐  veth  ┌───────────────────────────────────────┐  veth  ┌───────────┐
//	│ xs-stack ├────────┤ xs-hop-stack            xs-hop-kernel ├────────┤ xs-kernel │
//	└──────────┘        │   RX ring ──► Decide ──► heap ──► send│        └───────────┘
//	                    │   send ◄── heap ◄── Decide ◄── RX ring│
//	                    └───────────────────────────────────────┘
//
// Each interface has an AF_PACKET socket with a ring that the kernel fills. A frame's time is when it came into the ring, not when it
// was taken out, so that a forwarder that had to wait for a processor does not add to the delay that it makes. What package impair
// decides about it says when it leaves. Frames that leave at the same time leave in the order in which they came; the forwarder itself
// never reorders.
//
// One goroutine does all of it, on a thread of its own, and sleeps in ppoll until the next frame comes or is due. As root the thread is
// put before all ordinary ones. Frames must come whole: segmentation, merging and checksum offloads are off at the interfaces' other
// ends, as internal/netlab has them; what comes otherwise is dropped and counted.
package hop
