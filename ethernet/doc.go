// Package ethernet has the wire format of Ethernet II with VLAN tags, and ARP: its packets and the table of neighbours that one
// shard keeps with them.
//
//	 0         6         12     14                          ┌─ 802.1Q / 802.1ad tag, 0 to 2 of them ─┐
//	┌─────────┬─────────┬──────┬─────────────┐     ┌─────────┬─────────┬──────┬─────┬──────┬─────────┐
//	│ dst     │ src     │ type │ payload ... │     │ dst     │ src     │ TPID │ TCI │ type │ payload │
//	└─────────┴─────────┴──────┴─────────────┘     └─────────┴─────────┴──────┴─────┴──────┴─────────┘
//
// The frame check sequence is the device's business and is not in the bytes seen here.
//
// Everything is pure: no sockets, no goroutines, no clock. [Neighbours] is given the time and the ARP packets that arrived, and is
// asked for the packets to send. It is for one goroutine.
//
// An entry of the table goes through the states of RFC 4861 section 7.3.2, which fit ARP as well as Neighbor Discovery. In the
// states on the right the address is known and Lookup gives it:
//
//	                          │
//	   Resolve                │                      not confirmed for ReachableTime
//	     │                    │    ┌───────────┐ ─────────────────────────► ┌───────┐ not looked up for StaleTime
//	     ▼          an answer │    │ REACHABLE │                            │ STALE │ ─────────────────────────► removed
//	┌────────────┐ ───────────┼──► └───────────┘                            └───────┘
//	│ INCOMPLETE │            │          ▲                                    ▲   │
//	└────────────┘ ───────────┼──────────┼────────────────────────────────────┘   │ Lookup
//	     │        any other   │          │ an answer, Confirm  ┌───────┐          │
//	     │ 3 requests     ARP │          └──────────────────── │ PROBE │ ◄────────┘
//	     ▼ in vain            │                                └───────┘
//	┌────────┐ HoldDown       │                                    │ 3 unicast requests in vain
//	│ FAILED │ ─────────────► removed ◄────────────────────────────┘
//	└────────┘                │
package ethernet
