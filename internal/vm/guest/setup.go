package guest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mounts are the file systems of the guest, in order. What the kernel does not have is left out, but for the first three.
var mounts = []struct{ kind, path, options string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", ""},
	{"devpts", "/dev/pts", "ptmxmode=0666"},
	{"tmpfs", "/dev/shm", ""},
	{"tmpfs", "/run", ""},
	{"tmpfs", "/tmp", ""},
	{"bpf", "/sys/fs/bpf", ""},
	{"debugfs", "/sys/kernel/debug", ""},
	{"tracefs", "/sys/kernel/tracing", ""},
	{"cgroup2", "/sys/fs/cgroup", ""},
}

const neededMounts = 3

func mountAll() error {
	for i, m := range mounts {
		// In sysfs nothing can be made: there the folder is the kernel's, or the file system is not.
		_ = os.MkdirAll(m.path, 0o755)
		err := unix.Mount(m.kind, m.path, m.kind, 0, m.options)
		if errors.Is(err, unix.EBUSY) { // the kernel did it
			err = nil
		}
		if err != nil && i < neededMounts {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.path, err)
		}
	}
	for link, to := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2"} {
		_ = os.Symlink(to, link) // for convenience only
	}
	return os.Chmod("/tmp", 0o777|os.ModeSticky)
}

// loadModules loads the modules in the order of their names, which is that of their dependencies.
func loadModules() error {
	files, err := filepath.Glob(ModuleDir + "/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return nil
}

// namespaceDir is where named network namespaces are.
const namespaceDir = "/run/netns"

// takeBack undoes what a program that was killed left behind: the namespaces that the cards are in. A card whose namespace goes comes back
// to the first one.
func takeBack(queues int) error {
	names, err := os.ReadDir(namespaceDir)
	if err != nil || len(names) == 0 { // nobody made one
		return nil
	}
	for _, n := range names {
		path := filepath.Join(namespaceDir, n.Name())
		_ = unix.Unmount(path, unix.MNT_DETACH) // or it is no mount
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return setUpCards(queues)
}

// setUpCards waits for the two cards, gives them their names and their number of queues, and leaves them down.
func setUpCards(queues int) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	for i, name := range Cards {
		var link netlink.Link
		err := await("the network card "+Addresses[i], func() bool {
			link = cardByAddress(Addresses[i])
			return link != nil
		})
		if err != nil {
			return err
		}
		if err := nameCard(link, name); err != nil {
			return err
		}
		if err := setQueues(name, queues); err != nil {
			return err
		}
	}
	return nil
}

// nameCard takes a card down and names it.
func nameCard(link netlink.Link, name string) error {
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("take %s down: %w", name, err)
	}
	if link.Attrs().Name == name {
		return nil
	}
	if err := netlink.LinkSetName(link, name); err != nil {
		return fmt.Errorf("name %s: %w", name, err)
	}
	return nil
}

func cardByAddress(address string) netlink.Link {
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	mac, err := net.ParseMAC(address)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(links, func(l netlink.Link) bool { return slices.Equal(l.Attrs().HardwareAddr, mac) })
	if i < 0 {
		return nil
	}
	return links[i]
}

// queueTries is how often the queues are asked for and set. The ethtool library hands pointers to the kernel as numbers, which a
// stack that is moved meanwhile leaves behind: now and then an answer goes nowhere.
const queueTries = 5

func setQueues(name string, queues int) error {
	if queues == 0 {
		return nil
	}
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("ethtool: %w", err)
	}
	defer tool.Close()
	var has ethtool.Channels
	for range queueTries {
		has, err = tool.GetChannels(name)
		switch {
		case err != nil && queues == 1: // a driver without channels has one queue
			return nil
		case err == nil && has.CombinedCount == uint32(queues):
			return nil
		case err == nil:
			has.CombinedCount = uint32(queues)
			_, err = tool.SetChannels(name, has)
		}
	}
	return fmt.Errorf("%d queues on %s, which has at most %d: %w", queues, name, has.MaxCombined, err)
}
