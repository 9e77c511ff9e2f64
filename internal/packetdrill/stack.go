package packetdrill

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/pkt"
	"github.com/xdpstack/xdpstack/internal/sock"
	"github.com/xdpstack/xdpstack/ipv4"
)

// receiveTimeout is how long Receive waits for a packet by default.
const receiveTimeout = 15 * time.Second

// defaultLocal is packetdrill's default for the address of the stack.
const defaultLocal = "192.168.0.1"

// Stack is a host in real time. Any thread may use it.
type Stack struct {
	local   ipv4.Addr
	timeout time.Duration // of Receive

	mu     sync.Mutex // guards what follows
	change *sync.Cond // something happened that a call may wait for
	host   *sock.Host
	timer  *time.Timer // of the host's next deadline
	files  map[int]*file
	sent   []packet // by the stack, not taken by Receive yet
	ipID   uint16
	port   uint16 // the last ephemeral one
	closed bool
}

// packet is an IP packet with the time it was sent at.
type packet struct {
	bytes []byte
	at    time.Time
}

// New makes a host. The flags are name=value, separated by commas: local, the address, 192.168.0.1 by default; mtu; receive_timeout, after
// which Receive gives up, 15s by default; and the fields of tcp.Config in snake case, as internal/pkt has them:
// "local=192.0.2.1,min_rto=1s,no_sack".
func New(flags string) (*Stack, error) {
	cfg := sock.Config{}
	if _, err := rand.Read(cfg.Secret[:]); err != nil {
		return nil, err
	}
	s := &Stack{files: make(map[int]*file), port: firstEphemeral, timeout: receiveTimeout}
	s.change = sync.NewCond(&s.mu)
	local := defaultLocal
	for _, f := range strings.FieldsFunc(flags, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, text, _ := strings.Cut(f, "=")
		var err error
		switch name {
		case "local":
			local = text
		case "mtu":
			_, err = fmt.Sscan(text, &cfg.MTU)
		case "receive_timeout":
			s.timeout, err = time.ParseDuration(text)
		default:
			err = pkt.SetOption(&cfg.TCP, name, text)
		}
		if err != nil {
			return nil, fmt.Errorf("flag %s: %w", f, err)
		}
	}
	addr, err := netip.ParseAddr(local)
	if err != nil {
		return nil, err
	}
	var ok bool
	if s.local, ok = ipv4.AddrFrom(addr); !ok {
		return nil, fmt.Errorf("local address %v is not IPv4, the only version that is implemented", addr)
	}
	if s.host, err = sock.New(cfg); err != nil {
		return nil, err
	}
	s.host.Sent = s.output
	s.host.SetTime(clock.Now())
	s.timer = time.AfterFunc(time.Hour, s.expire)
	return s, nil
}

// Close ends everything.
func (s *Stack) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.timer.Stop()
	for _, f := range s.files {
		// The descriptors are not closed: the program has done that, and may have others by the same numbers.
		f.sock.Close()
	}
	clear(s.files)
	s.change.Broadcast()
	return s.host.Close()
}

// enter begins a call into the host: the caller unlocks by leave.
func (s *Stack) enter() {
	s.mu.Lock()
	s.host.SetTime(clock.Now())
}

// leave ends a call: whoever waits looks again, and the timer is set.
func (s *Stack) leave() {
	s.settled()
	s.mu.Unlock()
}

// settled tells everybody that something may have changed.
func (s *Stack) settled() {
	if s.closed {
		return
	}
	s.change.Broadcast()
	if d := s.host.Deadline(); d != clock.Never {
		s.timer.Reset(max(d.Sub(clock.Now()), 0))
	}
}

// expire runs the timers that are due.
func (s *Stack) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.host.SetTime(clock.Now())
	s.host.Expire()
	s.settled()
}

// wait calls try until it returns something else than EAGAIN, at most until the deadline; a zero deadline is never. With once, it
// tries just once.
func (s *Stack) wait(once bool, deadline time.Time, try func() (int, syscall.Errno)) (int, syscall.Errno) {
	s.enter()
	defer s.leave()
	var alarm *time.Timer
	for {
		if s.closed {
			return 0, syscall.EBADF
		}
		s.host.SetTime(clock.Now())
		n, e := try()
		if e != syscall.EAGAIN || once {
			return n, e
		}
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return n, e
			}
			if alarm == nil {
				alarm = time.AfterFunc(left, func() { s.mu.Lock(); s.change.Broadcast(); s.mu.Unlock() })
				defer alarm.Stop()
			}
		}
		s.settledBeforeWait()
	}
}

// settledBeforeWait sets the timer for what the try has begun, and waits for a change.
func (s *Stack) settledBeforeWait() {
	if d := s.host.Deadline(); d != clock.Never {
		s.timer.Reset(max(d.Sub(clock.Now()), 0))
	}
	s.change.Wait()
}
