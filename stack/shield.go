package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// The shield is the steering program's defence against floods of SYNs. The stack and the program share memory, so that neither calls the
// other:
//
//	            stack                                             program
//	each flow that there is, in tcp.FlowMarks ──────────────► what has no mark is strange
//	handshakes completed, half-open records used up ────────► pressure
//	what each listener offers ──────────────────────────────► SYN-ACKs with cookies
//	cookies that come back may be valid   ◄────────────────── when the last one was sent
//
// A cookie itself needs no telling: both make it from the same secret and the same clock.
//
// Two processes share that memory while one takes over from the other. Marks are counted, each process takes away its own, and a place
// counts those of both. All else is told by the one that has the interface (Stack.elsewhere).

// ErrNoShield is what SetShield returns on a stack that was opened without a shield.
var ErrNoShield = errors.New("stack: no shield was loaded with the XDP program: open the stack with Config.Shield")

// setUpShield tells the program what it must know of the stack. A program that was taken over has the secret already: the cookies that
// are out stay good.
func (s *Stack) setUpShield() {
	if s.shield == nil {
		return
	}
	if had := s.shield.Secret(); had != [16]byte{} {
		s.secret = had
	}
}

// startShield has the program begin.
func (s *Stack) startShield() {
	if s.shield == nil {
		return
	}
	s.shield.Setup(bpf.ShieldSetup{
		Secret: s.secret, MAC: s.shards[0].hw, Network: s.Address(), TTL: s.cfg.TTL, TOS: s.cfg.TOS,
	})
	s.shield.SetMode(s.cfg.Shield)
}

// SetShield says when the XDP program answers SYNs from now on. The stack must have been opened with a shield.
func (s *Stack) SetShield(m bpf.ShieldMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.elsewhere.Load():
		return fmt.Errorf("%w: another process has the shield", ErrHandover)
	case m > bpf.ShieldAlways:
		return fmt.Errorf("%w: no shield mode %v", ErrConfig, m)
	case s.shield == nil && m != bpf.ShieldOff:
		return ErrNoShield
	case s.shield != nil:
		s.shield.SetMode(m)
	}
	return nil
}

// Shield returns when the XDP program answers SYNs.
func (s *Stack) Shield() bpf.ShieldMode {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.shield == nil {
		return bpf.ShieldOff
	}
	return s.shield.Mode()
}

// initShield gives a shard its part of the shield. Its connections are found by the hash that their marks have: it is computed anyway.
func (s *Shard) initShield(dev Device) {
	shield := s.stack.shield
	if shield == nil {
		return
	}
	secret := &s.stack.secret
	s.hashKey = [2]uint64{binary.LittleEndian.Uint64(secret[:]), binary.LittleEndian.Uint64(secret[8:])}
	s.marks = tcp.NewFlowMarks(shield.Marks())
	if q, ok := dev.(interface{ Index() int }); ok {
		s.shieldQueue = shield.Queue(q.Index())
	}
}

// shieldSettle tells the program of a process before what this one listens on.
func (s *Stack) shieldSettle() error {
	s.mu.Lock() // nobody listens meanwhile
	defer s.mu.Unlock()
	s.elsewhere.Store(false)
	if s.shield == nil {
		return nil
	}
	var all []*listener
	s.shards[len(s.shards)-1].call(func(sh *Shard) { all = append(all, sh.lnList...) })
	var err error
	for _, l := range all {
		err = errors.Join(err, s.shieldListen(l))
	}
	s.startShield()
	return err
}

// shieldRetain has the program answer no more for ports that only the process before had.
func (s *Stack) shieldRetain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shield == nil || s.closed || s.elsewhere.Load() {
		return
	}
	_ = s.shield.Retain(func(a netip.Addr, port uint16) bool { // what is left answers for a port that resets
		at := endpoint{port: port}
		if a.IsValid() {
			at.addr = a.As4()
		}
		return s.tcpPorts.has(at)
	})
}

// shieldListen has the program answer for a listener.
func (s *Stack) shieldListen(l *listener) error {
	if s.shield == nil || s.elsewhere.Load() {
		return nil
	}
	o, ok := l.tcp.Offer()
	if !ok {
		return nil
	}
	a, port := shieldAddr(l.at)
	return s.shield.Listen(a, port, bpf.ShieldOffer(o))
}

// shieldUnlisten has the program no longer answer for a port.
func (s *Stack) shieldUnlisten(at endpoint) {
	if s.shield == nil || s.elsewhere.Load() {
		return
	}
	a, port := shieldAddr(at)
	_ = s.shield.Unlisten(a, port) // it fails for what is not there only
}

// shieldAddr returns an endpoint as the program has it.
func shieldAddr(at endpoint) (a netip.Addr, port uint16) {
	if !at.all() {
		a = at.addr.Netip()
	}
	return a, at.port
}

// tellPressure tells the program whether half-open records are nearly used up.
func (s *Shard) tellPressure() {
	if s.stack.elsewhere.Load() {
		return
	}
	full := false
	for _, l := range s.lnList {
		full = full || l.tcp.Pressed()
	}
	s.shieldQueue.SetFull(full)
}

// noteCookies tells a listener when the program last sent a cookie, which may be what comes back.
func (s *Shard) noteCookies(l *listener) {
	if at := s.stack.shield.Cookies(); at != 0 {
		l.tcp.CookiesSent(clock.Time(at))
	}
}

// unmark takes away the marks of everything that ends with the shard: the program may go on without it.
func (s *Shard) unmark() {
	if s.marks == nil {
		return
	}
	s.timeWait.Unmark()
	for _, l := range s.lnList {
		l.tcp.Close()
	}
	if !s.stack.elsewhere.Load() {
		s.shieldQueue.SetFull(false)
	}
}
