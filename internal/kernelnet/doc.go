// Package kernelnet follows what the kernel has configured on one interface, for a stack that shares its addresses: addresses,
// routes, MTU and link state as immutable snapshots, and neighbours as events.
//
//	rtnetlink: links, addresses, routes ──► changed? read all again ──► Snapshot ──► Config.Changed
//	           neighbours ────────────────► of whom somebody asked ───► Neighbour ─► Config.Told
//	                                                  ▲
//	shards: who is 192.0.2.1? ── Follower.Ask ────────┴──► kernel: resolve it, or verify it (NTF_USE)
//
// A [Snapshot] is read whole, after each change: the kernel's own answer to "what is there now" is right however many messages
// were lost before. What changes in quick succession is read once. Routes are looked at as the kernel does for a socket that is
// bound to the interface (SO_BINDTODEVICE): its policy rules say which tables, and in each the longest prefix counts among the routes
// out of that interface. So a look needs no question to the kernel. Rules that look at more than addresses and interfaces differ
// between the packets of a stack: they are left out, and a snapshot says which ([Snapshot.Ignored]).
//
// Neighbours stay the kernel's: it asks, answers and verifies. An address that [Follower.Ask] is given is told at once if the
// kernel has it in a state in which it would use it, stale ones too, and the kernel is told that it is in use, whereupon it
// verifies it as if it had sent a packet itself. One that it does not have, it is made to resolve.
package kernelnet
