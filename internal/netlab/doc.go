// Package netlab makes laboratories for tests and demonstrations: two network namespaces joined by a veth pair.
//
//	namespace xs-NAME-PID-RANDOM-stack            namespace xs-NAME-PID-RANDOM-kernel
//	┌────────────────────────────────┐            ┌────────────────────────────────┐
//	│ xs-stack                       │    veth    │ xs-kernel                      │
//	│ up, no address in the kernel:  ├────────────┤ up, 10.77.0.1/24               │
//	│ 10.77.0.2/24 is for the stack  │            │ ordinary sockets, the peer     │
//	└────────────────────────────────┘            └────────────────────────────────┘
//
// With [Config.Hop] there is a third namespace between them, with an end of a veth pair to each side, and what forwards from one to the
// other is the caller's choice: package internal/impair/hop does, as badly as it is told.
//
// A lab can also be made of two network cards that are connected to each other ([Config.Cards]), and what [ForTest] makes is, when
// the environment names such cards ([CardsVariable]): the same tests then run on real drivers.
//
// The wire is quiet: IPv6 is disabled in both namespaces, so only what a test sends is on it. TX checksum offload and all that
// builds on it is off at both ends unless [Config.Offloads] asks for it: veth hands XDP the frames as the sender left them, and
// a sender that believes in its offload leaves the TCP checksum unfinished.
//
// The namespaces are named, so that "ip netns exec" can look inside while a test runs. [Lab.Close] removes everything; what a
// killed process left behind is found by the process id in the name and removed by [Sweep].
package netlab
