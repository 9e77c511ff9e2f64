// Package control is the window into a running xdpstack process: a Unix socket that answers with the process's counters as JSON.
//
//	xdpstack serve ──► Serve(ctx, "", snapshot) ──► /run/xdpstack/4711.sock ◄── Get, List ◄── xdpstack stats
//
// The protocol is HTTP: GET /stats answers with what the snapshot function returned, GET /info says whose socket it is. curl
// --unix-socket works on it.
//
// The sockets of a user's processes are in one directory, [Dir], that only this user can enter; root's is /run/xdpstack. The socket
// has mode 0600, and whoever connects must be the same user or root besides. A process that is killed leaves its socket
// behind; since nobody listens on it any more, connecting is refused, by which [Serve] and [List] know that they may remove it.
package control
