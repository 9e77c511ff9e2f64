// Package bpf holds the steering program, which runs in the kernel for each received frame and asks one thing: is this frame
// ours? What is ours it redirects to the AF_XDP socket of the frame's queue, everything else it passes to the kernel. It
// changes, drops and answers frames only in the stack's defence, and only if it is loaded for that.
//
//	frame
//	  │
//	Ethernet header, at most two VLAN tags? ─── no, or an EtherType not below ────────────────────┐
//	  │ yes                                                                                       │
//	the one tag of our VLAN, or none if we are on none? ─── no ───────────────────────────────────┤
//	  │ yes                                                                                       │
//	  ├─ ARP    own address:    for IPv4 over Ethernet, sender or target owned? ─ no ─────────────┤
//	  │         shared address: the kernel's ─────────────────────────────────────────────────────┤
//	  │                                                                                           │
//	  ├─ IPv4   header and lengths sound? ─── no ─────────────────────────────────────────────────┤
//	  │         own address:    destination owned? ─── no ────────────────────────────────────────┤
//	  │         shared address: TCP or UDP, (protocol, address, port) owned? ─── no ──────────────┤
//	  │                         a later fragment: of a datagram whose first was? ─── no ──────────┤
//	  │         or an ICMP error that quotes a packet from there? ─── no ─────────────────────────┤
//	  │ yes                                                                                       │
//	  ▼                                                                                           ▼
//	a socket for the frame's queue? ─── no ──────────────────────────────────────────────────► XDP_PASS
//	  │ yes
//	  ▼
//	XDP_REDIRECT
//
// Every frame is counted once, by what became of it and why: [Counters]. The reasons are an enumeration in xdp_steer.h, from
// which the Go constants are generated.
//
// A frame that is larger than a page lies in several buffers, of which the program sees the first: drivers put the headers there, and
// what has them further on is passed. Drivers take only a program that says it can bear that (Config.Fragments).
//
// In front of a frame that it redirects the program can note what is known of it (Config.Hints): when it came, and the device's hash. The
// driver is asked for both if the program is bound to its device.
//
// In a third mode (WholeInterface), which is for measuring, every frame is ours. It is counted by the same reasons, and what the way
// above would pass is one more.
//
// A program that is loaded with Config.ShieldFlows can defend the stack against floods of SYNs, between "ours" and the redirection: it
// answers SYNs with the stack's own SYN cookies and drops what belongs to no flow of the stack's and brings none back. [Shield] is the
// stack's side of that.
//
// A [Program] reaches its mode as a constant at load time and what it owns through maps, so nothing is ever recompiled. The
// compiled object is committed (generate.go says how to make it again). The program is attached through a BPF link that the
// process owns: when the process ends, by SIGKILL too, the kernel detaches the program.
package bpf
