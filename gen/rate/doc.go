// Package rate says when packets may leave: a [Pacer] holds a schedule and tells, for a time that it is given, how many are due. It
// is pure: it reads no clock and sends nothing.
//
// # Rates
//
// A [Rate] is in packets, in bits, or a share of the line's rate, a second. Bits are of one of two layers, which differ by what a
// frame costs beyond its bytes as a packet socket sees them (IEEE 802.3, clause 4.2.3 and annex 4A):
//
//	          ┌──────────┬─────┬─────────────────────────────┬─────┬──────────────┐
//	          │ preamble │ SFD │ frame, 60 bytes at least    │ FCS │ interpacket  │
//	bytes     │        7 │   1 │                             │   4 │ gap       12 │
//	          └──────────┴─────┴─────────────────────────────┴─────┴──────────────┘
//	L2                         └──── the frame and 4 ──────────────┘
//	L1        └──────────────────── the frame and 24 ─────────────────────────────┘
//
// A line of 10 Gbit/s carries so many bits of L1: 14.88 million of the shortest frames, which are 7.62 Gbit/s of L2.
//
// # The schedule
//
// A schedule is a row of phases, each with a rate that is constant or goes evenly from one to another. The number of units, packets or
// bits, that are to have left by a time is a function of the time alone; a packet is due when the units before it have been reached:
//
//	units │              ╱·          the packet at this position is due at this time,
//	      │        ·───·╱            however late those before it were
//	      │      ╱·    │
//	      │    ╱       │
//	      └────────────┴──── time
//
// So an error never adds up: who was kept from sending for a while finds more packets due, and the mean rate is what was asked for.
// How much may be made up for is bounded (Config.CatchUp): what is older is taken off the schedule, and counted, [Pacer.Lost].
//
// Several workers share a schedule: each has its part of the rate, and they take turns.
package rate
