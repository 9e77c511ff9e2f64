package copycount

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// ErrUnsupported is matched by Open's error where the kernel cannot count: it has no kprobes (CONFIG_KPROBES), or no such
// functions.
var ErrUnsupported = errors.New("this kernel cannot count copies")

// Counts are of all AF_XDP sockets of the machine, in whatever namespace, since Open.
type Counts struct {
	Received uint64 // packets copied from the driver's memory, or an sk_buff, into a socket's
	Sent     uint64 // packets copied from a socket's memory into an sk_buff, whose transmission is over
	Sends    uint64 // runs of the code that does so: one for each system call that sends in copy mode
	Sums     uint64 // checksums that the kernel computed of packets to be sent, for any socket, because no device does
	Missed   uint64 // calls that were not counted: only with 0 are the others exact
}

// Copies returns how many packets were copied.
func (c Counts) Copies() uint64 { return c.Received + c.Sent }

// Agree reports whether so many packets can have been copied: as many as were counted, or more by calls that were missed.
func (c Counts) Agree(received, sent uint64) bool {
	return c.Received <= received && c.Sent <= sent && received-c.Received+sent-c.Sent <= c.Missed
}

// The functions, and the fields that count their calls. All are reached through pointers or from several places, so that
// compilers keep them: __xsk_rcv from XDP in the driver and behind it, xsk_destruct_skb as the destructor of every sk_buff with a
// frame's payload. Only that one says how many packets were sent: one run of __xsk_generic_xmit sends many.
var functions = []struct {
	name  string
	count func(*Counts) *uint64
}{
	{"__xsk_rcv", func(c *Counts) *uint64 { return &c.Received }},
	{"xsk_destruct_skb", func(c *Counts) *uint64 { return &c.Sent }},
	{"__xsk_generic_xmit", func(c *Counts) *uint64 { return &c.Sends }},
	{"skb_checksum_help", func(c *Counts) *uint64 { return &c.Sums }},
}

// Counter counts until it is closed.
type Counter struct {
	calls    *ebpf.Map // for each function, the number of its calls on each CPU
	programs []*ebpf.Program
	probes   []link.Link
}

// Open begins to count. It needs CAP_BPF and CAP_PERFMON, or root.
func Open() (*Counter, error) {
	_ = rlimit.RemoveMemlock() // for kernels before 5.11; on others it does nothing
	c := &Counter{}
	for i, f := range functions {
		if err := c.probe(i, f.name); err != nil {
			return nil, errors.Join(fmt.Errorf("copycount: %s: %w", f.name, err), c.Close())
		}
	}
	return c, nil
}

func (c *Counter) probe(slot int, function string) (err error) {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return fmt.Errorf("%w: it has no kprobes (CONFIG_KPROBES)", ErrUnsupported)
	}
	if c.calls == nil {
		spec := ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: uint32(len(functions))}
		if c.calls, err = ebpf.NewMap(&spec); err != nil {
			return err
		}
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Kprobe, License: "Apache-2.0", Instructions: count(c.calls, slot)})
	if err != nil {
		return err
	}
	c.programs = append(c.programs, program)
	probe, err := link.Kprobe(function, program, nil)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: it has no function of that name: %w", ErrUnsupported, err)
	}
	if err != nil {
		return err
	}
	c.probes = append(c.probes, probe)
	return nil
}

// count is a program that adds one to a slot. It needs no atomic instruction: the kernel does not run it twice at a time on a
// CPU.
func count(calls *ebpf.Map, slot int) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, int64(slot), asm.Word),
		asm.LoadMapPtr(asm.R1, calls.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	}
}

// Read returns what was counted so far.
func (c *Counter) Read() (n Counts, err error) {
	for i, f := range functions {
		var perCPU []uint64
		if err := c.calls.Lookup(uint32(i), &perCPU); err != nil {
			return n, fmt.Errorf("copycount: read the calls of %s: %w", f.name, err)
		}
		for _, calls := range perCPU {
			*f.count(&n) += calls
		}
		stats, err := c.programs[i].Stats()
		if err != nil {
			return n, fmt.Errorf("copycount: read what was missed of %s: %w", f.name, err)
		}
		n.Missed += stats.RecursionMisses + missed(c.probes[i])
	}
	return n, nil
}

// missed returns how many calls the probe itself did not see, because another one's was handled on that CPU. Kernels before 6.7 do not
// tell.
func missed(probe link.Link) uint64 {
	info, err := probe.Info()
	if err != nil || info.PerfEvent() == nil || info.PerfEvent().Kprobe() == nil {
		return 0
	}
	return info.PerfEvent().Kprobe().Missed
}

// Close ends the counting.
func (c *Counter) Close() error {
	var all error
	for _, p := range c.probes {
		all = errors.Join(all, p.Close())
	}
	for _, p := range c.programs {
		all = errors.Join(all, p.Close())
	}
	if c.calls != nil {
		all = errors.Join(all, c.calls.Close())
	}
	*c = Counter{}
	return all
}

// String says it in one line.
func (c Counts) String() string {
	s := fmt.Sprintf("%d packets copied in, %d out, by %d calls", c.Received, c.Sent, c.Sends)
	if c.Missed > 0 {
		s += fmt.Sprintf("; %d calls were missed", c.Missed)
	}
	return s
}
