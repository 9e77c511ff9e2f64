// Package frame owns the packet memory: a [Pool] divides one region (the UMEM that is shared with the kernel, or plain memory in
// tests) into chunks of a fixed size and keeps a record about each of them in a table without pointers, which the garbage
// collector never scans.
//
// A frame is named by its [Index]. At any moment it is in exactly one of four places, and [Pool.Account] can say how many are in
// each:
//
//	          Alloc                      Transmitting
//	┌──────┐ ───────────────► ┌──────┐ ───────────────► ┌────┐
//	│ free │                  │ held │                  │ TX │   held and TX may overlap: a sent segment stays held by its
//	└──────┘ ◄─────────────── └──────┘                  └────┘   connection until it is acknowledged, and is in TX until
//	 │    ▲    last Release       ▲                        │     the kernel completes it. It is counted as held then.
//	 │    └───────────────────────┼────────────────────────┘
//	 │  GiveToFill   ┌──────┐     │        Completed, nobody holds it
//	 └─────────────► │ fill │ ────┘
//	                 └──────┘  Received
//
// A frame that comes back from transmission still has the bytes that were sent. Who writes nearly the same again, as a generator of packets
// does, can note what they are (Meta.Holds) and take frames with AllocHolding; for everybody else a frame's bytes are unknown.
//
// The queues of a connection (to send, to be acknowledged, out of order, to be read) are intrusive lists of indices in the same
// table ([List]) and so need no memory of their own.
//
// A Pool belongs to one goroutine, the shard's: nothing here is safe for concurrent use. The bytes of a held frame may be read by
// another goroutine to which the shard has handed the frame.
package frame
