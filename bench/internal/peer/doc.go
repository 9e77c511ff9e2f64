// Package peer is the other end of the in-memory benchmarks: scripted TCP connections that neither lose nor reorder, made as cheap as
// they can be so that the stack under test is what gets measured. It knows nothing of either stack.
//
// A [Peer] opens one connection to the stack, then either sends full segments in order ([Peer.Data]) or receives and acknowledges
// every second segment ([Peer.Ack]). A [Short] makes many connections with one request each.
//
// Frames are whole Ethernet frames with right checksums: 14 bytes Ethernet, 20 IPv4, 20 TCP, 12 options (two NOPs and the timestamps,
// RFC 7323), and up to 1448 bytes of payload, 1514 in all.
package peer
