// Package peer is the other end of the in-memory benchmarks: one scripted TCP connection that neither loses nor reorders, made as
// cheap as it can be so that the stack under test is what gets measured. It knows nothing of either stack.
//
// It opens a connection to the stack, then either sends full segments in order ([Peer.Data]) or receives and acknowledges every
// second segment ([Peer.Ack]). Frames are whole Ethernet frames with right checksums: 14 bytes Ethernet, 20 IPv4, 20 TCP, 12
// options (two NOPs and the timestamps, RFC 7323), and 1448 bytes of payload, 1514 in all.
package peer
