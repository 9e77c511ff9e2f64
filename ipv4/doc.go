// Package ipv4 has the wire format of IPv4 (RFC 791) and of ICMP (RFC 792), reassembly of fragments, and the rules for when a host
// may send an ICMP error (RFC 1122 section 3.2.2).
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------+-------+---------------+-------------------------------+
//	|version|  IHL  |      TOS      |         total length          |
//	+-------+-------+---------------+-+-+-+-------------------------+
//	|        identification         |0|D|M|    fragment offset      |
//	+---------------+---------------+-+-+-+-------------------------+
//	|      TTL      |   protocol    |        header checksum        |
//	+---------------+---------------+-------------------------------+
//	|                         source address                        |
//	|                      destination address                      |
//	|                    options, 0 to 40 bytes                     |
//	+---------------------------------------------------------------+
//
// Everything is pure and allocates only when it is made: no sockets, no goroutines, no clock. Each type is for one goroutine.
package ipv4
