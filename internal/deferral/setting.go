package deferral

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netdev"
)

// Settings say how long interrupts wait for who polls.
type Settings struct {
	DeferHardIRQs int           `json:"defer-hard-irqs"`   // empty rounds before the interrupt is enabled again
	GROFlush      time.Duration `json:"gro-flush-timeout"` // what the timer is set to until then
}

// String describes the settings with the kernel's names.
func (s Settings) String() string {
	return fmt.Sprintf("defer-hard-irqs %d, gro-flush-timeout %v", s.DeferHardIRQs, s.GROFlush)
}

// setting is where Settings are: in a NAPI or an interface. Both errors match os.ErrNotExist if it is not there, or not any more.
type setting interface {
	read() (Settings, error)
	write(Settings) error
}

// ofNAPI are the settings of one NAPI.
type ofNAPI struct {
	c  *netdev.Conn
	id uint32
}

func (n ofNAPI) read() (Settings, error) {
	got, err := n.c.NAPI(n.id)
	switch {
	case errors.Is(err, netdev.ErrUnknown), err == nil && (got.GROFlush == netdev.Unknown || got.DeferHardIRQs == netdev.Unknown):
		return Settings{}, fmt.Errorf("the settings of NAPI %d: %w: Linux 6.13 is needed", n.id, os.ErrNotExist)
	case err != nil:
		return Settings{}, err
	}
	return Settings{got.DeferHardIRQs, got.GROFlush}, nil
}

func (n ofNAPI) write(s Settings) error {
	change := netdev.Unchanged()
	change.DeferHardIRQs, change.GROFlush = s.DeferHardIRQs, s.GROFlush
	return n.c.SetNAPI(n.id, change)
}

// ofInterface are the settings of all queues of an interface.
type ofInterface struct {
	dir   string // in sysfs
	index int
	mac   string
}

// The files of an interface.
const (
	deferFile = "napi_defer_hard_irqs"
	flushFile = "gro_flush_timeout" // in ns
)

// there makes sure that sysfs is of this network namespace: that of another may have an interface of the same name, and even
// number.
func (i ofInterface) there() error {
	index, err := i.text("ifindex")
	if err != nil {
		return err
	}
	mac, err := i.text("address")
	if err == nil && (index != strconv.Itoa(i.index) || mac != i.mac) {
		err = fmt.Errorf("%s: %w: it is of another network namespace (ip netns exec mounts the right one)", i.dir, os.ErrNotExist)
	}
	return err
}

func (i ofInterface) text(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(i.dir, name))
	return strings.TrimSpace(string(b)), err
}

func (i ofInterface) read() (s Settings, err error) {
	if err := i.there(); err != nil {
		return s, err
	}
	text, err := i.text(deferFile)
	if err == nil {
		s.DeferHardIRQs, err = strconv.Atoi(text)
	}
	if err != nil {
		return s, err
	}
	if text, err = i.text(flushFile); err != nil {
		return s, err
	}
	ns, err := strconv.ParseInt(text, 10, 64)
	s.GROFlush = time.Duration(ns)
	return s, err
}

func (i ofInterface) write(s Settings) error {
	if err := i.there(); err != nil {
		return err
	}
	err := os.WriteFile(filepath.Join(i.dir, flushFile), []byte(strconv.FormatInt(int64(s.GROFlush), 10)), 0)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(i.dir, deferFile), []byte(strconv.Itoa(s.DeferHardIRQs)), 0)
}

// gone reports whether an error means that there is nothing to set any more.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// Place is an interface of one network namespace.
type Place struct {
	Interface string
	Index     int
	MAC       [6]byte
	// Conn is a connection in the interface's network namespace; nil where the kernel has no netdev family.
	Conn *netdev.Conn
	// Ended is the PID of a process that Recover takes for one that has ended; 0: none.
	Ended int

	dir   string // of the files; default /run/xdpstack-irq
	sysfs string // default /sys/class/net
	netns uint64 // inode of the namespace
}

// At returns the place of an interface of the calling thread's network namespace.
func At(name string, index int, mac [6]byte) Place {
	p := Place{Interface: name, Index: index, MAC: mac, dir: "/run/xdpstack-irq", sysfs: "/sys/class/net"}
	var s unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &s) == nil {
		p.netns = s.Ino
	}
	p.Conn, _ = netdev.Dial() // without it there are the settings of the interface
	return p
}

// Close ends the connection.
func (p *Place) Close() {
	if p.Conn != nil {
		_ = p.Conn.Close()
		p.Conn = nil
	}
}

// setting returns that of a NAPI, or of the interface for NAPI 0.
func (p *Place) setting(napi uint32) setting {
	if napi != 0 {
		return ofNAPI{p.Conn, napi}
	}
	return ofInterface{filepath.Join(p.sysfs, p.Interface), p.Index, net.HardwareAddr(p.MAC[:]).String()}
}
