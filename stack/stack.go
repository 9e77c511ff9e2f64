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
	address netip.Prefix
	local   ipv4.Addr   // of address
	others  addrset.Set // all further addresses of the stack's
	network uint32      // the network's number, host part zero
	mask    uint32
	subnet  bool // the network has broadcast addresses: it is not of one or two hosts
	gateway ipv4.Addr
	hasGW   bool
	shards  []*Shard
	random  *rand.Rand // used while shards are made; they have generators of their own afterwards
	iface   closer     // what Open made, closed last
	dials   atomic.Uint64
	// dialsLow: connections were dialed from ports that are not ephemeral.
	dialsLow atomic.Bool
	started  atomic.Bool
	stopped  chan struct{} // closed when Close begins
	link     link

	directory    directory
	homes        homes
	writeBuffers sync.Pool // of *[writeBuffer]byte
	copyBuffers  sync.Pool // of *[copyBuffer]byte

	// secret is what initial numbers, timestamps and cookies derive from. All shards have the same, for a flow may come to any of
	// them: a later connection of it must not seem older, and a cookie is good on all.
	secret [16]byte

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
	if len(devices) == 0 {
		return nil, fmt.Errorf("%w: a stack needs at least one device", ErrConfig)
	}
	s := &Stack{
		cfg: full, address: full.Address, stopped: make(chan struct{}),
		tcpPorts: newUsedPorts(), udpPorts: newUsedPorts(),
		random: newRandom(full.Seed),
	}
	if s.others, err = full.others(); err != nil {
		return nil, err
	}
	s.link.failed = make(chan struct{})
	s.mask = ^(^uint32(0) >> full.Address.Bits())
	s.local, _ = ipv4.AddrFrom(full.Address.Addr())
	s.network = s.local.Uint32() & s.mask
	s.subnet = full.Address.Bits() < 31
	s.gateway, s.hasGW = ipv4.AddrFrom(full.Gateway)
	if len(devices) > 1 {
		s.directory.init([2]uint64{s.random.Uint64(), s.random.Uint64()})
	}
	binary.LittleEndian.PutUint64(s.secret[:], s.random.Uint64())
	binary.LittleEndian.PutUint64(s.secret[8:], s.random.Uint64())
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
	for i, sh := range s.shards {
		sh.ids.key, sh.ids.step, sh.ids.shard = ids, uint16(len(s.shards)), uint16(i)
	}
	for range 2 { // nobody has a cookie of the keys before
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
	if s.iface != nil {
		errs = append(errs, s.iface.Close())
	}
	return errors.Join(errs...)
}

// Address returns the stack's address and its network's prefix length.
func (s *Stack) Address() netip.Prefix { return s.address }

// Addresses returns the stack's addresses beside that, as few ranges as possible.
func (s *Stack) Addresses() []AddrRange { return s.others.Ranges() }

// HardwareAddr returns the Ethernet address of the stack's interface.
func (s *Stack) HardwareAddr() [6]byte { return s.shards[0].hw }

// MTU returns the largest IP packet in bytes.
func (s *Stack) MTU() int { return s.shards[0].mtu }

// Shards returns the number of shards.
func (s *Stack) Shards() int { return len(s.shards) }

// Shard returns a shard, for those who call Step themselves.
func (s *Stack) Shard(i int) *Shard { return s.shards[i] }

// owns reports whether an address is one of the stack's.
func (s *Stack) owns(ip ipv4.Addr) bool { return ip == s.local || s.others.Has(ip) }

// isBroadcast reports whether an address is the network's own or its broadcast address (RFC 1122 section 3.2.1.3).
func (s *Stack) isBroadcast(ip ipv4.Addr) bool {
	a := ip.Uint32()
	return s.subnet && a&s.mask == s.network && (a == s.network || a == s.network|^s.mask)
}

// route returns the next hop for an address.
func (s *Stack) route(dst ipv4.Addr) (hop ipv4.Addr, ok bool) {
	if dst.Uint32()&s.mask == s.network {
		return dst, true
	}
	return s.gateway, s.hasGW
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
	s.wheel = wheel.New(connBlock, clock.Time(0))
	s.timeWait = tcp.NewTimeWaitTable(s.core, s.cfg.MaxTimeWait)
	s.reporter = ipv4.NewReporter(ipv4.ReporterConfig{Subnet: s.stack.address, Seed: s.stack.random.Uint64()})
	if s.reasm, err = ipv4.NewReassembler(ipv4.ReassemblerConfig{}); err != nil {
		return err
	}
	if s.neigh, err = ethernet.NewNeighbours(s.pool, ethernet.NeighboursConfig{
		MAC: s.hw, IP: s.local, Others: *s.others, Gateway: s.stack.gateway,
		Seed: s.stack.random.Uint64(),
	}); err != nil {
		return err
	}
	return nil
}
