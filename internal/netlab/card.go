package netlab

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrCard is what New gives, wrapped, where a card cannot be what Config asks for.
var ErrCard = errors.New("the card cannot be so")

// carrierPatience is how long an interface may take to get its link: an igb needs two seconds after it was brought up, and half a
// second after an XDP program was attached.
const carrierPatience = 15 * time.Second

// card is how an interface was before it became a side of a lab.
type card struct {
	mtu      int
	channels ethtool.Channels // zero: not looked at
	ring     uint32           // slots for received packets; 0: not changed
	features map[string]bool
}

// remember keeps the first state seen of a feature. It does nothing for a veth end.
func (c *card) remember(feature string, on bool) {
	if c == nil {
		return
	}
	if _, seen := c.features[feature]; !seen {
		c.features[feature] = on
	}
}

// takeCards moves the given interfaces into the sides' namespaces.
func (l *Lab) takeCards(cfg *Config) (err error) {
	if l.origin, err = netns.Get(); err != nil {
		return fmt.Errorf("netlab: network namespace of the cards: %w", err)
	}
	for i, s := range []*Side{l.Stack, l.Kernel} {
		if err := s.takeCard(cfg, cfg.Cards[i]); err != nil {
			return err
		}
	}
	// The kernel's side is to take what comes: a card of an emulator gets whole bursts before its driver runs.
	return l.Kernel.setRing(math.MaxUint32)
}

func (s *Side) takeCard(cfg *Config, name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("netlab: card %s: %w: is another lab using it?", name, err)
	}
	if err := netlink.LinkSetNsFd(link, int(s.ns)); err != nil {
		return fmt.Errorf("netlab: move card %s into %s: %w", name, s.Namespace, err)
	}
	s.Interface = name
	s.card = &card{mtu: link.Attrs().MTU, features: make(map[string]bool)}
	if err := s.setQueues(uint32(cfg.Queues)); err != nil {
		return err
	}
	return s.setMTU(cfg.MTU)
}

func (s *Side) setMTU(mtu int) error {
	return s.Do(func() error {
		link, err := netlink.LinkByName(s.Interface)
		if err != nil {
			return fmt.Errorf("netlab: find %s: %w", s.Interface, err)
		}
		if link.Attrs().MTU == mtu {
			return nil
		}
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("netlab: MTU %d of %s: %w: %w", mtu, s.Interface, ErrCard, err)
		}
		return nil
	})
}

// setQueues sets the number of queues.
func (s *Side) setQueues(n uint32) error {
	return s.withChannels(func(tool *ethtool.Ethtool, now ethtool.Channels) error {
		want, most := now, now.MaxCombined
		if most > 0 {
			want.CombinedCount = n
		} else { // receive and transmit queues of their own
			want.RxCount, want.TxCount, most = n, n, min(now.MaxRx, now.MaxTx)
		}
		if n > most {
			return fmt.Errorf("netlab: %d queues of %s, which has at most %d: %w", n, s.Interface, most, ErrCard)
		}
		s.card.channels = now
		return s.setChannels(tool, now, want)
	})
}

// setRing sets how many received packets the card holds, or as many as it can. Not every driver has such a setting.
func (s *Side) setRing(slots uint32) error {
	return s.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("netlab: ethtool: %w", err)
		}
		defer tool.Close()
		ring, err := tool.GetRing(s.Interface)
		slots = min(slots, ring.RxMaxPending)
		if err != nil || slots == 0 || slots == ring.RxPending {
			return nil
		}
		if s.card.ring == 0 {
			s.card.ring = ring.RxPending
		}
		ring.RxPending = slots
		if _, err := tool.SetRing(s.Interface, ring); err != nil {
			return fmt.Errorf("netlab: ring of %s: %d slots: %w", s.Interface, slots, err)
		}
		return nil
	})
}

func (s *Side) setChannels(tool *ethtool.Ethtool, now, want ethtool.Channels) error {
	if now == want {
		return nil
	}
	if _, err := tool.SetChannels(s.Interface, want); err != nil {
		return fmt.Errorf("netlab: queues of %s: set %+v: %w", s.Interface, want, err)
	}
	return nil
}

// withChannels calls f with the interface's channels as they are.
func (s *Side) withChannels(f func(*ethtool.Ethtool, ethtool.Channels) error) error {
	return s.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("netlab: ethtool: %w", err)
		}
		defer tool.Close()
		now, err := tool.GetChannels(s.Interface)
		if errors.Is(err, unix.EOPNOTSUPP) {
			now, err = ethtool.Channels{MaxCombined: 1, CombinedCount: 1}, nil // a driver that cannot tell has one queue
		}
		if err != nil {
			return fmt.Errorf("netlab: queues of %s: %w", s.Interface, err)
		}
		return f(tool, now)
	})
}

// handBack gives the card back as it was, but down.
func (s *Side) handBack(origin netns.NsHandle) error {
	err := errors.Join(s.SetDown(), s.restoreQueues(), s.setRing(s.card.ring), s.setMTU(s.card.mtu), s.restoreFeatures())
	return errors.Join(err, s.Do(func() error {
		link, err := netlink.LinkByName(s.Interface)
		if err == nil {
			err = netlink.LinkSetNsFd(link, int(origin))
		}
		if err != nil {
			return fmt.Errorf("netlab: hand back card %s: %w", s.Interface, err)
		}
		return nil
	}))
}

func (s *Side) restoreQueues() error {
	if s.card.channels == (ethtool.Channels{}) {
		return nil
	}
	return s.withChannels(func(tool *ethtool.Ethtool, now ethtool.Channels) error {
		return s.setChannels(tool, now, s.card.channels)
	})
}

func (s *Side) restoreFeatures() error {
	names := map[bool][]string{}
	for name, on := range s.card.features {
		names[on] = append(names[on], name)
	}
	return errors.Join(s.setFeatures(names[true], true), s.setFeatures(names[false], false))
}

// WaitCarrier returns when both sides have their link and may send. A card can lose its link for a while when an XDP program comes
// or goes.
func (l *Lab) WaitCarrier() error {
	for _, s := range l.sides() {
		if err := s.WaitCarrier(); err != nil {
			return err
		}
	}
	return nil
}

// WaitCarrier returns when the side's interface has its link and may send.
func (s *Side) WaitCarrier() error {
	const want = unix.IFF_RUNNING | unix.IFF_LOWER_UP
	return s.Do(func() error {
		for end := time.Now().Add(carrierPatience); ; time.Sleep(5 * time.Millisecond) {
			link, err := netlink.LinkByName(s.Interface)
			if err != nil {
				return fmt.Errorf("netlab: find %s: %w", s.Interface, err)
			}
			if link.Attrs().RawFlags&want == want {
				return nil
			}
			if time.Now().After(end) {
				return fmt.Errorf("netlab: %s has no carrier after %v", s.Interface, carrierPatience)
			}
		}
	})
}
