package stack

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
)

// LinkEvent is something that happened to the stack's interface. What each means for its traffic, docs/tuning.md has.
type LinkEvent struct {
	Kind      LinkEventKind
	Interface string
	From, To  afxdp.Link    // before and after
	Lasted    time.Duration // of LinkUp: how long the link was down
	Shards    int
	MTU       int            // that the stack was opened with
	Addresses []netip.Prefix // of LinkAddresses: that the kernel has now
	Err       error          // of LinkAddresses: why not all of them can be used; nil: they can
	Shared    bool           // the stack has the kernel's addresses
}

// LinkEventKind tells events apart.
type LinkEventKind uint8

const (
	LinkDown      LinkEventKind = iota // no packets come or go: the interface is down, or has no carrier
	LinkUp                             // they do again
	LinkMTU                            // the MTU has changed
	LinkQueues                         // the number of queues has changed
	LinkAddress                        // the Ethernet address has changed
	LinkGone                           // the interface was removed: the stack is of no use any more
	LinkAddresses                      // of a Shared stack: the kernel's addresses have changed
)

// LinkStats count what happened to the interface.
type LinkStats struct {
	Downs          uint64 `help:"times that the link was lost: the interface was taken down, or had no carrier"`
	DownTime       uint64 `help:"milliseconds that this lasted, those that are over"`
	MTUChanges     uint64 `help:"changes of the interface's MTU"`
	QueueChanges   uint64 `help:"changes of its number of queues"`
	AddressChanges uint64 `help:"changes of its Ethernet address"`
	Unserved       uint64 `help:"queues of it that have no shard: what comes to them goes to the kernel" kind:"gauge"`
	Down           uint64 `help:"1 while the link is down or has no carrier, else 0" kind:"gauge"`
}

// link is what a stack knows of its interface's fate.
type link struct {
	mu    sync.Mutex
	stats LinkStats
	lost  time.Time // when the link went down; zero: it works

	telling sync.Mutex // an event

	failed chan struct{} // closed when the interface is gone
	err    error         // why, set before
}

// String says what happened, and what to do about it if that is anything.
func (e LinkEvent) String() string {
	switch e.Kind {
	case LinkDown:
		if e.To.Up {
			return "the link has no carrier: connections wait for it"
		}
		return "the interface is down: connections wait until it is up, with: ip link set " + e.Interface + " up"
	case LinkUp:
		return fmt.Sprintf("the link works again, after %v", e.Lasted.Round(time.Millisecond))
	case LinkAddresses:
		switch {
		case e.Err != nil:
			return fmt.Sprintf("the kernel's addresses are %v, and not all can be used: %v", e.Addresses, e.Err)
		case len(e.Addresses) == 0:
			return "the kernel has no IPv4 address any more: connections wait until they have theirs again"
		}
		return fmt.Sprintf("the kernel's addresses are %v", e.Addresses)
	case LinkMTU:
		if e.Shared {
			return fmt.Sprintf("the MTU is %d: the stack goes along, up to %d", e.To.MTU, e.MTU)
		}
		if e.To.MTU < e.MTU {
			return fmt.Sprintf("the MTU is %d, and the stack sends packets of up to %d bytes: open it again, or change it back",
				e.To.MTU, e.MTU)
		}
		return fmt.Sprintf("the MTU is %d; the stack goes on with %d", e.To.MTU, e.MTU)
	case LinkQueues:
		if e.To.Queues > e.Shards {
			return fmt.Sprintf("there are %d queues, and %d of them have a shard: the kernel gets what comes to the others; open the "+
				"stack again, or: ethtool -L %s combined %d", e.To.Queues, e.Shards, e.Interface, e.Shards)
		}
		return fmt.Sprintf("there are %d queues", e.To.Queues)
	case LinkAddress:
		return fmt.Sprintf("the Ethernet address is %v, and the stack has %v: open it again, or change it back",
			net.HardwareAddr(e.To.MAC[:]), net.HardwareAddr(e.From.MAC[:]))
	case LinkGone:
		if e.To.Moved {
			return "the interface was moved to another network namespace: open the stack there"
		}
		return "the interface was removed: open the stack again when it is back"
	}
	return fmt.Sprintf("event %d", e.Kind)
}

// Link returns the counters of what happened to the interface.
func (s *Stack) Link() LinkStats {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	stats := s.link.stats
	if !s.link.lost.IsZero() {
		stats.Down = 1
	}
	return stats
}

// Gone returns a channel that is closed when the interface is gone, and with it the stack's connections and listeners: their calls and
// later ones give the error that Err returns, which matches [afxdp.ErrGone] and [net.ErrClosed]. Nothing is left to do but Close.
func (s *Stack) Gone() <-chan struct{} { return s.link.failed }

// Err returns why the stack is of no use any more: its interface is gone. It is nil as long as that is there.
func (s *Stack) Err() error {
	select {
	case <-s.link.failed:
		return s.link.err
	default:
		return nil
	}
}

// linkPatience is how long Open waits for a link that the attaching of the program has interrupted. Drivers take their link down for that,
// igb for half a second, and what is sent meanwhile is lost.
const linkPatience = 5 * time.Second

// followLink begins to follow the interface. A link that was there when it was opened is waited for.
func (s *Stack) followLink(iface *afxdp.Interface) error {
	had := iface.Info().Carrier
	if !had {
		s.link.lost = time.Now()
	}
	if err := iface.Follow(s.linkChanged); err != nil {
		return err
	}
	if had {
		s.waitLink()
	}
	return nil
}

// waitLink waits for a link that was there when the interface was opened.
func (s *Stack) waitLink() {
	for end := time.Now().Add(linkPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		s.link.mu.Lock()
		works := s.link.lost.IsZero()
		s.link.mu.Unlock()
		if works || s.Err() != nil {
			return
		}
	}
}

// linkChanged is told of every change of the interface, one after the other, on a goroutine that is no shard's.
func (s *Stack) linkChanged(from, to afxdp.Link) {
	for _, e := range s.countLink(from, to, time.Now()) {
		switch e.Kind {
		case LinkUp:
			if s.shared == nil {
				s.shards[0].call(func(sh *Shard) { sh.neigh.Announce(sh.now) }) // The switch may have another port for the address now.
			}
			for _, sh := range s.shards {
				sh.call((*Shard).linkUp)
			}
		case LinkGone:
			s.fail(e)
		}
		s.tellLink(e)
	}
}

// tellLink tells the application of an event, one at a time.
func (s *Stack) tellLink(e LinkEvent) {
	if s.cfg.LinkEvent != nil {
		s.link.telling.Lock()
		defer s.link.telling.Unlock()
		s.cfg.LinkEvent(e)
	}
}

// countLink returns what has happened.
func (s *Stack) countLink(from, to afxdp.Link, now time.Time) []LinkEvent {
	l := &s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []LinkEvent
	add := func(k LinkEventKind) {
		events = append(events, LinkEvent{
			Kind: k, Interface: s.cfg.Interface, From: from, To: to, Shards: len(s.shards), MTU: s.MTU(), Shared: s.shared != nil,
		})
	}
	if to.Gone {
		add(LinkGone)
		return events
	}
	if from.MTU != to.MTU {
		l.stats.MTUChanges++
		add(LinkMTU)
	}
	if from.Queues != to.Queues {
		l.stats.QueueChanges++
		l.stats.Unserved = uint64(max(to.Queues-len(s.shards), 0))
		add(LinkQueues)
	}
	if from.MAC != to.MAC {
		l.stats.AddressChanges++
		add(LinkAddress)
	}
	switch works := to.Works(); {
	case !works && l.lost.IsZero():
		l.stats.Downs++
		l.lost = now
		add(LinkDown)
	case works && !l.lost.IsZero():
		add(LinkUp)
		events[len(events)-1].Lasted = now.Sub(l.lost)
		l.stats.DownTime += uint64(now.Sub(l.lost) / time.Millisecond)
		l.lost = time.Time{}
	}
	return events
}

// fail ends everything that needs the interface. The stack itself is open until Close.
func (s *Stack) fail(e LinkEvent) {
	s.goneOnce.Do(func() {
		s.link.err = fmt.Errorf("stack: %s: %v (%w: %w)", e.Interface, e, afxdp.ErrGone, net.ErrClosed)
		close(s.link.failed)
		for _, sh := range s.shards {
			sh.call(func(sh *Shard) { sh.fail(s.link.err) })
		}
	})
}

// fail ends all connections: no packet will come or go.
func (s *Shard) fail(err error) {
	for id := range uint32(s.conns.size()) {
		if c := s.conns.at(id); c.is(connOpen) {
			s.destroy(c, err)
		}
	}
}

// linkUp has the connections send at once what they would send again later.
func (s *Shard) linkUp() {
	for id := range uint32(s.conns.size()) {
		if c := s.conns.at(id); c.is(connOpen) && c.tcp.LinkUp(s.now) {
			s.wheel.Set(c.id, c.timer())
		}
	}
}
