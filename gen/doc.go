// Package gen says what the packets of a load generator look like, and writes them.
//
//	"udp,src=10.0.0.1-10.0.0.254,…"  ─► ParseStream ─┐
//	                                                 ├─► []Stream ─► Compile ─► Program ─► Write(pool, frames, now), Next(b, now)
//	profile.toml, profile.yaml       ─► LoadProfile ─┘
//	capture.pcap, capture.pcapng     ─► LoadCapture ─► Capture  ─► Replay  ─► At(), Next(b, now)
//
// A [Stream] is a template: the layers of a packet from the outside in, how long the packet is, and which fields vary from one packet
// to the next. A [Program] is what one worker makes of streams: it writes packets into memory that the caller gives it, without
// allocating, with every checksum right. It is for one goroutine. Workers of a number of workers make together the packets that one
// alone would make.
//
// Write fills a batch of frames and is the faster way: what belongs to one field is done for all packets of the batch before the next
// field, and in a frame that still has an earlier packet of the same template only what varies is written, whatever the packet's length.
//
// Lengths of packets in memory do not count the frame check sequence, which is the device's business. Sizes that people write do
// count its 4 bytes, as those of RFC 2544 do: a packet of size 64 has 60 bytes in memory.
//
// A [Capture] has the packets of a file instead, and a [Replay] gives them one by one, with their times.
//
// A packet may end with a [Signature], by which a receiver can tell losses, order and latency.
//
// Everything is pure: no sockets, goroutines or clock.
package gen
