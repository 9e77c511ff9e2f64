package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetMTU changes the interface's MTU.
func (s *Side) SetMTU(mtu int) error { return s.setMTU(mtu) }

// SetQueues changes the number of queues, as "ethtool -L" does. A card gets its own number back when the lab is closed.
func (s *Side) SetQueues(n int) error {
	return s.withChannels(func(tool *ethtool.Ethtool, now ethtool.Channels) error {
		want := now
		if now.MaxCombined > 0 {
			want.CombinedCount = uint32(n)
		} else {
			want.RxCount, want.TxCount = uint32(n), uint32(n)
		}
		return s.setChannels(tool, now, want)
	})
}

// Rings returns how many frames the interface's receive and transmit rings hold.
func (s *Side) Rings() (rx, tx int, err error) {
	err = s.withRings(func(_ *ethtool.Ethtool, now ethtool.Ring) error {
		rx, tx = int(now.RxPending), int(now.TxPending)
		return nil
	})
	return rx, tx, err
}

// SetRings changes the size of the interface's rings, as "ethtool -G" does.
func (s *Side) SetRings(rx, tx int) error {
	return s.withRings(func(tool *ethtool.Ethtool, now ethtool.Ring) error {
		now.RxPending, now.TxPending = uint32(rx), uint32(tx)
		if _, err := tool.SetRing(s.Interface, now); err != nil {
			return fmt.Errorf("netlab: rings of %s: set %d and %d: %w", s.Interface, rx, tx, err)
		}
		return nil
	})
}

func (s *Side) withRings(f func(*ethtool.Ethtool, ethtool.Ring) error) error {
	return s.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("netlab: ethtool: %w", err)
		}
		defer tool.Close()
		now, err := tool.GetRing(s.Interface)
		if err != nil {
			return fmt.Errorf("netlab: rings of %s: %w", s.Interface, err)
		}
		return f(tool, now)
	})
}

// Renegotiate restarts autonegotiation, as "ethtool -r" does, for which drivers reset the card.
func (s *Side) Renegotiate() error {
	const command = 0x9 // ETHTOOL_NWAY_RST
	return s.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("netlab: ethtool: %w", err)
		}
		defer unix.Close(fd)
		value := struct{ command, data uint32 }{command, 0}
		request := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], s.Interface)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		if errno != 0 {
			return fmt.Errorf("netlab: restart the link of %s: %w", s.Interface, errno)
		}
		return nil
	})
}

// MoveTo puts the interface into the namespace of another side, whose interface it then is not: all that the lab is good for
// afterwards is to be closed.
func (s *Side) MoveTo(other *Side) error { return s.move(s, other) }

// TakeBack undoes MoveTo.
func (s *Side) TakeBack(other *Side) error { return s.move(other, s) }

func (s *Side) move(from, to *Side) error {
	return from.Do(func() error {
		link, err := netlink.LinkByName(s.Interface)
		if err == nil {
			err = netlink.LinkSetNsFd(link, int(to.ns))
		}
		if err != nil {
			return fmt.Errorf("netlab: move %s to %s: %w", s.Interface, to.Namespace, err)
		}
		return nil
	})
}

// Rebind takes the card from its driver and gives it back to it: the interface goes, and while is called without it; then a new one comes,
// which is named like the old one, in the same namespace, and down.
func (s *Side) Rebind(while func()) error {
	address, err := s.busAddress()
	if err != nil {
		return err
	}
	device := filepath.Join("/sys/bus/pci/devices", address)
	if err := os.WriteFile(filepath.Join(device, "driver/unbind"), []byte(address), 0); err != nil {
		return fmt.Errorf("netlab: take %s from its driver: %w", s.Interface, err)
	}
	while()
	if err := os.WriteFile("/sys/bus/pci/drivers_probe", []byte(address), 0); err != nil {
		return fmt.Errorf("netlab: give %s back to its driver: %w", s.Interface, err)
	}
	for end := time.Now().Add(carrierPatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		found, _ := filepath.Glob(device + "/net/*")
		virtio, _ := filepath.Glob(device + "/virtio*/net/*")
		if found = append(found, virtio...); len(found) == 1 {
			return s.adopt(filepath.Base(found[0]))
		}
	}
	return fmt.Errorf("netlab: %s does not come back", s.Interface)
}

// busAddress returns the PCI address of the card.
func (s *Side) busAddress() (address string, err error) {
	err = s.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("netlab: ethtool: %w", err)
		}
		defer tool.Close()
		if address, err = tool.BusInfo(s.Interface); err != nil {
			return fmt.Errorf("netlab: bus address of %s: %w", s.Interface, err)
		}
		return nil
	})
	return address, err
}

// adopt makes an interface of the calling thread's namespace the side's.
func (s *Side) adopt(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetDown(link)
	}
	if err == nil && name != s.Interface {
		err = netlink.LinkSetName(link, s.Interface)
	}
	if err == nil {
		err = netlink.LinkSetNsFd(link, int(s.ns))
	}
	if err != nil {
		return fmt.Errorf("netlab: make %s %s again: %w", name, s.Interface, err)
	}
	return nil
}
