package bpf

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// AttachMode says where in the kernel's receive path the program runs.
type AttachMode uint8

const (
	// AttachAuto tries AttachNative, then AttachGeneric.
	AttachAuto AttachMode = iota
	// AttachNative runs the program in the driver, before the kernel spends memory on the frame. Zero-copy needs it.
	AttachNative
	// AttachGeneric runs the program behind the driver, on every interface; slower, and each frame is copied.
	AttachGeneric
)

func (m AttachMode) String() string {
	switch m {
	case AttachAuto:
		return "auto"
	case AttachNative:
		return "native"
	case AttachGeneric:
		return "generic"
	}
	return fmt.Sprintf("AttachMode(%d)", uint8(m))
}

// MarshalText writes the mode's name.
func (m AttachMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the mode's name.
func (m *AttachMode) UnmarshalText(text []byte) error {
	for k := AttachAuto; k <= AttachGeneric; k++ {
		if k.String() == string(text) {
			*m = k
			return nil
		}
	}
	return fmt.Errorf("want auto, native or generic")
}

// Errors of Attach.
var (
	// ErrAttached: this Program is attached already.
	ErrAttached = errors.New("the program is attached already")
	// ErrOccupied: another XDP program is attached to the interface.
	ErrOccupied = errors.New("another XDP program is attached to the interface")
)

// Attach attaches the program to an interface of the calling thread's network namespace, and returns the mode that it got:
// AttachNative or AttachGeneric. The program stays until Detach, Close, or the end of the process, whatever ends it; with Config.Pin it
// stays after a process that was killed.
func (p *Program) Attach(ifindex int, mode AttachMode) (AttachMode, error) {
	if mode > AttachGeneric {
		return 0, fmt.Errorf("bpf: attach: mode %v does not exist", mode)
	}
	if p.link != nil {
		return 0, fmt.Errorf("bpf: attach to interface %d: %w to interface %d", ifindex, ErrAttached, p.ifindex)
	}
	nic, err := net.InterfaceByIndex(ifindex)
	if err != nil {
		return 0, fmt.Errorf("bpf: attach: interface %d is not in this network namespace: %w", ifindex, err)
	}
	p.fallback = nil
	if p.cfg.Pin == "" {
		return p.attachFresh(nic, mode)
	}
	if p.pin, err = openPin(p.cfg.Pin); err != nil {
		return 0, err
	}
	got, ok := p.takeOver(nic, mode)
	if !ok {
		if got, err = p.attachFresh(nic, mode); err == nil {
			err = p.link.Pin(p.pin.path())
		}
	}
	if err != nil {
		return 0, errors.Join(err, p.Detach())
	}
	return got, nil
}

// attachFresh attaches the program to an interface that has none.
func (p *Program) attachFresh(nic *net.Interface, mode AttachMode) (AttachMode, error) {
	if mode == AttachGeneric {
		return mode, p.attach(nic, mode)
	}
	err := p.attach(nic, AttachNative)
	if err == nil || mode == AttachNative || !Refused(err) {
		return AttachNative, err
	}
	if generic := p.attach(nic, AttachGeneric); generic != nil {
		return AttachGeneric, errors.Join(err, generic)
	}
	p.fallback = err
	return AttachGeneric, nil
}

func (p *Program) attach(nic *net.Interface, mode AttachMode) error {
	flags := link.XDPDriverMode
	if mode == AttachGeneric {
		flags = link.XDPGenericMode
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: p.objects.XdpSteer, Interface: nic.Index, Flags: flags})
	if err != nil {
		return p.attachError(nic, mode, err)
	}
	p.link, p.ifindex = l, nic.Index
	return nil
}

func (p *Program) attachError(nic *net.Interface, mode AttachMode, err error) error {
	what := fmt.Sprintf("bpf: attach to %s in %s mode", nic.Name, mode)
	switch {
	case (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST)) && Orphan(filepath.Join(PinDir, nic.Name)) != 0:
		return fmt.Errorf("%s: %w (%w): a process that was killed has left it pinned: remove it with: xdpstack clean -i %s", what,
			ErrOccupied, err, nic.Name)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: %w (%w): stop its owner, or remove it with: ip link set dev %s xdp off", what, ErrOccupied, err, nic.Name)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: run as root, or with CAP_BPF and CAP_NET_ADMIN", what, err)
	}
	if reason := driverReason(p.objects.XdpSteer.FD(), nic.Index, mode); reason != "" {
		err = fmt.Errorf("%w (the driver says: %s)", err, reason)
	}
	switch {
	case errors.Is(err, unix.ERANGE):
		return fmt.Errorf("%s: %w: the MTU (%d here, or the veth peer's) is too large for a frame in one page: "+
			"make it smaller, use generic mode, or a program with Config.Fragments", what, err, nic.MTU)
	case errors.Is(err, unix.ENOSPC) && mode == AttachNative: // veth's answer
		return fmt.Errorf("%s: %w: too few receive queues for the peer's transmit queues: make them as many with ethtool -L %s, "+
			"or use generic mode", what, err, nic.Name)
	case errors.Is(err, unix.ENOMEM) && mode == AttachNative:
		return fmt.Errorf("%s: %w: the driver lacks memory, or transmit queues of its own for XDP, of which it wants one for each CPU: "+
			"use fewer queues with ethtool -L %s combined N, or generic mode", what, err, nic.Name)
	case driverRefuses(err) && mode == AttachNative && nic.MTU > ordinaryMTU:
		return fmt.Errorf("%s: %w: the driver has no XDP for the MTU of %d, or none at all: make it smaller, %d fits always, with: "+
			"ip link set %s mtu %[4]d, or use generic mode", what, err, nic.MTU, ordinaryMTU, nic.Name)
	case driverRefuses(err) && mode == AttachNative:
		return fmt.Errorf("%s: %w: the driver has no XDP, or not with its present settings: use generic mode", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ordinaryMTU is Ethernet's, with which every driver's XDP works, if it has any.
const ordinaryMTU = 1500

// driverRefuses reports whether an error is what drivers say when they do not take a program.
func driverRefuses(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// Refused tells a driver's "not here, not now", in an error of Attach, from obstacles that other programs and modes share.
func Refused(err error) bool {
	return !errors.Is(err, ErrOccupied) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENODEV)
}

// Fallback returns why AttachAuto got AttachGeneric: the driver's error in native mode. It is nil if it did not come to that.
func (p *Program) Fallback() error { return p.fallback }

// Detach removes the program from the interface. It does nothing if the program is not attached.
func (p *Program) Detach() error {
	var errs []error
	if p.pin != nil {
		errs = append(errs, p.pin.close())
		p.pin = nil
	}
	if p.link != nil {
		if err := p.link.Close(); err != nil {
			errs = append(errs, fmt.Errorf("bpf: detach: %w", err))
		}
		p.link, p.ifindex = nil, 0
	}
	return errors.Join(errs...)
}
