package tcp

import (
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Core is what all connections of one shard have in common. It belongs to the shard's goroutine.
type Core struct {
	Pool     *frame.Pool
	Headroom uint32 // bytes kept free before the payload of a sent frame, for all headers
	Config   Config // complete: every default filled in
	Stats    Stats
	Keys     Keys

	// MaxUnread is how many bytes all connections together may have received and their applications not consumed, wherever they are: in
	// frames or in memory that the application's side keeps. Beyond it a connection gets more only once it has consumed what it has.
	MaxUnread uint64

	// Marks, if not nil, is told of the flows of half-open connections and of TIME-WAIT: set it before there is a listener or a table.
	// Those of connections are the caller's to mark.
	Marks *FlowMarks

	// ChecksumOffload says that the device computes the checksums of what is sent: payload is not summed when it is written.
	ChecksumOffload bool

	// LinkMSS is the largest payload that the link has room for now, if that is less than the configurations say: SYNs announce no more.
	// 0: it has room for what they say.
	LinkMSS uint16

	now       clock.Time // of the present batch
	sample    rateSample // of the present ACK
	frameRoom uint32     // bytes of payload that a frame holds behind the headroom
	maxFrames uint8      // of a segment that is sent
	pieces    frame.List // the frames behind the current one that the present segment lies in
	rxBudget  uint32     // bytes that all windows together may promise

	// What connections hold of what was received, in bytes of memory: frames in receive and out-of-order queues.
	held   uint32
	unread uint64 // bytes received in order and not consumed

	poolNext clock.Time // when the next connection without a frame may look again: see poolTurn

	// Connections that receive in bulk share the budget. They are counted anew in each epoch; the share follows the larger of the
	// last full count and the running one.
	epochEnd  clock.Time
	epoch     uint32
	receivers uint32 // in this epoch so far
	previous  uint32 // in the last one
	share     uint32 // bytes that one connection's window may promise

	current frame.Index // the segment being processed, frame.None once a queue has taken it

	// What only some connections have. The first record of each stands for that of connections that have none.
	rares     records[rare]
	histories records[history]
	models    records[bbr]

	// kept are the configurations of connections, but for the Core's own, with how many use each. A Conn may lie where the garbage
	// collector does not see what it points to.
	kept map[*Config]int

	fastOpen fastOpen
	reserved reservation

	challengeEnd  clock.Time // the end of the second in which challenges were sent
	challengeLeft uint32     // how many more may be sent in it
}

// DefaultMaxUnread is Core.MaxUnread unless it is changed: 256 MiB.
const DefaultMaxUnread = 256 << 20

const (
	// epochTime is how long a connection that receives in bulk counts as one of those that share the budget: longer than most
	// round trips, so that a sender that sends once in each is counted all the time.
	epochTime = 64 * time.Millisecond

	// A connection counts as receiving in bulk from this many full segments in an epoch. Requests and other small talk
	// promise far more than they use and shall not narrow the windows of those that do use them.
	bulkSegments = 8

	// floorSegments is how many full segments every connection may promise, whatever the budget, but floorBytes at most.
	floorSegments = 4
	floorBytes    = 64 << 10

	// challengeRate is how many challenge ACKs all connections together send in a second, at most (RFC 5961 section 7). The actual
	// limit is random, from half of this: by counting what a known limit leaves over, a stranger could find out whether
	// his guess about somebody else's connection was answered (CVE-2016-5696).
	challengeRate = 1000
)

// NewCore makes the common part of the connections of a shard. Frames come from pool; those that are sent keep headroom bytes free
// for the headers of all layers. The mss is the largest payload that fits the device's MTU beside IP and TCP headers without
// options; if that is more than a frame has room for, segments lie in several. rxBudget is how many bytes all receive windows together
// may promise: no more than the receive rings can hold.
func NewCore(pool *frame.Pool, headroom uint32, mss uint16, rxBudget uint32, secret [16]byte, cfg Config) (*Core, error) {
	if mss < MinMSS {
		return nil, fmt.Errorf("%w: the device's MTU leaves %d bytes for payload, the least is %d", ErrConfig, mss, MinMSS)
	}
	if room := pool.ChunkSize() - int(headroom); int(mss) > frame.MaxFrames*room {
		return nil, fmt.Errorf("%w: %d frames of %d bytes, with %d of headers in each, have no room for %d bytes of payload",
			ErrConfig, frame.MaxFrames, pool.ChunkSize(), headroom, mss)
	}
	cfg.complete = false
	full, err := cfg.withDefaults(mss)
	if err != nil {
		return nil, err
	}
	k := &Core{Pool: pool, Headroom: headroom, Config: full, Keys: NewKeys(secret), MaxUnread: DefaultMaxUnread, rxBudget: rxBudget}
	k.share = rxBudget
	k.frameRoom = uint32(pool.ChunkSize()) - headroom
	k.maxFrames = uint8(k.frames(uint32(mss)))
	k.kept = make(map[*Config]int)
	k.current = frame.None
	k.rares.at(k.rares.alloc()).rest(0)
	k.histories.at(k.histories.alloc()).begin()
	k.models.alloc()
	k.pieces.Init()
	k.fastOpen.init(&k.Keys)
	return k, nil
}

// NewConfig returns a copy of cfg that is complete, for connections that differ from the Core's own configuration.
func (k *Core) NewConfig(cfg Config) (*Config, error) {
	cfg.complete = false
	full, err := cfg.withDefaults(k.Config.MSS)
	if err != nil {
		return nil, err
	}
	return &full, nil
}

// keep makes sure that a configuration stays for as long as a connection uses it.
func (k *Core) keep(cfg *Config) {
	if cfg != &k.Config {
		k.kept[cfg]++
	}
}

// leave is called when a connection does not use a configuration any more.
func (k *Core) leave(cfg *Config) {
	if cfg == &k.Config {
		return
	}
	if k.kept[cfg]--; k.kept[cfg] == 0 {
		delete(k.kept, cfg)
	}
}

// BeginBatch tells the time of the batch that follows and shares the receive budget out among the connections that use it.
func (k *Core) BeginBatch(now clock.Time) {
	k.now = now
	k.Unreserve()
	if now >= k.epochEnd {
		k.epochEnd = now.Add(epochTime)
		k.epoch++
		k.previous, k.receivers = k.receivers, 0
	}
	left := k.rxBudget - min(k.held, k.rxBudget)
	if n := max(k.previous, k.receivers); n > 1 {
		left /= n
	}
	k.share = left
}

// challenge reports whether another challenge ACK may be sent in this second, and counts it. The limit is for all connections
// together, and far above what honest traffic needs.
func (k *Core) challenge(now clock.Time) bool {
	if now >= k.challengeEnd {
		k.challengeEnd = now.Add(time.Second)
		k.challengeLeft = challengeRate/2 + k.Keys.derive(Flow{}, purposeChallenge, uint64(now))%(challengeRate/2)
	}
	if k.challengeLeft == 0 {
		k.Stats.ChallengeACKsLimited++
		return false
	}
	k.challengeLeft--
	k.Stats.ChallengeACKs++
	return true
}

// mayHold reports whether a connection that holds so many frames to send may take one more. A connection may hold as many as it
// leaves free: the more of them want frames the less each gets, and there are always some left, for a newcomer and to
// receive into.
func (k *Core) mayHold(frames int) bool {
	return k.Pool.Free()-k.Pool.Size()/16 > frames
}
