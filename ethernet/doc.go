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
// An entry of the table goes through the states of RFC 4861 section 7.3.2, which fit ARP as well as Neighbor Discovery:
//
//	  Resolve               answer              not confirmed for ReachableTime
//	──────────► INCOMPLETE ────────► REACHABLE ─────────────────────────────────► STALE ◄─── a packet that we did
//	             │  request each 1 s    ▲  ▲                                        │ │      not ask for
//	             │  no answer to 3      │  │ answer, Confirm                 Lookup │ │ not looked up for
//	             ▼                      │  │                                        ▼ ▼ StaleTime
//	           FAILED                   │  └──────────────────────────────────── PROBE  removed
//	             │ after HoldDown       │                                           │ no answer to 3 unicast requests
//	             ▼ removed              └── permanent entries stay (Set)            ▼ removed
package ethernet
