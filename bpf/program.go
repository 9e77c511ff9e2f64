package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Mode says which frames are the stack's.
type Mode uint8

const (
	// OwnAddress: the stack owns whole addresses that the kernel does not have: ARP, ICMP, every protocol, fragments too.
	OwnAddress = Mode(steerModeOWN_ADDRESS)
	// SharedAddress: the addresses are the kernel's, the stack owns chosen TCP and UDP ports, and gets the ICMP errors about packets from
	// them. ARP, other ICMP, and fragments that come before the first of their datagram are the kernel's.
	SharedAddress = Mode(steerModeSHARED_ADDRESS)
	// WholeInterface: every frame is the program's that opened the interface, whatever it is and whomever it is for; the kernel gets none
	// from the queues that have a socket. That is for measuring, and cuts off who uses the interface otherwise.
	WholeInterface = Mode(steerModeWHOLE_INTERFACE)
)

func (m Mode) String() string {
	switch m {
	case OwnAddress:
		return "own address"
	case SharedAddress:
		return "shared address"
	case WholeInterface:
		return "whole interface"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Errors that the package's functions wrap.
var (
	ErrMode      = errors.New("not possible in this mode")
	ErrNotIPv4   = errors.New("not an IPv4 address")
	ErrTableFull = errors.New("table full")
	ErrFragments = errors.New("the kernel has no XDP for frames of several buffers")
)

// Config says how to load the program.
type Config struct {
	Mode         Mode
	Fragments    bool   // frames may lie in several buffers: larger than a page. Needs Linux 5.18, and a driver that takes such a program
	Hints        bool   // note what is known of a frame in front of it: see ReadHints. Needs Linux 6.1
	Device       int    // with Hints: an interface whose driver is asked, too; it can be attached there only, in native mode. Linux 6.3
	VLAN         uint16 // the VLAN whose frames are the stack's, with one tag; default those with none
	Queues       int    // one more than the highest queue that a socket can be set for; default 64
	MaxAddresses int    // bound of the addresses that can be owned at a time; default 64
	MaxPrefixes  int    // bound of the prefixes that can be owned at a time; default none, so that they cost frames nothing
	MaxPorts     int    // bound of the (protocol, address, port) that can be owned at a time; default 4096
	// ShieldFlows is how many flows the stack may have, if the program is to defend it against floods of SYNs (Program.Shield); default 0:
	// it cannot, which costs nothing.
	ShieldFlows int
	Filter      bool // there is a filter, which lets everything in until it is told otherwise: see SetRule and SetRates
	MaxRules    int  // bound of the filter's rules; default 1048576, which take no memory before they are there
	MaxSources  int  // bound of the sources whose rates the filter keeps, about 100 bytes each; default 65536
	// Pin is a directory on a BPF file system where the link is pinned while the program is attached: if the process is killed, the program
	// stays on the interface, passes everything to the kernel, and is replaced by that of the next process with the same Pin, without a
	// moment in which there is none. Default: nothing is pinned.
	Pin string
}

func (c *Config) setDefaults() error {
	if c.Mode > WholeInterface {
		return fmt.Errorf("bpf: mode %v does not exist", c.Mode)
	}
	if c.VLAN > 4094 {
		return fmt.Errorf("bpf: VLAN %d does not exist: there are 1 to 4094", c.VLAN)
	}
	for _, v := range []struct {
		name  string
		value *int
		zero  int
	}{
		{"Queues", &c.Queues, 64}, {"MaxAddresses", &c.MaxAddresses, 64}, {"MaxPrefixes", &c.MaxPrefixes, 0},
		{"MaxPorts", &c.MaxPorts, 4096}, {"ShieldFlows", &c.ShieldFlows, 0},
		{"MaxRules", &c.MaxRules, 1 << 20}, {"MaxSources", &c.MaxSources, 1 << 16},
	} {
		if *v.value < 0 {
			return fmt.Errorf("bpf: %s is %d: it cannot be negative", v.name, *v.value)
		}
		if *v.value == 0 {
			*v.value = v.zero
		}
	}
	return nil
}

// Program is a loaded steering program. Its methods may be called from any goroutine, but Attach and Close only from one at a
// time. A Program that is attached must stay referenced: the garbage collector would close it, which detaches it.
type Program struct {
	cfg      Config
	objects  steerObjects
	link     link.Link // nil unless attached
	pin      *pin      // nil unless pinned
	ifindex  int       // of the interface it is attached to
	fallback error
	cookie   uint32 // of the hints
	shield   *Shield
	tap      *Tap
	filter   filter
}

// maxDatagrams is how many datagrams that come in fragments are remembered at a time, in shared-address mode.
const maxDatagrams = 4096

// Load loads the program into the kernel, attached to nothing and owning nothing. It needs CAP_BPF and CAP_NET_ADMIN. The error
// matches ErrFragments if the kernel does not know frames of several buffers.
func Load(cfg Config) (*Program, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	spec, err := loadSteer()
	if err != nil {
		return nil, fmt.Errorf("bpf: the compiled program is unusable: %w", err)
	}
	spec.Maps[steerMapSockets].MaxEntries = uint32(cfg.Queues)
	spec.Maps[steerMapAddresses].MaxEntries = uint32(cfg.MaxAddresses)
	if cfg.MaxPrefixes > 0 {
		spec.Maps[steerMapPrefixes].MaxEntries = uint32(cfg.MaxPrefixes)
		if err := spec.Variables[steerVarOwnPrefixes].Set(true); err != nil {
			return nil, fmt.Errorf("bpf: set the mode: %w", err)
		}
	}
	spec.Maps[steerMapServices].MaxEntries = uint32(cfg.MaxPorts)
	if cfg.Mode == SharedAddress {
		spec.Maps[steerMapDatagrams].MaxEntries = maxDatagrams
	}
	if err := spec.Variables[steerVarAddressMode].Set(steerMode(cfg.Mode)); err != nil {
		return nil, fmt.Errorf("bpf: set the mode: %w", err)
	}
	if err := spec.Variables[steerVarVlan].Set(cfg.VLAN); err != nil {
		return nil, fmt.Errorf("bpf: set the VLAN: %w", err)
	}
	if cfg.Fragments {
		spec.Programs[steerProgXdpSteer].Flags |= unix.BPF_F_XDP_HAS_FRAGS
		if err := spec.Variables[steerVarFragments].Set(true); err != nil {
			return nil, fmt.Errorf("bpf: set the mode: %w", err)
		}
	}
	if err := setShield(spec, &cfg); err != nil {
		return nil, fmt.Errorf("bpf: set up the shield: %w", err)
	}
	if err := setFilter(spec, &cfg); err != nil {
		return nil, err
	}
	if err := setTap(spec, &cfg); err != nil {
		return nil, fmt.Errorf("bpf: set up the tap: %w", err)
	}
	if !lax() {
		if cfg.ShieldFlows > 0 {
			return nil, fmt.Errorf("bpf: load the shield: %w: it takes CAP_PERFMON too", unix.EPERM)
		}
		if err := spec.Variables[steerVarStrict].Set(true); err != nil {
			return nil, fmt.Errorf("bpf: set the mode: %w", err)
		}
	}
	p := &Program{cfg: cfg}
	if p.cookie, err = setHints(spec, &cfg); err != nil {
		return nil, err
	}
	// Kernels before 5.11 charge maps against RLIMIT_MEMLOCK; on later ones this does nothing. The limit may suffice as it is.
	limit := rlimit.RemoveMemlock()
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, loadError(err, limit, &cfg)
	}
	if err := p.openShared(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// openShared maps what the process and the program share.
func (p *Program) openShared() (err error) {
	if p.cfg.ShieldFlows > 0 {
		if p.shield, err = openShield(&p.objects.steerMaps); err != nil {
			return err
		}
	}
	p.tap, err = openTap(&p.objects.steerMaps)
	return err
}

// lax reports whether the verifier lets the calling thread's programs do with pointers what those of others may not.
func lax() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&hdr, &data[0])
	return err != nil || data[1].Effective&(1<<(unix.CAP_PERFMON-32)) != 0 || data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

func loadError(err, limit error, cfg *Config) error {
	if cfg.Hints && !errors.Is(err, unix.EPERM) {
		what := "Linux 6.1 or later has them"
		if cfg.Device != 0 {
			what = "Linux 6.3 or later has them, with BTF"
		}
		return fmt.Errorf("bpf: load the steering program: %w (%w): %s", ErrHints, err, what)
	}
	if cfg.Fragments && errors.Is(err, unix.EINVAL) { // the flag is unknown, or the helper function
		return fmt.Errorf("bpf: load the steering program: %w (%w): Linux 5.18 or later has it", ErrFragments, err)
	}
	if cfg.ShieldFlows > 0 && !lax() {
		return fmt.Errorf("bpf: load the steering program: %w: the shield takes CAP_PERFMON too, or root", err)
	}
	if !lax() && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES)) { // what strict does is too new for it
		return fmt.Errorf("bpf: load the steering program: %w: before Linux 5.18 it takes CAP_PERFMON too, or root", err)
	}
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("bpf: load the steering program: %w", err)
	}
	cure := "run as root, or with CAP_BPF and CAP_NET_ADMIN"
	if limit != nil {
		cure += "; a kernel before 5.11 also needs ulimit -l unlimited"
	}
	return fmt.Errorf("bpf: load the steering program: %w: %s", unix.EPERM, cure)
}

// SetSocket makes the AF_XDP socket fd receive what the program redirects on queue. The socket must be bound to the same queue
// of the interface that the program is attached to, or the kernel drops the frames.
func (p *Program) SetSocket(queue, fd int) error {
	if err := p.checkQueue(queue); err != nil {
		return err
	}
	if err := p.objects.Sockets.Update(uint32(queue), uint32(fd), ebpf.UpdateAny); err != nil {
		return fmt.Errorf("bpf: set the socket of queue %d: %w", queue, err)
	}
	return nil
}

// ClearSocket undoes SetSocket: the queue's frames are passed to the kernel from now on. A closed socket is cleared by itself.
func (p *Program) ClearSocket(queue int) error {
	if err := p.checkQueue(queue); err != nil {
		return err
	}
	if err := p.objects.Sockets.Delete(uint32(queue)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("bpf: clear the socket of queue %d: %w", queue, err)
	}
	return nil
}

func (p *Program) checkQueue(queue int) error {
	if queue < 0 || queue >= p.cfg.Queues {
		return fmt.Errorf("bpf: queue %d: the program was loaded for queues 0 to %d", queue, p.cfg.Queues-1)
	}
	return nil
}

// ID returns the kernel's number of the program, as bpftool and "ip link" show it.
func (p *Program) ID() (uint32, error) {
	info, err := p.objects.XdpSteer.Info()
	if err != nil {
		return 0, fmt.Errorf("bpf: information about the program: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("bpf: this kernel gives programs no number")
	}
	return uint32(id), nil
}

// Close detaches and unloads the program. Closing again does nothing.
func (p *Program) Close() error {
	err := p.Detach()
	if p.shield != nil {
		p.shield.close()
	}
	if p.tap != nil {
		err = errors.Join(err, p.tap.close())
		p.tap = nil
	}
	return errors.Join(err, p.objects.Close())
}
