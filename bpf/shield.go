package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ShieldMode says when the program answers SYNs itself, with SYN cookies, and lets only those segments come to the stack that belong to a
// flow of its or bring a cookie back.
type ShieldMode uint8

// The modes, enum shield_mode of xdp_steer.h.
const (
	ShieldOff    ShieldMode = iota
	ShieldAuto              // on queues that are under pressure
	ShieldAlways            // whatever comes
)

var shieldNames = [...]string{ShieldOff: "off", ShieldAuto: "auto", ShieldAlways: "always"}

// String returns the mode's name.
func (m ShieldMode) String() string {
	if int(m) < len(shieldNames) {
		return shieldNames[m]
	}
	return fmt.Sprintf("ShieldMode(%d)", uint8(m))
}

// MarshalText returns the mode's name.
func (m ShieldMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText takes "off", "auto" or "always".
func (m *ShieldMode) UnmarshalText(text []byte) error {
	i := slices.Index(shieldNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("bpf: no shield mode %q: there are off, auto, always", text)
	}
	*m = ShieldMode(i)
	return nil
}

// Bounds of the memory in which flows are marked. Four bytes to a flow let one in five strange segments pass when the stack has all the
// flows that it may have, and one in 400 when it has a hundredth of them.
const (
	markBytesPerFlow = 4
	marksPerRegion   = 1 << 7 // REGION_SHIFT
	minMarkBytes     = 1 << 16
	maxMarkBytes     = 1 << 24
)

// What xdp_shield.h and xdp_steer.h have, too.
const (
	shieldReturns  = 1 << 14 // RETURNS
	shieldNoWScale = 15      // COOKIE_NO_WSCALE
	shieldDrain    = 20      // PRESSURE_DRAIN
	shieldLeave    = 64      // PRESSURE_LEAVE

	offerTimestamps = 1 << 0 // enum offer_flags
	offerSACK       = 1 << 1
	offerECN        = 1 << 2
	offerECT0       = 1 << 3
)

// Shield is the stack's side of the defence: memory that it shares with the program.
type Shield struct {
	state          *steerShieldState
	queues         []ShieldQueue
	marks, regions []uint32
	offers         *ebpf.Map
	mapped         [][]byte
}

// ShieldSetup is what the program must know of the stack to answer in its place.
type ShieldSetup struct {
	Secret  [16]byte     // that cookies derive from
	Clock   int64        // ns, what is added to CLOCK_MONOTONIC for the stack's time
	MAC     [6]byte      // the interface's
	Network netip.Prefix // the stack's: no host has its first and its last address
	TTL     uint8
	TOS     uint8
}

// ShieldOffer is what the SYN-ACKs of a port offer.
type ShieldOffer struct {
	Window     uint16
	MSS        uint16
	WScale     int8 // -1: no window scaling
	SACK       bool
	Timestamps bool // without them a cookie holds no other option
	ECN        bool
	ECT0       bool // a SYN-ACK that agrees to ECN is ECN-capable itself
}

// ShieldQueue is what the stack and the program tell each other about a queue. One goroutine at a time may call SetFull.
type ShieldQueue steerShieldQueue

// setShield sizes what the shield needs in a program that is to be loaded. Without, it is as small as can be.
func setShield(spec *ebpf.CollectionSpec, cfg *Config) error {
	if cfg.ShieldFlows == 0 {
		return nil
	}
	marks := min(max(1<<bits.Len(uint(cfg.ShieldFlows)*markBytesPerFlow-1), minMarkBytes), maxMarkBytes)
	for _, name := range []string{steerMapShieldStates, steerMapShieldQueues, steerMapFlowMarks, steerMapFlowRegions} {
		spec.Maps[name].Flags |= unix.BPF_F_MMAPABLE
	}
	spec.Maps[steerMapShieldQueues].MaxEntries = uint32(cfg.Queues)
	spec.Maps[steerMapFlowMarks].ValueSize = uint32(marks)
	spec.Maps[steerMapFlowRegions].ValueSize = uint32(marks / marksPerRegion * 4)
	spec.Maps[steerMapShieldReturns].MaxEntries = shieldReturns
	spec.Maps[steerMapShieldOffers].MaxEntries = uint32(cfg.MaxPorts)
	return errors.Join(spec.Variables[steerVarShield].Set(true), spec.Variables[steerVarMarksMask].Set(uint32(marks-1)))
}

// openShield maps what the stack and the program share.
func openShield(o *steerMaps) (*Shield, error) {
	s := &Shield{offers: o.ShieldOffers}
	memory := func(m *ebpf.Map) []byte {
		page := unix.Getpagesize()
		size := (int(m.ValueSize()*m.MaxEntries()) + page - 1) / page * page
		b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return nil
		}
		s.mapped = append(s.mapped, b)
		return b
	}
	state, queues, marks, regions := memory(o.ShieldStates), memory(o.ShieldQueues), memory(o.FlowMarks), memory(o.FlowRegions)
	if state == nil || queues == nil || marks == nil || regions == nil {
		s.close()
		return nil, errors.New("bpf: the memory that the shield shares with the program cannot be mapped: Linux 5.5 or later has that")
	}
	s.state = (*steerShieldState)(unsafe.Pointer(&state[0]))
	s.queues = unsafe.Slice((*ShieldQueue)(unsafe.Pointer(&queues[0])), o.ShieldQueues.MaxEntries())
	s.marks = unsafe.Slice((*uint32)(unsafe.Pointer(&marks[0])), o.FlowMarks.ValueSize()/4)
	s.regions = unsafe.Slice((*uint32)(unsafe.Pointer(&regions[0])), o.FlowRegions.ValueSize()/4)
	return s, nil
}

func (s *Shield) close() {
	for _, b := range s.mapped {
		_ = unix.Munmap(b)
	}
	s.mapped = nil
}

// Shield returns the stack's side of the defence, nil if the program was loaded without (Config.ShieldFlows). It ends with the program:
// nothing of it may be used after Close.
func (p *Program) Shield() *Shield { return p.shield }

// Setup tells the program of the stack. The mode is what it was: off, until SetMode is called for the first time.
func (s *Shield) Setup(c ShieldSetup) {
	st := s.state
	st.Key0, st.Key1 = binary.LittleEndian.Uint64(c.Secret[:]), binary.LittleEndian.Uint64(c.Secret[8:])
	st.Clock, st.Ttl, st.Tos, st.Mac = c.Clock, c.TTL, c.TOS, c.MAC
	st.Network, st.Broadcast = 0, 0
	if n := c.Network; n.IsValid() && n.Bits() < 31 {
		first := n.Masked().Addr().As4()
		last := binary.BigEndian.Uint32(first[:]) | ^uint32(0)>>n.Bits()
		st.Network = binary.NativeEndian.Uint32(first[:])
		binary.BigEndian.PutUint32(first[:], last)
		st.Broadcast = binary.NativeEndian.Uint32(first[:])
	}
}

// Secret returns what Setup said that cookies derive from, 0 before. Who adopts the program goes on with it.
func (s *Shield) Secret() (secret [16]byte) {
	binary.LittleEndian.PutUint64(secret[:], s.state.Key0)
	binary.LittleEndian.PutUint64(secret[8:], s.state.Key1)
	return secret
}

// SetMode says when the program answers SYNs from now on.
func (s *Shield) SetMode(m ShieldMode) { atomic.StoreUint32(&s.state.Mode, uint32(m)) }

// Mode returns what SetMode said last.
func (s *Shield) Mode() ShieldMode { return ShieldMode(atomic.LoadUint32(&s.state.Mode)) }

// Cookies returns the stack's time when the program sent a cookie last, to a millisecond; 0: it has sent none.
func (s *Shield) Cookies() int64 { return int64(atomic.LoadUint64(&s.state.Cookies)) }

// Marks returns the memory in which the stack marks its flows, and that in which it counts them by regions: see tcp.FlowMarks.
func (s *Shield) Marks() (marks, regions []uint32) { return s.marks, s.regions }

// Queue returns what is shared about a queue.
func (s *Shield) Queue(i int) *ShieldQueue { return &s.queues[i] }

// Listen has the program answer for a port of an address, or of all of the stack's addresses if a is the zero Addr. Saying it again
// changes the offer.
func (s *Shield) Listen(a netip.Addr, port uint16, o ShieldOffer) error {
	value := steerShieldOffer{Wscale: shieldNoWScale}
	value.Window, value.Mss = networkOrder(o.Window), networkOrder(o.MSS)
	if o.WScale >= 0 {
		value.Wscale = uint8(o.WScale)
	}
	for _, f := range []struct {
		set  bool
		flag uint8
	}{
		{o.Timestamps, offerTimestamps}, {o.SACK, offerSACK}, {o.ECN, offerECN}, {o.ECT0, offerECT0},
	} {
		if f.set {
			value.Flags |= f.flag
		}
	}
	if err := s.offers.Put(shieldEndpoint(a, port), value); err != nil {
		if errors.Is(err, unix.E2BIG) {
			err = fmt.Errorf("%w: the program was loaded with MaxPorts %d", ErrTableFull, s.offers.MaxEntries())
		}
		return fmt.Errorf("bpf: have the shield answer for port %d: %w", port, err)
	}
	return nil
}

// Unlisten undoes Listen. Of a port that nobody listens on it does nothing.
func (s *Shield) Unlisten(a netip.Addr, port uint16) error {
	if err := s.offers.Delete(shieldEndpoint(a, port)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("bpf: have the shield answer no more for port %d: %w", port, err)
	}
	return nil
}

// Retain has the program answer no more for what keep does not want: so who has taken over the program takes away ports that only the
// process before had. a is as in Listen.
func (s *Shield) Retain(keep func(a netip.Addr, port uint16) bool) error {
	var e steerShieldEndpoint
	var value steerShieldOffer
	var gone []steerShieldEndpoint
	each := s.offers.Iterate()
	for each.Next(&e, &value) {
		a, port := e.endpoint()
		if !keep(a, port) {
			gone = append(gone, e)
		}
	}
	err := each.Err()
	for _, e := range gone {
		a, port := e.endpoint()
		err = errors.Join(err, s.Unlisten(a, port))
	}
	if err != nil {
		return fmt.Errorf("bpf: ports that the shield answers for: %w", err)
	}
	return nil
}

func (e *steerShieldEndpoint) endpoint() (a netip.Addr, port uint16) {
	var b [4]byte
	if binary.NativeEndian.PutUint32(b[:], e.Address); e.Address != 0 {
		a = netip.AddrFrom4(b)
	}
	binary.NativeEndian.PutUint16(b[:2], e.Port)
	return a, binary.BigEndian.Uint16(b[:2])
}

func shieldEndpoint(a netip.Addr, port uint16) (e steerShieldEndpoint) {
	if a.IsValid() {
		b := a.As4()
		e.Address = binary.NativeEndian.Uint32(b[:])
	}
	e.Port = networkOrder(port)
	return e
}

// networkOrder returns the number whose bytes in memory are v's in network order.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// AddOpened counts a handshake that was completed. Two processes may, while one takes over from the other.
func (q *ShieldQueue) AddOpened() { atomic.AddUint64(&q.Opened, 1) }

// SetFull says whether the half-open records of the queue's shard are nearly used up.
func (q *ShieldQueue) SetFull(full bool) {
	v := uint32(0)
	if full {
		v = 1
	}
	if q.Full != v {
		atomic.StoreUint32(&q.Full, v)
	}
}

// Pressure reports whether the program answers the queue's SYNs with cookies in mode ShieldAuto, and how many that led to nothing it has
// counted lately, at a time of the stack's, in ns.
func (q *ShieldQueue) Pressure(now int64) (pressed bool, level int) {
	level = int(atomic.LoadUint32(&q.Level))
	drained := (uint64(now) - atomic.LoadUint64(&q.Drained)) >> shieldDrain
	level -= min(level, int(min(drained, 1<<30)))
	return atomic.LoadUint32(&q.Pressed) != 0 && (level > shieldLeave || atomic.LoadUint32(&q.Full) != 0), level
}
