package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// service is struct service of xdp_steer.h. Arrays of bytes keep the network's byte order on every host.
type service struct {
	address  [4]byte
	port     [2]byte
	protocol uint8
	_        uint8
}

// prefix is struct prefix of xdp_steer.h.
type prefix struct {
	Length  uint32
	Address [4]byte
}

// AddAddress makes the stack own an IPv4 address, in OwnAddress mode. Adding it again does nothing.
func (p *Program) AddAddress(a netip.Addr) error {
	key, err := p.addressKey("own", a)
	if err != nil {
		return err
	}
	return p.own(p.objects.Addresses, key, a.String(), "MaxAddresses", p.cfg.MaxAddresses)
}

// RemoveAddress undoes AddAddress. Removing an address that is not owned does nothing.
func (p *Program) RemoveAddress(a netip.Addr) error {
	key, err := p.addressKey("disown", a)
	if err != nil {
		return err
	}
	return disown(p.objects.Addresses, key, a.String())
}

// AddPrefix makes the stack own all addresses of an IPv4 prefix, in OwnAddress mode, if Config.MaxPrefixes allows any. Adding it again
// does nothing.
func (p *Program) AddPrefix(a netip.Prefix) error {
	key, err := p.prefixKey("own", a)
	if err != nil {
		return err
	}
	if p.cfg.MaxPrefixes == 0 {
		return fmt.Errorf("bpf: own prefix %v: %w: the program was loaded with MaxPrefixes 0", a, ErrTableFull)
	}
	return p.own(p.objects.Prefixes, key, a.String(), "MaxPrefixes", p.cfg.MaxPrefixes)
}

// RemovePrefix undoes AddPrefix of the same prefix. Removing a prefix that is not owned does nothing.
func (p *Program) RemovePrefix(a netip.Prefix) error {
	key, err := p.prefixKey("disown", a)
	if err != nil {
		return err
	}
	return disown(p.objects.Prefixes, key, a.String())
}

// AddPort makes the stack own a TCP (6) or UDP (17) port of an IPv4 address, in SharedAddress mode. Adding it again does nothing.
func (p *Program) AddPort(protocol uint8, a netip.Addr, port uint16) error {
	key, err := p.serviceKey("own", protocol, a, port)
	if err != nil {
		return err
	}
	return p.own(p.objects.Services, key, serviceName(protocol, a, port), "MaxPorts", p.cfg.MaxPorts)
}

// RemovePort undoes AddPort. Removing a port that is not owned does nothing.
func (p *Program) RemovePort(protocol uint8, a netip.Addr, port uint16) error {
	key, err := p.serviceKey("disown", protocol, a, port)
	if err != nil {
		return err
	}
	return disown(p.objects.Services, key, serviceName(protocol, a, port))
}

func (p *Program) addressKey(verb string, a netip.Addr) (key [4]byte, err error) {
	switch a = a.Unmap(); {
	case p.cfg.Mode != OwnAddress:
		return key, fmt.Errorf("bpf: %s address %v: %w: the program was loaded for %v", verb, a, ErrMode, p.cfg.Mode)
	case !a.Is4():
		return key, fmt.Errorf("bpf: %s address %v: %w", verb, a, ErrNotIPv4)
	}
	return a.Unmap().As4(), nil
}

func (p *Program) prefixKey(verb string, a netip.Prefix) (key prefix, err error) {
	switch {
	case p.cfg.Mode != OwnAddress:
		return key, fmt.Errorf("bpf: %s prefix %v: %w: the program was loaded for %v", verb, a, ErrMode, p.cfg.Mode)
	case !a.IsValid() || !a.Addr().Is4():
		return key, fmt.Errorf("bpf: %s prefix %v: %w", verb, a, ErrNotIPv4)
	}
	return prefix{Length: uint32(a.Bits()), Address: a.Masked().Addr().As4()}, nil
}

func (p *Program) serviceKey(verb string, protocol uint8, a netip.Addr, port uint16) (key service, err error) {
	name := serviceName(protocol, a, port)
	switch a = a.Unmap(); {
	case p.cfg.Mode != SharedAddress:
		return key, fmt.Errorf("bpf: %s %s: %w: the program was loaded for %v", verb, name, ErrMode, p.cfg.Mode)
	case !a.Is4():
		return key, fmt.Errorf("bpf: %s %s: %w", verb, name, ErrNotIPv4)
	case protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_UDP:
		return key, fmt.Errorf("bpf: %s %s: only TCP (6) and UDP (17) have ports to own", verb, name)
	}
	key.address, key.protocol = a.As4(), protocol
	binary.BigEndian.PutUint16(key.port[:], port)
	return key, nil
}

func serviceName(protocol uint8, a netip.Addr, port uint16) string {
	return fmt.Sprintf("protocol %d, %v", protocol, netip.AddrPortFrom(a, port))
}

func (p *Program) own(m *ebpf.Map, key any, name, field string, limit int) error {
	err := m.Put(key, uint8(1))
	switch {
	case errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC): // ENOSPC from tries
		return fmt.Errorf("bpf: own %s: %w: the program was loaded with %s %d", name, ErrTableFull, field, limit)
	case err != nil:
		return fmt.Errorf("bpf: own %s: %w", name, err)
	}
	return nil
}

func disown(m *ebpf.Map, key any, name string) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("bpf: disown %s: %w", name, err)
	}
	return nil
}
