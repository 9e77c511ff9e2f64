// Package soak runs a server for a long time at full load, while faults happen to it every few seconds, and says whether anybody was
// harmed.
//
//	clients ──── kernel's TCP ──── hop: loss bursts ──── link down, up ──── xdpstack serve ◄── reload, upgrade, garbage, scrapes
//	  │ some are killed
//	  └ each compares what comes back, byte by byte
//
// [Run] makes its own network namespaces and ends what it starts. Of faults that a TCP connection is to survive, none may fail one: what
// fails a soak is a client's error, a byte that differs, a process that ends or says "panic", and at the end, when the clients are gone,
// frames and connections that are left, or memory that has grown.
package soak
