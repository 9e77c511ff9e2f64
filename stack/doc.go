// Package stack puts the protocols together: shards that each serve one queue of an interface, the tables that find a packet's
// connection, and the API that applications use.
//
// # The turn of a shard
//
// [Shard.Step] takes a batch of packets down one way, always in this order:
//
//	Device.Receive ─► parse the batch ─► look up the batch ─► queue each segment on its connection
//	                      │ arp, icmp, udp: handled at once       │ no connection: TIME-WAIT record, listener, reset
//	                      ▼                                       ▼
//	      commands of applications' goroutines ─► timers that are due ─► Config.OnTurn
//	                                                              ▼
//	             run every runnable connection: process ─► application's callbacks ─► pull what is due
//	                                                              ▼
//	                     Device.Transmit ─► Device.Flush ─► Device.Recycle
//
// Nothing in a shard is shared with another shard and nothing in it is locked. Step never blocks and takes the time as an
// argument. [Stack.Start] gives each shard a goroutine that calls Step, locked to a thread if the shard has a CPU of its own;
// when there is nothing to do it spins for a while and then sleeps until a packet, a command or a timer.
//
// # Two ways to use it
//
// A [Handler] runs on the shard: it sees received bytes in the memory that they arrived in and costs no goroutine per
// connection. It is the fast way, and must not block.
//
//	s, err := stack.Open(stack.Config{Interface: "eth0", Address: netip.MustParsePrefix("192.0.2.10/24")})
//	l, err := s.Handle(":7", echo)
//
// It can write into the memory that is sent from, with [Conn.Reserve] and [Conn.Commit], and pass on what it has received with
// [Conn.Retain] and [Conn.SendBuffer].
//
// [Stack.Listen] and [Stack.Dial] give a net.Listener and net.Conns, for net/http and everything else that is written for them:
//
//	ln, err := s.Listen("tcp", ":80")
//	err = http.Serve(ln, handler)
//
// A stack that has many addresses (Config.Addresses) listens on all of them, and connects from each in turn with Dialer.Spread.
//
// A stack with an address of its own owns all of it. A Shared one has the addresses that the kernel has on the interface, and
// owns the ports that it opens; routes and neighbours are the kernel's:
//
//	s, err := stack.Open(stack.Config{Interface: "eth0", Shared: true})
//
// A TCPConn crosses between goroutines and the shard: through a mailbox that any goroutine may push to one way, through a list
// under a mutex that is held for a few instructions the other. Whatever is asked of the shard before its next turn goes with one
// message, a short Write does not wait for that turn, and a reader is woken once for all that a turn brought.
//
// # Seeing what it does
//
// [Stack.Report] has the counters, and [Stack.Connections] everything that ss would show, of a million connections too: a shard is asked
// for a few of them in a turn. [Stack.Trace] tells what happens to some of them: states, losses and how the window followed, closed
// windows, an application that has nothing to send. Connections that are not traced pay nothing for that.
//
// # From process to process
//
// A stack's interface can go to the stack of another process while both work: [Stack.Offer] describes it, [Adopt] prepares everything
// there, and between [Stack.Suspend] and [Stack.TakeUp] the queues change hands, within about a millisecond. From then on the new stack
// accepts; the old one goes on with its connections, whose packets the new one relays:
//
//	segment ─► connection of the new stack? ─► half-open there? ─► SYN to a listener? ─► relay ─► old stack: connection,
//	                                                                 ▲                              │ handshake, TIME-WAIT,
//	                                                 listener, reset ◄──────────── returned ◄───────┘ or nothing
//
// Both have one secret and one clock: initial numbers go on, and cookies and timestamps stay valid.
package stack
