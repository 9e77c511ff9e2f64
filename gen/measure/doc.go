// Package measure tells from received packets what became of those that a generator sent: lost, doubled, out of order, late, and
// how long they were under way. It reads the [gen.Signature] at the end of each.
//
//	packet ─► checksums right? ─► a signature? ─► its stream ─► where in the sequence?
//	              │ no               │ no           │ one too many   ├─ next, or after a gap ── received ─┐
//	         BadChecksum        NoSignature    TooManyStreams        ├─ within the window, new ─ Reordered ┼─► latency, variation
//	                                                                 ├─ within it, seen ──────── Duplicates
//	                                                                 ├─ behind the window ────── Late
//	                                                                 └─ nowhere near ─────────── Implausible, unless another follows it
//
// Every packet is counted under exactly one name, so that the counts of [Counts] add up to its Packets.
//
// # Sequence
//
// Each stream of each worker of a sender counts its packets from 0. A [Meter] keeps, for each, a window of the last sequence numbers,
// with one bit for whether the packet came: memory does not grow, whatever comes. What is lost is what lies between the first and the
// highest number and has not come; so a packet that is still under way counts as lost until it is there. What was sent before the
// first packet that came, or after the last one, only the sender knows: [Report.Settle].
//
// Reordering is that of RFC 4737: a packet is reordered if its number is lower than one that was there before (section 3.3); its
// extent is how many packets came since the first of those (section 4.2.2). Only first copies count.
//
// A sender that begins anew starts at 0 again, with times that are later than those of all packets so far; what a network delays has
// earlier ones. Two packets that fit to each other, but not to those before, are believed; a single one is Implausible.
//
// # Time
//
// Latency is the time of arrival less the time in the packet, by CLOCK_TAI on both sides, where the time of arrival is by that clock.
// By a network card's own clock only differences mean something: the variation. That is RFC 3550's (section 6.4.1): by how much the
// latency of a packet differs from that of the one which came before it, of the same stream; Jitter is its smoothed mean.
//
// A Meter is for one goroutine, allocates nothing for a packet of a stream that it knows, and is given the time. [Recorder] lets
// goroutines measure while another looks at it.
package measure
