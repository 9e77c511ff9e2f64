// Package udp has the wire format of UDP (RFC 768):
//
//	 0               2               4               6               8
//	┌───────────────┬───────────────┬───────────────┬───────────────┬─────────────┐
//	│ source port   │ destination   │ length        │ checksum      │ payload ... │
//	└───────────────┴───────────────┴───────────────┴───────────────┴─────────────┘
//
// The length counts header and payload. A checksum of zero means that the sender made none; one that comes out as zero is sent as
// 0xffff, the other zero of ones' complement.
package udp
