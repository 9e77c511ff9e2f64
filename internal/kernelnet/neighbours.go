package kernelnet

import (
	"errors"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbour is what the kernel says about the host of an address.
type Neighbour struct {
	IP    [4]byte
	MAC   [6]byte
	Known bool // false: the kernel has nobody there any more
}

// entry is a neighbour as the kernel has it.
type entry struct {
	mac   [6]byte
	state int // netlink's NUD_…
}

const (
	// usable are the states in which the kernel would send to a neighbour.
	usable = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
	// settled are those in which there is nothing to be verified.
	settled = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE
)

// Bounds of what is asked.
const (
	askQueue  = 1024             // addresses that wait to be asked for
	maxAsked  = 1 << 16          // addresses that are remembered, in each of two sets
	askedTime = 10 * time.Minute // how long one is, at least: users ask again for what they use each half minute
)

// Ask asks for a neighbour: Config.Told is called with it, at once if the kernel has it, else when it has. From then on it is
// called when the neighbour changes. It reports false if too many questions wait; any goroutine may call it, and it does not
// block.
func (f *Follower) Ask(ip [4]byte) bool {
	select {
	case f.asks <- ip:
		return true
	default:
		f.stats.asksDropped.Add(1)
		return false
	}
}

// ask handles a question.
func (f *Follower) ask(ip [4]byte) {
	f.remember(ip)
	e := f.known[ip]
	if e.state&usable != 0 {
		f.cfg.Told(Neighbour{IP: ip, MAC: e.mac, Known: true})
	}
	if e.state&settled != 0 {
		return
	}
	// As if the kernel had sent a packet there: it resolves what it does not know, and verifies what is stale.
	f.stats.uses.Add(1)
	a := netip.AddrFrom4(ip)
	err := f.kernel.NeighSet(&netlink.Neigh{
		LinkIndex: f.index, Family: netlink.FAMILY_V4, IP: a.AsSlice(), State: netlink.NUD_NONE, Flags: netlink.NTF_USE,
	})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) { // privileges were dropped
		err = f.nudge(ip)
	}
	if err != nil {
		f.stats.useErrors.Add(1) // The interface is down, or the kernel's table full. Who asks will ask again.
	}
}

// discardPort is where a datagram does no harm (RFC 863).
const discardPort = 9

// nudge has the kernel do the same without a privilege: it sends a packet there, an empty datagram.
func (f *Follower) nudge(ip [4]byte) error {
	return unix.Sendto(f.datagrams, nil, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Port: discardPort, Addr: ip})
}

// openDatagrams opens the socket for that, which sends out of the interface only.
func (f *Follower) openDatagrams() (err error) {
	f.datagrams, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.BindToDevice(f.datagrams, f.cfg.Interface)
	}
	return err
}

// remember notes that somebody wants to be told about an address.
func (f *Follower) remember(ip [4]byte) {
	if now := time.Now(); len(f.asked[0]) >= maxAsked || now.After(f.forget) {
		f.asked[0], f.asked[1] = make(map[[4]byte]struct{}), f.asked[0]
		f.forget = now.Add(askedTime)
	}
	f.asked[0][ip] = struct{}{}
}

func (f *Follower) wanted(ip [4]byte) bool {
	if _, ok := f.asked[0][ip]; ok {
		return true
	}
	_, ok := f.asked[1][ip]
	return ok
}

// neighbour takes what the kernel says about a neighbour.
func (f *Follower) neighbour(n *netlink.Neigh, deleted bool) {
	ip, ok := netip.AddrFromSlice(n.IP.To4())
	if !ok || n.LinkIndex != f.index || n.Flags&netlink.NTF_PROXY != 0 {
		return
	}
	key := ip.As4()
	e := entry{state: n.State}
	if len(n.HardwareAddr) == len(e.mac) {
		copy(e.mac[:], n.HardwareAddr)
	}
	if deleted || e.state&usable == 0 || e.mac == [6]byte{} {
		f.gone(key)
		return
	}
	old, had := f.known[key]
	f.known[key] = e
	if (!had || old.mac != e.mac) && f.wanted(key) {
		f.cfg.Told(Neighbour{IP: key, MAC: e.mac, Known: true})
	}
}

// gone notes that the kernel would not send to a neighbour any more.
func (f *Follower) gone(ip [4]byte) {
	if _, had := f.known[ip]; !had {
		return
	}
	delete(f.known, ip)
	if f.wanted(ip) {
		f.cfg.Told(Neighbour{IP: ip})
	}
}
