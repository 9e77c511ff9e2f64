// Package core measures a whole stack (Ethernet, IPv4, TCP, the application's callback or read) over a device in memory, with no
// kernel in the way: nanoseconds and allocations per segment or connection.
//
//	          Deliver                      the target
//	peer ────────────────► device in memory ───► stack ───► application
//	     ◄────────────────
//	        Work(take)
//
// Three kinds of work: [Receive], in-order full segments that the stack checks, delivers and acknowledges; [Send], an application
// that always has more to send, against a peer that acknowledges every second segment; [Connect], connections that are opened, asked
// one thing and closed by the stack.
//
// The harness writes each frame straight into the memory that the stack receives into, for either stack: what DMA would do. It
// reads only the headers of what the stack sends. What that costs is measured by itself, with [NewHollow]'s target in the stack's place.
package core
