package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	crand "crypto/rand"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/wheel"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// Stack is one IP address, or many, on one interface, served by a shard for each queue.
type Stack struct {
	cfg     Config
	address netip.Prefix // zero in shared-address mode, as are local and others
	local   ipv4.Addr    // of address
	others  addrset.Set  // all further addresses of the stack's
	shards  []*Shard
	random  *rand.Rand // used while shards are made; they have generators of their own afterwards
	iface   closer     // what Open made, closed last
	dials   atomic.Uint64
	// dialsLow: connections were dialed from ports that are not ephemeral.
	dialsLow atomic.Bool
	started  atomic.Bool
	shield   *bpf.Shield   // nil: there is none
	stopped  chan struct{} // closed when Close begins
	link     link
	shared   *sharing // nil: own-address mode
	vlan     uint16   // that its frames are tagged for; 0: they are not

	handing      handing
	elsewhere    atomic.Bool  // another process has the interface: it is what tells the program anything
	predecessors atomic.Int32 // shards of the process before that live
	generation   int          // how many processes had the interface before
	lanes        atomic.Bool  // connections are dialed from the generation's ports only
	goneOnce     sync.Once    // for link.failed
	fastOpenKeys [2][16]byte  // the present one, and the one before

	directory    directory
	homes        homes
	writeBuffers sync.Pool // of *[writeBuffer]byte
	copyBuffers  sync.Pool // of *[copyBuffer]byte

	// secret is what initial numbers, timestamps and cookies derive from. All shards have the same, for a flow may come to any of
	// them: a later connection of it must not seem older, and a cookie is good on all.
	secret [16]byte

	traces   atomic.Int32 // that run
	tapBelow belowTaps

	mu       sync.Mutex
	closed   bool
	draining bool // nobody may listen any more
	tcpPorts usedPorts
	udpPorts usedPorts
	portSeed atomic.Uint32
}

// closer is what is below the devices and closed after them.
type closer interface{ Close() error }

// New makes a stack on devices of the caller's, one shard on each. It does nothing by itself until Start; a simulator calls
// [Shard.Step] instead. The stack closes the devices.
func New(cfg Config, devices ...Device) (*Stack, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if full.Shared {
		return nil, fmt.Errorf("%w: Shared needs the kernel's interface: use Open", ErrConfig)
	}
	return newStack(full, below{}, devices)
}

// below is what Open found out about the interface for the stack on it.
type below struct {
	device string      // that XDP runs on
	vlan   uint16      // that the stack is on; 0: none
	shared *sharing    // nil: own-address mode
	shield *bpf.Shield // nil: there is none
	from   *Handover   // whose keys it goes on with; nil: it is the first
}

// newStack is New with a configuration that is complete.
func newStack(full Config, on below, devices []Device) (*Stack, error) {
	if len(devices) == 0 {
		return nil, fmt.Errorf("%w: a stack needs at least one device", ErrConfig)
	}
	s := &Stack{
		cfg: full, address: full.Address, stopped: make(chan struct{}),
		tcpPorts: newUsedPorts(ipv4.ProtoTCP), udpPorts: newUsedPorts(ipv4.ProtoUDP),
		random: newRandom(full.Seed),
		shared: on.shared, vlan: on.vlan, shield: on.shield,
	}
	var err error
	if s.others, err = full.others(); err != nil {
		return nil, err
	}
	s.link.failed = make(chan struct{})
	s.local, _ = ipv4.AddrFrom(full.Address.Addr())
	if len(devices) > 1 {
		s.directory.init([2]uint64{s.random.Uint64(), s.random.Uint64()})
	}
	binary.LittleEndian.PutUint64(s.secret[:], s.random.Uint64())
	binary.LittleEndian.PutUint64(s.secret[8:], s.random.Uint64())
	if on.from != nil {
		s.elsewhere.Store(true)
		s.generation = on.from.Generation + 1
		s.keepLane()
		s.secret = [16]byte(on.from.Secret)
	}
	s.setUpShield()
	for i, d := range devices {
		sh, err := newShard(s, i, d)
		if err != nil {
			return nil, err
		}
		if err := sh.pass.init(sh, len(devices)); err != nil {
			return nil, err
		}
		s.shards = append(s.shards, sh)
	}
	s.homes.shards = s.shards
	var key [16]byte
	binary.LittleEndian.PutUint64(key[:], s.random.Uint64())
	binary.LittleEndian.PutUint64(key[8:], s.random.Uint64())
	ids := [2]uint64{s.random.Uint64(), s.random.Uint64()}
	keys := [2][16]byte{key, key} // nobody has a cookie of the keys before
	if h := on.from; h != nil {
		ids, keys = h.IDs, [2][16]byte{[16]byte(h.FastOpen[1]), [16]byte(h.FastOpen[0])}
	}
	for i, sh := range s.shards {
		sh.ids.key, sh.ids.step, sh.ids.shard = ids, uint16(len(s.shards)), uint16(i)
	}
	for _, key := range keys {
		if err := s.SetFastOpenKey(key); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func newRandom(seed uint64) *rand.Rand {
	if seed != 0 {
		return rand.New(rand.NewPCG(seed, seed))
	}
	var b [32]byte
	crand.Read(b[:])
	return rand.New(rand.NewChaCha8(b))
}

// Start runs every shard in a goroutine of its own.
func (s *Stack) Start() {
	if s.started.Swap(true) {
		return
	}
	for _, sh := range s.shards {
		go sh.loop()
	}
}

// Close ends the stack: open connections are reset, calls that wait return net.ErrClosed, the devices are given back.
func (s *Stack) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	s.closed = true
	close(s.stopped)
	s.mu.Unlock()
	var errs []error
	if s.shared != nil {
		s.shared.follower.Close()
	}
	for _, sh := range s.shards {
		if s.started.Load() {
			sh.post(command{call: func(sh *Shard) { sh.stopping = true }})
			<-sh.done
		} else {
			sh.shutdown(sh.now)
			close(sh.done)
		}
		errs = append(errs, sh.closeErr)
	}
	s.homes.close()
	if s.shared != nil {
		defer s.shared.close() // when nothing comes to the ports any more
	}
	if s.iface != nil {
		errs = append(errs, s.iface.Close())
	}
	return errors.Join(errs...)
}

// Address returns the stack's address and its network's prefix length; of a Shared stack the first that the kernel has now, not valid if it
// has none.
func (s *Stack) Address() netip.Prefix {
	if s.shared != nil {
		return s.shared.first()
	}
	return s.address
}

// Addresses returns the stack's addresses beside that, as few ranges as possible.
func (s *Stack) Addresses() []AddrRange {
	if s.shared != nil {
		return s.shared.view.Load().others.Ranges()
	}
	return s.others.Ranges()
}

// HardwareAddr returns the Ethernet address of the stack's interface.
func (s *Stack) HardwareAddr() [6]byte { return s.shards[0].hw }

// MTU returns the largest IP packet in bytes.
func (s *Stack) MTU() int { return s.shards[0].mtu }

// Shards returns the number of shards.
func (s *Stack) Shards() int { return len(s.shards) }

// Shard returns a shard, for those who call Step themselves.
func (s *Stack) Shard(i int) *Shard { return s.shards[i] }

// addressing returns what its shards look at addresses with.
func (s *Stack) addressing() addressing {
	if s.shared != nil {
		return *s.shared.view.Load()
	}
	a := addressing{local: s.local, others: &s.others, network: newNetwork(s.local, s.address.Bits())}
	a.gateway, a.hasGW = ipv4.AddrFrom(s.cfg.Gateway)
	return a
}

// initProtocols makes the protocols of a shard.
func (s *Shard) initProtocols() error {
	mss := s.mtu - ipv4.MinHeaderLen - tcp.MinHeaderLen
	if mss < tcp.MinMSS || mss > 1<<16-1 {
		return fmt.Errorf("%w: the device's MTU of %d bytes leaves no sensible segment size", ErrConfig, s.mtu)
	}
	budget := s.cfg.RxBudget
	if budget == 0 {
		budget = uint32(s.pool.Size()/4) * uint32(min(mss, s.pool.ChunkSize()-headroom))
	}
	var err error
	if s.core, err = tcp.NewCore(s.pool, headroom, uint16(mss), budget, s.stack.secret, s.cfg.TCP); err != nil {
		return err
	}
	if s.frames = s.core.MaxFrames(); s.dev.Room() < s.frames {
		return fmt.Errorf("%w: a packet of the device's MTU of %d bytes has %d frames, and its TX ring room for %d", ErrConfig, s.mtu,
			s.frames, s.dev.Room())
	}
	s.core.MaxUnread = s.cfg.MaxUnread
	s.core.ChecksumOffload = s.txSum
	s.scarce = s.pool.Size() / 4
	s.least = s.pool.Size() / 8
	s.reserve = min(controlReserve, s.pool.Size()/32)
	s.core.Marks = s.marks
	s.wheel = wheel.New(connBlock, clock.Time(0))
	s.timeWait = tcp.NewTimeWaitTable(s.core, s.cfg.MaxTimeWait)
	s.reporter = ipv4.NewReporter(ipv4.ReporterConfig{Subnet: s.stack.Address(), Seed: s.stack.random.Uint64()})
	if s.reasm, err = ipv4.NewReassembler(ipv4.ReassemblerConfig{}); err != nil {
		return err
	}
	if s.neigh, err = ethernet.NewNeighbours(s.pool, ethernet.NeighboursConfig{
		MAC: s.hw, IP: s.local, Others: *s.others, Gateway: s.gateway,
		Seed: s.stack.random.Uint64(),
	}); err != nil {
		return err
	}
	return nil
}
