// Package engine sends what a generator has made, at the rate that is wanted: a worker for each queue of an interface, on a thread of its
// own. A turn of a worker goes
//
//	rate.Pacer: how many are due? ─► Source writes them into frames ─► Transmit ─► Flush ─► Recycle ─► Receiver
//	      ▲                                                                                              │
//	      └───── spin while the next departure is near, sleep while it is far (Config.Spin) ◄────────────┘
//
// and shares nothing with the others' but the start of the schedule, in which they take turns.
//
// # What it tells
//
// [Engine.Snapshot] tells at any time what was sent so far; a worker answers between two turns. Everything that was due and did not leave
// is counted under a name: see [Counters].
//
// Lateness is how long after its time in the schedule a packet had been handed over: the end of the system call with which that was done
// less the time that the schedule has for it. In copy mode that call is the transmission, and the packet left before its end; with
// zero-copy the call wakes the card, which sends as soon as it can. Packets that leave in one call have one end and times of their own. A
// rate without a schedule (rate.Max) has no lateness.
//
// Better evidence are the times that the driver tells of sent packets, of one in so many (Config.StampEvery). Of those the distance from
// one to the next is compared with that in the schedule, which does not depend on whose clock it is: the card's may be another one.
//
// # When it ends
//
// When the schedule is over, the context ends, or the interface is gone. A link that goes down is waited for, and what was due
// meanwhile is lost, beyond what may be made up for. At the end a worker waits for what it gave to the kernel to be completed, up to a
// bound (Config.Drain), and every frame is accounted for: back in the pool, or Unfinished.
package engine
