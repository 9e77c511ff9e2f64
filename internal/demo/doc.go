// Package demo is the main job of xdpstack, end to end, on a network that it makes for itself: a server on the stack, driven by
// clients that check every byte of what comes back.
//
//	          World "veth" (root)                             World "memory" (anybody)
//	┌── namespace ──┐     ┌── namespace ──┐          ┌──────────────┐        ┌──────────────┐
//	│ xdpstack      │     │ kernel's TCP  │          │ xdpstack     │        │ xdpstack     │
//	│ echo, http,   │     │ ping, net/http│          │ echo, http,  │        │ ping, net/http
//	│ sink, source  │     │ bulk          │          │ sink, source │        │ bulk         │
//	│ AF_XDP, XDP   │     │               │          │              │        │              │
//	└─────── veth ──┘─────└── veth ───────┘          └── sim.Pipe ──┘────────└── sim.Pipe ──┘
//
// [Open] makes a [World], [Run] does the jobs in it and returns a [Report]. Neither prints: progress goes to a [Progress].
package demo
