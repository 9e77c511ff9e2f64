// Package packets has what `xdpstack capture` and the process that it asks both need: the language that chooses packets ([Parse]), the form
// in which they go over the control socket ([Record]), a pcapng file of them ([File]) and lines of text.
//
// The language is a part of tcpdump's, without its shorthands across protocols and without access to bytes. There is a compiler for the
// whole of it in pure Go, github.com/packetcap/go-pcap, which has not changed since May 2024; what people type by hand is less to write
// than that would be to check.
package packets
