// Package sim is a network in memory: devices with the rings and the frame ownership of an AF_XDP socket, without a kernel.
//
// There are two ways to join devices:
//
//   - A [Network] runs in virtual time on one goroutine. Its links lose, delay, reorder, duplicate and corrupt packets by the
//     numbers of a seeded generator, so that a run can be repeated bit by bit, and hours of protocol time take seconds.
//   - A [Pipe] joins two devices in real time, each used by its own goroutine: a link that works without privileges.
//
// What a frame goes through is the same in both, and the same as with the kernel:
//
//	sender's pool                                                               receiver's pool
//	─────────────                                                               ───────────────
//	 held ── Transmit ─► TX ring ── Flush ─► the bytes are copied ────────────► a frame of the fill ring ◄── Recycle ── free
//	                        │                   (lost, delayed, …)                      │
//	 free ◄── Recycle ── completed                                                  RX ring ── Receive ─► held
//
// All rings are bounded. A packet that finds no frame in the fill ring or no place in the RX ring is dropped and counted, and
// Transmit takes no more than the TX ring holds. A Network also checks what the kernel cannot: that nobody writes to a frame
// between its transmission and its completion, see [Network.Err].
package sim
