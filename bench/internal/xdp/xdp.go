// Package xdp has the XDP programs that the peers need, and attaches them: one passes every frame to the kernel, one all but those to some
// addresses, one drops every frame, one redirects every frame to an AF_XDP socket. xdpstack brings its own.
package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Program is an attached XDP program.
type Program struct {
	prog    *ebpf.Program
	sockets *ebpf.Map // nil for Pass and Drop
	link    link.Link
}

const (
	actionDrop = 1 // XDP_DROP
	actionPass = 2 // XDP_PASS
)

// Pass attaches a program that passes every frame to the kernel, in native mode.
func Pass(ifindex int) (*Program, error) {
	return attach(ifindex, nil, asm.Instructions{asm.Mov.Imm(asm.R0, actionPass), asm.Return()})
}

// PassBut attaches a program that drops what goes to an IPv4 address of the prefix, and passes every other frame to the kernel, in native
// mode. It looks at frames without VLAN tags only.
func PassBut(ifindex int, without netip.Prefix) (*Program, error) {
	const (
		data, end   = 0, 4 // offsets in struct xdp_md
		etherType   = 12   // offsets in the frame
		destination = 14 + 16
	)
	inMemory := func(b []byte) int32 { return int32(binary.NativeEndian.Uint32(b)) } // as a word of the frame is loaded
	return attach(ifindex, nil, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, end, asm.Word),
		asm.Mov.Imm(asm.R0, actionPass),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, destination+4),
		asm.JGT.Reg(asm.R4, asm.R3, "exit"),
		asm.LoadMem(asm.R4, asm.R2, etherType, asm.Half),
		asm.JNE.Imm(asm.R4, int32(binary.NativeEndian.Uint16([]byte{8, 0})), "exit"), // IPv4
		asm.LoadMem(asm.R4, asm.R2, destination, asm.Word),
		asm.And.Imm32(asm.R4, inMemory(net.CIDRMask(without.Bits(), 32))),
		asm.JNE.Imm32(asm.R4, inMemory(without.Masked().Addr().AsSlice()), "exit"),
		asm.Mov.Imm(asm.R0, actionDrop),
		asm.Return().WithSymbol("exit"),
	})
}

// Drop attaches a program that drops every frame, in native mode.
func Drop(ifindex int) (*Program, error) {
	return attach(ifindex, nil, asm.Instructions{asm.Mov.Imm(asm.R0, actionDrop), asm.Return()})
}

// Redirect attaches a program that hands every frame of receive queue 0 to the socket, in native mode.
func Redirect(ifindex, fd int) (*Program, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("xdp: %w", err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "bench_sockets", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("xdp: make the map of sockets: %w", err)
	}
	if err := m.Put(uint32(0), uint32(fd)); err != nil {
		return nil, errors.Join(fmt.Errorf("xdp: put the socket into the map: %w", err), m.Close())
	}
	const rxQueueIndex = 16 // offset in struct xdp_md
	return attach(ifindex, m, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, rxQueueIndex, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R3, actionPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	})
}

func attach(ifindex int, m *ebpf.Map, code asm.Instructions) (*Program, error) {
	p := &Program{sockets: m}
	var err error
	p.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "bench", Type: ebpf.XDP, Instructions: code, License: "Apache-2.0"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("xdp: load the program: %w", err), p.Close())
	}
	p.link, err = link.AttachXDP(link.XDPOptions{Program: p.prog, Interface: ifindex, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("xdp: attach to interface %d in native mode: %w", ifindex, err), p.Close())
	}
	return p, nil
}

// Close detaches the program.
func (p *Program) Close() error {
	var errs []error
	if p.link != nil {
		errs = append(errs, p.link.Close())
	}
	if p.prog != nil {
		errs = append(errs, p.prog.Close())
	}
	if p.sockets != nil {
		errs = append(errs, p.sockets.Close())
	}
	return errors.Join(errs...)
}
