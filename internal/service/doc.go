// Package service has the servers that xdpstack comes with: echo (RFC 862), discard (RFC 863), chargen (RFC 864) and HTTP/1.1. They
// are handlers: they run on the shard that owns a connection, read the memory that packets arrived in, and never block but for the
// reading of files.
//
// A client that sends without reading cannot make a server here hold more than a receive window: when an answer does not fit the
// send buffer, the services keep the received frames themselves (a backlog) instead of copying them, so that the peer's window
// closes, and go on when there is room.
package service
