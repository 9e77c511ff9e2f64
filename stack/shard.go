package stack

import (
	"sync/atomic"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/wheel"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/ring"
	"github.com/xdpstack/xdpstack/tcp"
)

// Shard is one queue pair with everything that its traffic needs: nothing in it is shared with another shard, and one goroutine
// at a time may use it. Start gives it a goroutine of its own; a simulator calls Step instead.
type Shard struct {
	stack *Stack
	cfg   *Config
	id    int
	cpu   int // that it is bound to; -1: any
	dev   Device
	bell  waker // what dev was at first; others than the shard's goroutine use it
	pool  *frame.Pool
	hw    ethernet.Addr
	addressing
	mtu      int
	oneFrame int    // the largest IP packet that one frame holds, at most the MTU: what is not TCP is sent in fragments of that size
	hwWord   uint64 // hw as a number
	tag      tag    // zero: frames have none
	rxSum    bool   // the device verified the checksums
	txSum    bool   // the device completes the checksums of TCP and UDP

	now           clock.Time
	turn          turn
	core          *tcp.Core
	conns         connSlab
	origins       origins
	flows         flowTable
	hashKey       [2]uint64
	marks         *tcp.FlowMarks   // where the shield sees which flows there are; nil without one
	shieldQueue   *bpf.ShieldQueue // what the shield and the shard tell each other; nil without one
	header        headerTemplate
	runq          runQueue
	running       *Conn       // the connection that is being run
	handing       frame.Index // the frame that its handler is being given
	retained      bool        // and has kept
	copied        []byte      // what it is given in place of a frame: see handCopy
	wheel         *wheel.Wheel
	timeWait      *tcp.TimeWaitTable
	adapters      map[*TCPConn]struct{}      // the net.Conns that may hold frames
	ports         map[uint16]*listener       // on all addresses
	bound         map[endpoint]*listener     // on one
	lnList        []*listener                // the values of both, to be walked in order
	portSeq       uint32                     // counts ephemeral ports given out (RFC 6056)
	dialed        bool                       // connections were dialed
	sourceSeq     int                        // counts connections that took the next of the addresses
	udp           map[uint16]*PacketSocket   // on all addresses
	boundUDP      map[endpoint]*PacketSocket // on one
	arrived       frame.Desc                 // the packet of the datagram that is being handled; its frame is None if there is not one
	hinter        hinter                     // the device, if it can be asked about packets
	neigh         *ethernet.Neighbours
	neighGen      uint32 // generation of neigh when parked connections last looked
	neighResolved uint64 // and how many addresses it had found
	parked        []uint32
	reasm         *ipv4.Reassembler
	reporter      *ipv4.Reporter

	rx       []frame.Desc
	large    []byte // a packet that was copied together
	ahead    ahead
	segments []segment // the TCP segments of the batch, between the passes
	txq      []frame.Desc
	room     int // how many more frames the device and txq take
	frames   int // of a segment that is sent, at most
	due      []uint32
	out      tcp.OutSegment
	seg      tcp.Segment

	before   *relay                // the process that had the interface before; nil: none
	halfOpen map[tcp.Flow]struct{} // and its handshakes when it gave it away
	theirs   map[tcp.Flow]struct{} // and what it had dialed; only read
	after    *relay                // the one that has it now; nil: this one

	mailbox               *ring.Mailbox[command]
	ids                   identifications
	reserve               int // frames that connections leave for other answers
	scarce                int // below so many free frames, payload is copied out of them
	least                 int // and handlers are given copies
	pass                  passing
	pulse                 pulse
	done                  chan struct{} // closed when the shard has stopped
	stopping              bool
	woke                  bool // the turn has woken goroutines, which may run first
	unable                bool // the device said at the last turn that it cannot send
	affinityErr, closeErr error
	stats                 ShardStats
	listing               listing
	tracer                *tracer // nil: nothing is traced
	tapping               tapping

	signals
}

// signals are what others tell a shard, or ask of it, without its mailbox. They have a cache line of their own: next to what the shard
// writes all the time, each look of another's would take that from it.
type signals struct {
	_        [64]byte
	sleeping atomic.Bool // the shard sleeps, or is about to: who has something for it wakes it
	passed   atomic.Bool // segments from other shards may wait: see passing
	_        [64]byte
}

func newShard(s *Stack, id int, dev Device) (*Shard, error) {
	cfg := &s.cfg
	oneFrame := min(dev.MTU(), dev.Pool().ChunkSize()-headroom+ipv4.MinHeaderLen)
	batch := cfg.BatchSize
	if dev.MTU() > oneFrame {
		batch = max(batch, frame.MaxFrames)
	}
	sh := &Shard{
		stack: s, cfg: cfg, id: id, cpu: cfg.cpu(id), dev: dev, bell: dev, pool: dev.Pool(),
		hw: ethernet.Addr(dev.HardwareAddr()), addressing: s.addressing(), mtu: dev.MTU(),
		oneFrame: oneFrame,
		adapters: make(map[*TCPConn]struct{}), done: make(chan struct{}),
		ports: make(map[uint16]*listener), bound: make(map[endpoint]*listener),
		udp: make(map[uint16]*PacketSocket), boundUDP: make(map[endpoint]*PacketSocket), sourceSeq: id,
		rx:       make([]frame.Desc, batch),
		segments: make([]segment, 0, batch),
		txq:      make([]frame.Desc, 0, txQueue),
		due:      make([]uint32, 256),
	}
	if s.shared != nil { // A VLAN may have another address and less room than the interface below.
		sh.hw, sh.mtu = s.shared.mac(sh.hw), s.shared.mtu(sh.mtu)
	}
	sh.hwWord = sh.hw.Uint64()
	sh.rxSum, sh.txSum = dev.ChecksumOffload()
	if s.vlan != 0 { // The device would have to know that the headers lie behind a tag.
		sh.tag, sh.txSum = newTag(s.vlan), false
	}
	sh.arrived.Frame = frame.None
	sh.hinter, _ = dev.(hinter)
	sh.SetOnTurn(cfg.OnTurn)
	sh.flows.init()
	sh.origins.init()
	sh.ahead.init(max(cfg.BatchSize, len(sh.due)))
	sh.hashKey = [2]uint64{s.random.Uint64(), s.random.Uint64()}
	sh.initShield(dev)
	sh.portSeq = s.random.Uint32()
	sh.header.init(sh)
	var err error
	if sh.mailbox, err = ring.NewMailbox[command](cfg.Mailbox); err != nil {
		return nil, err
	}
	return sh, sh.initProtocols()
}

// hash returns the hash that the shard's table of connections has for a flow.
func (s *Shard) hash(f *tcp.Flow) uint32 { return f.Hash(s.hashKey[0], s.hashKey[1]) }

// txQueue is how many packets a shard collects before it gives them to the device.
const txQueue = 256

// Step does one turn of the shard, in the order that docs/architecture.md gives, and reports whether there was anything to do. It
// never blocks.
func (s *Shard) Step(now clock.Time) bool {
	s.now = now
	s.core.BeginBatch(now)
	n := s.dev.Receive(s.rx)
	if n > 0 {
		s.stats.Rx.Batches++
		s.stats.Rx.Frames += uint64(n)
		if s.tag != 0 {
			s.untag(s.rx[:n])
		}
		if len(s.tapping.taps) == 0 {
			s.input(s.rx[:n])
		} else {
			s.tapInput(s.rx[:n])
		}
	}
	worked := n > 0
	worked = s.takePassed() || worked
	s.publishPassed()
	if s.before != nil {
		s.before.flush()
	}
	worked = s.commands() || worked
	worked = s.timers() || worked
	worked = s.turn.take(s) || worked
	s.control()
	worked = s.run() || worked
	s.arpOutput()
	s.transmit()
	if s.unable = s.dev.Flush() != nil; s.unable {
		s.stats.Tx.FlushErrors++
	}
	worked = s.dev.Recycle() > 0 || worked
	s.stats.Steps++
	return worked
}

// run gives every connection that was runnable at the start one turn. A connection that has more to do goes to the back of the
// queue, so that none starves the others.
func (s *Shard) run() bool {
	n := s.runq.n
	if n == 0 {
		return false
	}
	s.room = s.dev.Room() - len(s.txq)
	progress, starving, before := false, false, 0
	for ; n > 0; n-- {
		c := s.nextRunnable()
		if c == nil {
			break
		}
		var p, starved bool
		if s.tracer == nil {
			p, starved = s.runConn(c)
		} else {
			p, starved = s.runTraced(c)
		}
		progress, starving = progress || p, starving || starved
		if !starving && c.is(connInRun) {
			before++
		}
	}
	if starving {
		// All went to the back in their order, and whoever is first takes what room there is: the first who got none.
		for range before {
			if c := s.nextRunnable(); c != nil {
				s.schedule(c)
			}
		}
	}
	return progress
}

// runConn processes what is queued for the connection, lets the application see it, and sends what is due. starved means that it could
// send nothing of that, because room or memory is exhausted.
func (s *Shard) runConn(c *Conn) (progress, starved bool) {
	s.running = c
	more := c.tcp.Process(s.now)
	if !s.deliver(c) {
		s.running = nil
		return true, false
	}
	sent, blocked := s.pull(c)
	// Sending may have been the last step, of a reset for example.
	alive := s.deliver(c)
	s.running = nil
	if !alive {
		return true, false
	}
	s.wheel.Set(c.id, c.timer())
	// What was sent may have let the application write more.
	if more = more || sent > 0 && !blocked && c.tcp.Wants(s.now); more || blocked {
		s.schedule(c)
	}
	return more || sent > 0 || !blocked, blocked && sent == 0
}

// timers runs every timer that is due.
func (s *Shard) timers() bool {
	worked := false
	for {
		n := s.wheel.Advance(s.now, s.due)
		if s.conns.n >= aheadConns {
			s.fetchDue(s.due[:n])
		}
		for _, id := range s.due[:n] {
			c := s.conns.at(id)
			if s.tracer == nil {
				c.tcp.Expire(s.now)
			} else {
				s.expireTraced(c)
			}
			s.schedule(c)
		}
		worked = worked || n > 0
		if n < len(s.due) {
			return worked
		}
	}
}

// control runs the timers of everything that is not a connection and sends what they ask for.
func (s *Shard) control() {
	if s.shieldQueue != nil {
		s.tellPressure()
	}
	for _, l := range s.lnList {
		if l.tcp.Deadline().After(s.now) {
			continue
		}
		l.tcp.Expire(s.now)
		for l.tcp.NextOutput(s.now, &l.flow, &s.out) {
			s.replyTCP(&l.flow, &s.out)
		}
	}
	if !s.timeWait.Deadline().After(s.now) {
		s.timeWait.Expire(s.now)
	}
	if !s.reasm.Deadline().After(s.now) {
		s.reportExpired()
	}
	s.neighbours()
}

// Deadline returns when the shard has something to do if nothing arrives before: at once, if a connection is runnable.
func (s *Shard) Deadline() clock.Time {
	if s.runq.n > 0 || len(s.txq) > 0 {
		return s.now
	}
	d := min(s.turn.at, s.wheel.Next(), s.timeWait.Deadline(), s.reasm.Deadline(), s.neigh.Deadline())
	for _, l := range s.lnList {
		d = min(d, l.tcp.Deadline())
	}
	return d
}
