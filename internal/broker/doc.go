// Package broker opens an interface for processes that may not: a small process with the privileges, which parses no packet, hands the
// AF_XDP sockets, their memory, the XDP program and its maps to one that parses them and has none.
//
//	xdpstack broker, CAP_NET_ADMIN…              xdpstack serve --broker, nobody
//	      │                                              │
//	      │ ◄── connects: who is it? (SO_PEERCRED) ──────┤
//	      │ ◄── interface, addresses, options ───────────┤ Client.Open
//	      │ allowed? afxdp.Open                          │
//	      ├──── yes, and the open files ───────────────► │ afxdp.Adopt
//	      │                                              │ serves
//	      │ ◄── shared-address mode: a port of the ──────┤ Client.Port
//	      │     kernel's, which it may not reserve       │
//	      ├──── yes, and a bound socket ───────────────► │
//	      │ ◄── the connection ends, however ────────────┤
//	      │ closes its own, restores interrupts          ✗
//
// An interface has one client at a time. What it may ask for is in [Config]: interface, addresses, how much memory. The broker keeps
// its copy of the interface until the client's connection ends, so that it is left clean; when the broker ends, the client goes on with
// what it has.
//
// A client that somebody has taken over still has the maps of its program, and with them any packet of that interface. It has no other
// interface, no other program and no socket besides. An interface that carries what such a client must not see is not to be shared.
package broker
