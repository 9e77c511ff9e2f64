package netlab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Side is one end of a lab: a namespace with one interface.
type Side struct {
	Namespace string       // as "ip netns" lists it
	Interface string       // name of the veth end or of the card
	Index     int          // its interface index, valid inside the namespace only
	MAC       [6]byte      // its hardware address
	Address   netip.Prefix // kernel side: configured; stack side: meant for the stack

	ns   netns.NsHandle
	card *card // how the card was before; nil for a veth end
}

func (s *Side) makeNamespace() error {
	// NewNamed leaves the thread inside the new namespace.
	err := onSpareThread(func() (err error) {
		s.ns, err = netns.NewNamed(s.Namespace)
		return err
	})
	if err != nil {
		return fmt.Errorf("netlab: make namespace %s: %w: run as root", s.Namespace, err)
	}
	return s.Do(func() error {
		for _, which := range []string{"all", "default"} {
			err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6 is quiet already
				return fmt.Errorf("netlab: disable IPv6 in %s: %w", s.Namespace, err)
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("netlab: loopback of %s: %w", s.Namespace, err)
		}
		return netlink.LinkSetUp(lo)
	})
}

// configure finishes the side's interface and brings it up.
func (s *Side) configure(cfg *Config, address bool) error {
	err := s.Do(func() error {
		link, err := netlink.LinkByName(s.Interface)
		if err != nil {
			return fmt.Errorf("netlab: find %s: %w", s.Interface, err)
		}
		s.Index = link.Attrs().Index
		copy(s.MAC[:], link.Attrs().HardwareAddr)
		if address {
			ip := &net.IPNet{IP: s.Address.Addr().AsSlice(), Mask: net.CIDRMask(s.Address.Bits(), s.Address.Addr().BitLen())}
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ip}); err != nil {
				return fmt.Errorf("netlab: give %s the address %s: %w", s.Interface, s.Address, err)
			}
		}
		if cfg.Qdisc != "" {
			root := netlink.QdiscAttrs{LinkIndex: s.Index, Parent: netlink.HANDLE_ROOT}
			if err := netlink.QdiscReplace(&netlink.GenericQdisc{QdiscAttrs: root, QdiscType: cfg.Qdisc}); err != nil {
				return fmt.Errorf("netlab: queueing discipline %q on %s: %w", cfg.Qdisc, s.Interface, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !cfg.Offloads {
		if err := s.setFeatures(sendOffloads, false); err != nil {
			return err
		}
	}
	if err := s.SetUp(); err != nil {
		return err
	}
	return s.configureReceive(cfg)
}

// Do runs f on the calling goroutine with its thread inside the namespace. Sockets and files that f opens stay inside; a
// goroutine that f starts does not.
func (s *Side) Do(f func() error) error { return inNamespace(s.ns, f) }

// Command prepares a command that runs inside the namespace. It needs nsenter (util-linux), which becomes the command itself:
// the process id is the command's.
func (s *Side) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := filepath.Join(namespaceDir, s.Namespace)
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + path, "--", name}, args...)...)
}

// SetUp brings the interface up.
func (s *Side) SetUp() error { return s.setLink("up", netlink.LinkSetUp) }

// SetDown takes the interface down, which the other side sees as a lost carrier.
func (s *Side) SetDown() error { return s.setLink("down", netlink.LinkSetDown) }

func (s *Side) setLink(what string, set func(netlink.Link) error) error {
	return s.Do(func() error {
		link, err := netlink.LinkByName(s.Interface)
		if err == nil {
			err = set(link)
		}
		if err != nil {
			return fmt.Errorf("netlab: set %s %s: %w", s.Interface, what, err)
		}
		return nil
	})
}

// remove undoes what makeNamespace did, hands a card back to its origin, and deletes a veth end if the other side has not done so.
func (s *Side) remove(origin netns.NsHandle) error {
	if !s.ns.IsOpen() {
		return nil
	}
	err := s.removeInterface(origin)
	if e := netns.DeleteNamed(s.Namespace); e != nil {
		err = errors.Join(err, fmt.Errorf("netlab: delete namespace %s: %w", s.Namespace, e))
	}
	return errors.Join(err, s.ns.Close())
}

func (s *Side) removeInterface(origin netns.NsHandle) error {
	if s.card != nil {
		return s.handBack(origin)
	}
	err := s.Do(func() error {
		link, err := netlink.LinkByName(s.Interface)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err != nil {
			return err
		}
		return netlink.LinkDel(link) // returns when the kernel has unregistered both ends
	})
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("netlab: delete %s: %w", s.Interface, err)
	}
	return nil
}

// String names the side for messages.
func (s *Side) String() string {
	return strings.Join([]string{s.Namespace, s.Interface, s.Address.String()}, " ")
}
