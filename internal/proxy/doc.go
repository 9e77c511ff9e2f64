// Package proxy hands the connections of a listener on, byte by byte, to a server that knows nothing of the stack: through sockets of the
// kernel of this machine, or through the stack to another host.
//
//	client ◄──AF_XDP──► stack.Conn ◄─┬─ Retain, write / read, Write ──► socket of the kernel's ◄──► server on this machine
//	                                 └─ Retain, SendBuffer: no copy ──► stack.Conn of the same shard ◄──AF_XDP──► another host
//
// Everything runs on the shard that has the connection: it makes the system calls of the kernel's sockets itself, which never block, and
// learns from an epoll instance, which its sleeps end for, when there is something to do. So a proxied connection costs no goroutine, no
// wake-up of another thread and no lock.
//
// What one side does not take stays with the other: frames that the client's bytes came in are kept until the server's socket has room, and
// the client's window stays smaller meanwhile; what was read from the server waits until the client's has room, and no more is read. A half
// that is closed is closed on the other side when everything before has been handed on; a reset becomes a reset.
//
// With the PROXY protocol, version 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt), the server is told who the client is, in front of
// the first byte.
package proxy
