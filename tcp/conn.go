package tcp

import (
	"unsafe"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Conn is one connection: a value for slabs, without goroutine, lock or channel. The zero Conn is closed; Connect or Accept begin
// it and Release ends it. It belongs to the goroutine of its Core's shard.
//
// Segments are queued with Enqueue and used by Process; what is to be sent is pulled with Output, until that reports false; Expire
// must be called when Deadline is reached. Each of these and each call of the application may raise events (TakeEvents),
// move the deadline and make something due.
type Conn struct {
	core       *Core
	cfg        *Config
	flow       Flow
	state      State
	ended      reason   // why it ended
	soft       reason   // the last ICMP error that did not end it, since something was acknowledged: told instead of a timeout
	due        dueFlags // what Output has to send besides data
	events     Events
	keepProbes uint8 // sent and not answered
	flags      connFlags
	rareAt     uint32 // where the Core has the connection's rare, 0: it has none

	segsOut, segsIn uint32 // segments sent, and received

	historyAt uint32 // where the Core has the connection's history, 0: it has none

	in      frame.Queue // segments received and not yet processed
	timers  timers
	ts      timestamps
	rcv     receiver
	snd     sender
	count   counters
	outside uint32 // when a segment without data that was outside the window was last answered, ticks of rate.go; 0: never

	// What follows is of use only when data of this end's is acknowledged. A segment with data in order touches nothing of it.
	rtt RTT
	cc  Congestion
}

// RecvSize is how many bytes from its beginning a Conn touches when data comes in order.
const RecvSize = unsafe.Offsetof(Conn{}.rtt)

// connFlags are what is true of a connection for longer than a moment.
type connFlags uint32

const (
	flagTS          connFlags = 1 << iota // both sides send timestamps
	flagSACK                              // both sides take SACK
	flagNoDelay                           // no Nagle
	flagCork                              // the application corked
	flagFINQueued                         // the application closed its side
	flagFINSent                           // the FIN was sent at least once
	flagAppClosed                         // the application does not read any more
	flagPeerFIN                           // the peer's FIN was seen, at rcv.fin
	flagWantWrite                         // a Write was short: EventWritable is owed
	flagOverride                          // the next segment goes out however small it is: SWS override, persist
	flagProbing                           // the window is closed and probes are sent
	flagForceLost                         // the next lost segment goes out whatever the window
	flagTailProbe                         // new data goes out beyond the congestion window, as a tail loss probe
	flagUndoable                          // the recovery may turn out to be spurious
	flagStarved                           // a frame was needed for sending and the pool had none
	flagSYNLost                           // the SYN was sent more than once
	flagBulk                              // counted in this epoch as receiving in bulk
	flagPaced                             // what is sent is spread over time: see pacing.go
	flagRateLimited                       // the last rate sample was limited by the application
	flagKeepAlive                         // probed when it is idle
	flagOwnConfig                         // cfg is a copy that belongs to this connection alone
	flagProbed                            // a tail loss probe was sent since the round trip was last measured
	flagForward                           // after a timeout, nothing but the first segment was sent again yet
	flagForwarded                         // and an ACK has advanced since: new data goes out, and the next ACK decides
	flagEarly                             // passive, in SYN-RECEIVED: a Fast Open cookie lets data pass before the handshake is complete
	flagTold                              // EventEstablished was raised before the connection was
	flagHeld                              // the SYN waits for what the application writes first, to take it along
	flagFastOpen                          // the SYN has the option; early: the SYN-ACK has a cookie; later: the SYN's data was taken
	flagECN                               // both sides use ECN
	flagECT                               // and what is sent may say so
	flagECE                               // marks were received: ACKs say so
	flagCWR                               // the window was reduced: the next new data says so
)

func (c *Conn) is(f connFlags) bool { return c.flags&f != 0 }
func (c *Conn) set(f connFlags)     { c.flags |= f }
func (c *Conn) clear(f connFlags)   { c.flags &^= f }

// dueFlags are segments other than data that Output has to send.
type dueFlags uint8

const (
	dueReset     dueFlags = 1 << iota // the reset of an abort
	dueBareReset                      // the answer to an unacceptable ACK of the handshake, at snd.resetSeq
	dueSYN                            // SYN, or SYN-ACK in SYN-RECEIVED
	dueFIN                            // the FIN alone, again
	dueKeepAlive                      // a keep-alive probe
	dueACK                            // an ACK that waits no longer
)

// timestamps are the variables of RFC 7323 section 4.
type timestamps struct {
	recentAt uint32 // when recent was set, as seconds has it
	recent   uint32 // TS.Recent
	offset   uint32 // added to the clock in what is sent
}

// tsValue returns the timestamp to send.
func (c *Conn) tsValue(now clock.Time) uint32 { return now.Millis() + c.ts.offset }

// begin gives a connection its parts; everything else is zero. The connection may lie outside the heap: the Core keeps cfg, and whoever
// has the connection keeps the Core.
func (c *Conn) begin(k *Core, f Flow, cfg *Config) {
	*c = Conn{core: k, cfg: cfg, flow: f}
	if cfg == nil {
		c.cfg = &k.Config
	}
	k.keep(c.cfg)
	c.setFlag(flagNoDelay, c.cfg.NoDelay)
	c.setFlag(flagCork, c.cfg.Cork)
	c.setFlag(flagKeepAlive, c.cfg.KeepAlive.Idle != 0)
	c.count.dataAt = tick(k.now)
	c.in.Init()
	c.rcv.init(c.cfg)
	c.snd.init()
	c.timers.init()
	c.updatePaced()
}

// setState is the one place where the state changes.
func (c *Conn) setState(s State) {
	c.state = s
}

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Flow returns the connection's addresses and ports.
func (c *Conn) Flow() Flow { return c.flow }

// SetFlow gives a closed connection the addresses and ports that Accept or Connect will begin it with, so that it can be found by them.
func (c *Conn) SetFlow(f Flow) { c.flow = f }

// Err returns why the connection ended: nil while it has not, or if both sides closed it; otherwise an *Error.
func (c *Conn) Err() error {
	if c.ended == reasonNone {
		return nil
	}
	return reasons[c.ended]
}

func (c *Conn) setFlag(f connFlags, on bool) {
	if on {
		c.set(f)
	} else {
		c.clear(f)
	}
}

// Release gives every frame back to the pool and makes the Conn zero.
func (c *Conn) Release() {
	if c.core == nil {
		return
	}
	if c.core.reserved.conn == c {
		c.core.Unreserve()
	}
	c.endEarly(false)
	c.releaseSend()
	c.releaseReceive()
	c.rcv.releaseQueue(c.core)
	c.dropRare()
	c.dropHistory()
	c.dropModel()
	c.core.unread -= uint64(c.rcv.nxt - c.rcv.read)
	k, cfg := c.core, c.cfg
	*c = Conn{}
	k.leave(cfg)
}

// releaseSend gives back what was to be sent.
func (c *Conn) releaseSend() {
	c.snd.queue.ReleaseAll(c.core.Pool)
	c.snd.unsent, c.snd.sacked, c.snd.lost = frame.None, 0, 0
	if c.hasRare() {
		x := c.rare()
		x.lostHint, x.sackHint, x.arrived = frame.None, frame.None, 0
		x.rack.forgetSent()
	}
}

// releaseReceive gives back what was received and cannot be delivered any more.
func (c *Conn) releaseReceive() {
	c.in.ReleaseAll(c.core.Pool)
	c.releaseOutOfOrder()
}
