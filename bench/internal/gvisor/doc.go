// Package gvisor runs gVisor's netstack (gvisor.dev/gvisor/pkg/tcpip) as a peer to be compared with, over three kinds of link: a
// device in memory, AF_XDP (gVisor's own link/xdp) and AF_PACKET (gVisor's own link/fdbased).
//
// It is set up as well as we know how: what was tried and chosen stands beside each option.
package gvisor
