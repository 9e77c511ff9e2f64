// Package tcp is the TCP core: a pure state machine without goroutines, locks, sockets or a clock of its own. It takes segments and
// the time, and yields segments, events and a deadline.
//
// A [Core] is what the connections of one shard share: the frame pool, the configuration, the counters, the secrets. A [Conn] is
// one connection. Passive opens are a [Listener]'s until their handshake is complete, and what remains of a connection in
// TIME-WAIT can move to a [TimeWaitTable].
//
//	Enqueue ─► Process ─► segment: checks of RFC 9293 section 3.10.7.4 in order (input.go)
//	                        │  sequence, RST, SYN, ACK, URG, text, FIN
//	                        ├► ack.go, sack.go                    what the ACK says about what was sent
//	                        │   ├► rack.go, tlp.go                what of it is lost
//	                        │   └► retransmit.go, prr.go          what is sent again, and when
//	                        │      spurious.go                    that it was not lost after all
//	                        │      congestion.go                  how much may be in flight: cubic.go, hystart.go, newreno.go,
//	                        │                                     dctcp.go, bbr.go
//	                        │      rate.go                        how fast it arrives
//	                        ├► receive.go, outoforder.go          what the payload adds to what was received
//	                        │   window.go, autotune.go            how much more the peer may send
//	                        └► ecn.go                             what routers say with marks, in both directions
//	ICMP ────► icmp.go, pathmtu.go, plpmtud.go                  what the path cannot do
//	Expire ──► timers.go ─► retransmit.go, rack.go, tlp.go, persist.go, keepalive.go
//	Write ───► send.go                                            what is to be sent
//	Output ◄── output.go: what is due, one segment for each call
//	            pacing.go                                         and not before its time
//
// The states of a connection and what moves it between them (RFC 9293 figure 5); a Conn begins in SYN-SENT or, after a Listener's
// handshake, in ESTABLISHED, or with Fast Open before its end in SYN-RECEIVED (fastopen.go):
//
//	                          Connect │ SYN ─►
//	               ◄─ SYN         ┌───▼────┐
//	    ┌─────────────────────────┤SYN-SENT│
//	    │        SYN-ACK ─►       └───┬────┘
//	┌───▼────────┐                    │ ◄─ SYN-ACK
//	│SYN-RECEIVED├──────────────┐     │    ACK ─►       Accept
//	└────────────┘  ◄─ ACK      │     │                   │
//	                         ┌──▼─────▼──┐◄───────────────┘
//	         CloseWrite      │ESTABLISHED│      ◄─ FIN
//	         FIN ─►  ┌───────┴───────────┴───────┐  ACK ─►
//	          ┌──────▼───┐                  ┌────▼─────┐
//	          │FIN-WAIT-1├──────────┐       │CLOSE-WAIT│
//	          └──────┬───┘ ◄─ FIN   │       └────┬─────┘
//	 ◄─ ACK of FIN   │     ACK ─►   │            │ CloseWrite, FIN ─►
//	          ┌──────▼───┐      ┌───▼───┐   ┌────▼───┐
//	          │FIN-WAIT-2│      │CLOSING│   │LAST-ACK│
//	          └──────┬───┘      └───┬───┘   └────┬───┘
//	 ◄─ FIN, ACK ─►  │              │ ◄─ ACK of  │ ◄─ ACK of FIN
//	              ┌──▼──────┐◄──────┘    FIN ┌───▼──┐
//	              │TIME-WAIT├────────────────►CLOSED│  from every state: reset, Abort, a peer that is silent
//	              └─────────┘ 2 MSL          └──────┘
//
// Where the variables of the sequence space lie is drawn at the types receiver and sender, whose fields have the RFC's names:
// SND.UNA is snd.una, RCV.NXT is rcv.nxt.
//
// A Conn is small, and has what most connections need. What only losses, reordering and rare options need is apart (rare.go), and so is
// what a connection remembers of them (history.go); the Core has both.
//
// Everything that must happen without a segment is one of five timers, of which [Conn.Deadline] gives the earliest. Everything that
// is to be sent is decided in one place, next in output.go, which [Conn.Wants] and [Conn.Output] share.
package tcp
