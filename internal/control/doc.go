// Package control is the window into a running xdpstack process: a Unix socket that tells
// what the process does, and takes what an operator wants of it.
//
//	xdpstack serve ──► Listen, Handle, Run ──► /run/xdpstack/4711.sock ◄── Client, List ◄── xdpstack stats
//
// The protocol is HTTP: each request is answered by who registered its pattern ([Server.Handle], [Server.HandleJSON]); GET /info says whose
// socket it is. curl --unix-socket works on it.
//
// Whatever comes in is answered or ended: a request is taken whole before anybody looks at it, within bounds of size and time; what is
// wrong is answered with an [Error], {"status":400,"error":"…"}; of too many connections the one that has asked for nothing for longest
// gives way. An answer that goes on, such as a trace, ends when the client does not take it. None of that can do more than refuse a
// client: the shards of the stack know nothing of it.
//
// The sockets of a user's processes are in one directory, [Dir], that only this user can enter; root's is /run/xdpstack. The socket
// has mode 0600, and whoever connects must be the same user or root besides; [Config] can let a group in. A process that is killed leaves
// its socket behind; since nobody listens on it any more, connecting is refused, by which [Listen] and [List] know that they may remove it.
package control
