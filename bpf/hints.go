package bpf

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Hints are what the program noted about a frame when it came.
type Hints struct {
	// Time is in ns: by the device's clock with DeviceTime, else by CLOCK_TAI, when the program ran.
	Time       uint64
	DeviceTime bool
	// Hash is the device's of the frame's addresses and ports, and HashType tells of which of them: the kernel's enum
	// xdp_rss_hash_type. Both are 0 without HasHash.
	Hash, HashType uint32
	HasHash        bool
}

// HintsLen is how many bytes right in front of a frame the program writes.
const HintsLen = 24

// The set in struct hints of xdp_steer.h.
const (
	hintDeviceTime = 1 << iota
	hintHash
)

// ErrHints says that the kernel cannot have the program ask a device for hints.
var ErrHints = errors.New("the kernel has no hints of devices")

// ReadHints reads what is in front of a frame, which the program with this cookie (Program.HintsCookie) has received. It reports
// false if there are no hints.
func ReadHints(b *[HintsLen]byte, cookie uint32) (h Hints, ok bool) {
	if cookie == 0 || binary.NativeEndian.Uint32(b[20:]) != cookie {
		return h, false
	}
	known := binary.NativeEndian.Uint32(b[16:])
	return Hints{
		Time: binary.NativeEndian.Uint64(b[0:]), DeviceTime: known&hintDeviceTime != 0,
		Hash: binary.NativeEndian.Uint32(b[8:]), HashType: binary.NativeEndian.Uint32(b[12:]), HasHash: known&hintHash != 0,
	}, true
}

// HintsCookie is what tells hints from other bytes; 0 without Config.Hints.
func (p *Program) HintsCookie() uint32 { return p.cookie }

// setHints makes a program that is to be loaded one that notes hints, if cfg asks for that, and returns its cookie. Memory in
// front of a frame may have any contents, of another host's choice too, so the cookie is random.
func setHints(spec *ebpf.CollectionSpec, cfg *Config) (cookie uint32, err error) {
	program := spec.Programs[steerProgXdpSteer]
	if cfg.Hints {
		var random [4]byte
		rand.Read(random[:])
		cookie = max(binary.NativeEndian.Uint32(random[:]), 1)
		if err := spec.Variables[steerVarHintsCookie].Set(cookie); err != nil {
			return 0, fmt.Errorf("bpf: set the cookie of hints: %w", err)
		}
	}
	if cfg.Hints && cfg.Device != 0 {
		program.Ifindex = uint32(cfg.Device)
		program.Flags |= unix.BPF_F_XDP_DEV_BOUND_ONLY
		return cookie, nil
	}
	for i := range program.Instructions {
		ins := &program.Instructions[i]
		if ins.IsKfuncCall() {
			*ins = asm.Mov.Imm(asm.R0, -int32(unix.EOPNOTSUPP)).WithSymbol(ins.Symbol()).WithSource(ins.Source())
		}
	}
	return cookie, nil
}
