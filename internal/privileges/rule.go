package privileges

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Rule lets through a system call: with any arguments, or with those that one of the alternatives says.
type Rule struct {
	Name string
	Nr   uint32
	Any  []Args // alternatives; none: whatever the arguments are
	// Errno is what the call fails with if no alternative holds, whatever the mode: where somebody falls back to another call then.
	// Default: as for a call that is not on the list.
	Errno unix.Errno
}

// Args are conditions that hold together.
type Args []Arg

// Arg is a condition: the lower 32 bits of an argument, of these the ones in Mask, are Value. The kernel takes no more than these 32 of
// what it declares as an int, a flag or a mode. With Wide the upper 32 must be 0 too: of pointers and lengths.
type Arg struct {
	Index int // 0 to 5
	Mask  uint32
	Value uint32
	Wide  bool
}

// is holds for one value.
func is(index int, value uint32) Arg { return Arg{Index: index, Mask: ^uint32(0), Value: value} }

// masked holds for the value of some bits.
func masked(index int, mask, value uint32) Arg { return Arg{Index: index, Mask: mask, Value: value} }

// null holds for a null pointer.
func null(index int) Arg { return Arg{Index: index, Mask: ^uint32(0), Wide: true} }

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// halves returns where the lower and the upper 32 bits of an argument are.
func halves(index int) (low, high uint32) {
	at := uint32(offArgs + 8*index)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return at, at + 4
	}
	return at + 4, at
}

// assemble makes a program of rules. Each rule is a block that ends in a decision, so that what follows one always has the number of the
// call in the register:
//
//	number? ── no ──────────────────────────────────────────► next rule
//	   └─ yes ─► condition ─► condition ─► let through
//	                 └─ no ──────┴─ no ──► next alternative, if there is one, else refuse
//
// The calls that are let through without a look at arguments cost nothing on Linux 5.11 and later on amd64 and arm64: the kernel tries the
// program once for each number, and keeps the answer in a bitmap.
func assemble(rules []Rule, refuse uint32) ([]bpf.Instruction, error) {
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS}, // another architecture's calls have other numbers
		bpf.LoadAbsolute{Off: offNr, Size: 4},
	}
	for _, r := range rules {
		block := r.block(refuse)
		if len(block) > 255 {
			return nil, fmt.Errorf("system call filter: the rule for %s has %d instructions, which no jump gets over", r.Name, len(block))
		}
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.Nr, SkipTrue: uint8(len(block))})
		program = append(program, block...)
	}
	program = append(program, bpf.RetConstant{Val: refuse})
	if len(program) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("system call filter: %d instructions; there can be %d", len(program), unix.BPF_MAXINSNS)
	}
	return program, nil
}

// block decides about a call that has the rule's number.
func (r *Rule) block(refuse uint32) []bpf.Instruction {
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	if len(r.Any) == 0 {
		return []bpf.Instruction{allow}
	}
	if r.Errno != 0 {
		refuse = unix.SECCOMP_RET_ERRNO | uint32(r.Errno)
	}
	var block []bpf.Instruction
	for _, alternative := range r.Any {
		block = append(block, alternative.check(allow)...)
	}
	return append(block, bpf.RetConstant{Val: refuse})
}

// check lets through if all conditions hold, and falls through if one does not.
func (a Args) check(allow bpf.Instruction) []bpf.Instruction {
	check := []bpf.Instruction{allow}
	for i := len(a) - 1; i >= 0; i-- { // from the end, because each jump has to know how much follows
		low, high := halves(a[i].Index)
		here := []bpf.Instruction{bpf.LoadAbsolute{Off: low, Size: 4}}
		if a[i].Mask != ^uint32(0) {
			here = append(here, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: a[i].Mask})
		}
		here = append(here, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a[i].Value, SkipTrue: uint8(len(check))})
		if a[i].Wide {
			upper := []bpf.Instruction{
				bpf.LoadAbsolute{Off: high, Size: 4},
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: uint8(len(here) + len(check))},
			}
			here = append(upper, here...)
		}
		check = append(here, check...)
	}
	return check
}
