package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The features that let a sender leave work on a frame to the device, and those that let a receiver merge frames.
var (
	sendOffloads = []string{
		"tx-checksum-ip-generic", "tx-checksum-sctp", "tx-generic-segmentation", "tx-tcp-segmentation", "tx-tcp-ecn-segmentation",
		"tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation", "tx-gso-list",
		"tx-vlan-hw-insert", "tx-vlan-stag-hw-insert",
	}
	receiveOffloads = []string{"rx-gro", "rx-gro-list"}
)

// SetFeatures turns those of the named features on or off that the interface has, as "ethtool -K" does; the names are those of
// the kernel, as "ethtool --json -k" shows them. A card gets its own back when the lab is closed.
func (s *Side) SetFeatures(on bool, names ...string) error { return s.setFeatures(names, on) }

// setFeatures turns those of the named features on or off that the interface has.
func (s *Side) setFeatures(names []string, on bool) error {
	return s.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("netlab: ethtool: %w", err)
		}
		defer tool.Close()
		// The library hands pointers to the kernel as numbers, which a stack that is moved meanwhile leaves behind: now and then an answer
		// goes nowhere, and the interface seems to have no features at all. It has, when asked again.
		for range featureTries {
			if err = s.changeFeatures(tool, names, on); err == nil {
				break
			}
		}
		return err
	})
}

// featureTries is how often the features are asked for.
const featureTries = 5

func (s *Side) changeFeatures(tool *ethtool.Ethtool, names []string, on bool) error {
	known, err := tool.FeatureNames(s.Interface)
	if err != nil {
		return fmt.Errorf("netlab: features of %s: %w", s.Interface, err)
	}
	active, err := tool.Features(s.Interface)
	if err != nil {
		return fmt.Errorf("netlab: features of %s: %w", s.Interface, err)
	}
	if len(known) == 0 || len(active) == 0 {
		return fmt.Errorf("netlab: %s has no features", s.Interface)
	}
	change := make(map[string]bool)
	for _, name := range names {
		if _, ok := known[name]; ok {
			change[name] = on
			s.card.remember(name, active[name])
		}
	}
	if err := tool.Change(s.Interface, change); err != nil {
		return fmt.Errorf("netlab: change the features of %s: %w", s.Interface, err)
	}
	return nil
}

// configureReceive sets the receive side's features. The interface must be up: only then has it the NAPI that can be threaded.
func (s *Side) configureReceive(cfg *Config) error {
	if cfg.Threaded {
		if err := s.setFeatures([]string{"rx-gro"}, true); err != nil {
			return err
		}
		// The interface remembers the setting when its NAPI goes, and applies it when NAPI comes back.
		if err := s.setSysfs("threaded", "1"); err != nil {
			return err
		}
	}
	if cfg.Coalesce > 0 {
		if err := s.setSysfs("napi_defer_hard_irqs", "1"); err != nil {
			return err
		}
		if err := s.setSysfs("gro_flush_timeout", strconv.FormatInt(cfg.Coalesce.Nanoseconds(), 10)); err != nil {
			return err
		}
	}
	switch {
	case cfg.GRO:
		return s.setFeatures([]string{"rx-gro"}, true)
	case !cfg.Offloads:
		return s.setFeatures(receiveOffloads, false)
	}
	return nil
}

// setSysfs writes an attribute of the side's interface. /sys shows the interfaces of the namespace it was mounted from, so it
// is mounted once more, where only this thread sees it.
func (s *Side) setSysfs(attribute, value string) error {
	err := onSpareThread(func() error {
		if err := netns.Set(s.ns); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join("/sys/class/net", s.Interface, attribute), []byte(value), 0)
	})
	if err != nil {
		return fmt.Errorf("netlab: set %s of %s to %s: %w", attribute, s.Interface, value, err)
	}
	return nil
}

// LeaveChecksums says whether the kernel may leave the checksums of what it sends to the interface. A veth passes them on unfinished.
func (s *Side) LeaveChecksums(on bool) error {
	return s.setFeatures([]string{"tx-checksum-ip-generic"}, on)
}
