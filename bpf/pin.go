package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// PinDir is where the links of interfaces are pinned, each in a directory of the interface's name.
const PinDir = "/sys/fs/bpf/xdpstack"

// ErrPinned: the pinned link is another process's, which runs.
var ErrPinned = errors.New("a running process has the pinned link")

// pin keeps a link attached beyond the process. While the process lives it has a lock on the directory, which nobody keeps that was killed.
// What is handed over has the same lock: a pinned link is without an owner when nobody has it.
type pin struct {
	dir  string
	lock *os.File
}

const pinnedLink = "link"

// openPin makes the directory of a pinned link, and locks it.
func openPin(dir string) (*pin, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("bpf: pin: %w: mount the BPF file system with: mount -t bpf bpf /sys/fs/bpf", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("bpf: pin: %s: %w", dir, err)
	}
	if st.Type != unix.BPF_FS_MAGIC {
		return nil, fmt.Errorf("bpf: pin: %s is not on a BPF file system: mount it with: mount -t bpf bpf /sys/fs/bpf", dir)
	}
	lock, err := lockPin(dir)
	if err != nil {
		return nil, err
	}
	return &pin{dir: dir, lock: lock}, nil
}

func lockPin(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("bpf: pin: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("bpf: pin: %s: %w: %w", dir, ErrOccupied, ErrPinned)
	}
	return f, nil
}

func (p *pin) path() string { return filepath.Join(p.dir, pinnedLink) }

// close gives the lock back, and, unless the link was handed over to somebody who has the lock too, removes the pin.
func (p *pin) close() error {
	if err := p.lock.Close(); err != nil {
		return fmt.Errorf("bpf: pin: %w", err)
	}
	again, err := lockPin(p.dir)
	if errors.Is(err, ErrPinned) || errors.Is(err, fs.ErrPermission) { // who has given up that privilege leaves it to others
		return nil
	}
	if err != nil {
		return err
	}
	defer again.Close()
	return p.remove()
}

// remove removes the pin, and the directory.
func (p *pin) remove() error {
	if err := os.Remove(p.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bpf: remove the pinned link: %w", err)
	}
	if err := os.Remove(p.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bpf: remove the pinned link's directory: %w", err)
	}
	return nil
}

// Unpin removes what is pinned in a directory by a process that has ended, and with it the program from its interface. It reports false if
// there is nothing. The error matches ErrPinned if the process runs.
func Unpin(dir string) (bool, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	p, err := openPin(dir)
	if err != nil {
		return false, err
	}
	defer p.lock.Close()
	if l, err := link.LoadPinnedLink(p.path(), nil); err == nil {
		if d, ok := l.(interface{ Detach() error }); ok {
			_ = d.Detach() // at once; without a reference it would be soon
		}
		_ = l.Close()
	}
	return true, p.remove()
}

// Orphan returns the number of the program that is pinned in a directory by a process that has ended, 0 if there is none.
func Orphan(dir string) uint32 {
	if _, err := os.Stat(filepath.Join(dir, pinnedLink)); err != nil {
		return 0
	}
	lock, err := lockPin(dir)
	if err != nil {
		return 0
	}
	defer lock.Close()
	l, err := link.LoadPinnedLink(filepath.Join(dir, pinnedLink), nil)
	if err != nil {
		return 0
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return 0
	}
	return uint32(info.Program)
}

// Pinned returns the directory where the link is pinned, empty if it is not.
func (p *Program) Pinned() string {
	if p.pin == nil {
		return ""
	}
	return p.pin.dir
}

// takeOver has a pinned link, which the process before left on the interface, run this program from now on: no frame comes between two
// programs, and the driver need not set up its queues again. It reports false where that cannot be; nothing is pinned then.
func (p *Program) takeOver(nic *net.Interface, mode AttachMode) (AttachMode, bool) {
	l, err := link.LoadPinnedLink(p.pin.path(), nil)
	if err != nil {
		_ = os.Remove(p.pin.path()) // it is not there, or no link
		return 0, false
	}
	got, err := p.update(l, nic, mode)
	if err != nil { // a link of another version may refuse the program (EINVAL): detach, and attach anew
		_ = os.Remove(p.pin.path())
		_ = l.Close()
		return 0, false
	}
	p.link, p.ifindex = l, nic.Index
	return got, true
}

// update puts the program in place of a link's, if that is on the interface, in that mode.
func (p *Program) update(l link.Link, nic *net.Interface, mode AttachMode) (AttachMode, error) {
	info, err := l.Info()
	if err != nil {
		return 0, err
	}
	device, err := netlink.LinkByIndex(nic.Index)
	if err != nil {
		return 0, err
	}
	xdp := device.Attrs().Xdp
	if at := info.XDP(); at == nil || int(at.Ifindex) != nic.Index || xdp == nil || xdp.ProgId != uint32(info.Program) {
		return 0, errors.New("the pinned link is on no interface, or on another")
	}
	got := AttachNative
	if xdp.AttachMode == attachedGeneric {
		got = AttachGeneric
	}
	if mode != AttachAuto && mode != got {
		return 0, errors.New("the pinned link is in another mode")
	}
	return got, l.Update(p.objects.XdpSteer)
}

// attachedGeneric is XDP_ATTACHED_SKB of linux/if_link.h: in generic mode.
const attachedGeneric = 2
