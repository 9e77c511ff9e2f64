// Package reserve keeps ports of the kernel's for a program that serves them itself: each by a socket that is bound and does
// nothing else.
//
// Nobody else can bind or listen on the port then, nor does the kernel choose it for a connection, and [Port] tells who was first
// if somebody has it. What comes to such a port in spite of that, the kernel answers as for a closed one: with a reset, or an
// ICMP error. A process that ends, by whatever, gives its ports back.
package reserve
