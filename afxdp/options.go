package afxdp

import (
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
)

// The drivers that Options.Driver names.
const (
	DriverNative = "native" // this package's own, on system calls
	DriverAsavie = "asavie" // on github.com/asavie/xdp
)

// Mode says whether frames may pass between the network card and the UMEM without a copy.
type Mode uint8

const (
	ModeAuto     Mode = iota // zero-copy if the driver can, else copy
	ModeZeroCopy             // zero-copy or an error
	ModeCopy                 // copy
)

// String returns the mode's name as the command line has it.
func (m Mode) String() string {
	switch m {
	case ModeAuto:
		return "auto"
	case ModeZeroCopy:
		return "zero-copy"
	case ModeCopy:
		return "copy"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// MarshalText writes the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	for k := ModeAuto; k <= ModeCopy; k++ {
		if k.String() == string(text) {
			*m = k
			return nil
		}
	}
	return fmt.Errorf("want auto, zero-copy or copy")
}

// HugePages says whether the UMEM lies in huge pages, which need fewer TLB entries and fewer descriptors to pin.
type HugePages uint8

const (
	HugePagesAuto  HugePages = iota // reserved huge pages if the system has enough, else ordinary pages, transparently merged
	HugePagesNever                  // ordinary pages
	HugePagesMust                   // reserved huge pages or an error
)

// TxChecksum says who computes the TCP and UDP checksums of what is sent, if frame.AskSum may leave them to the device.
type TxChecksum uint8

const (
	// TxChecksumAuto: with zero-copy the network card if its driver can (Linux 6.8), else the stack, which sums payload while it
	// is copied.
	TxChecksumAuto TxChecksum = iota
	// TxChecksumStack: the stack.
	TxChecksumStack
	// TxChecksumDevice: as TxChecksumAuto, and in copy mode the kernel, which leaves it to the card where that can
	// (tx-checksumming in ethtool -k). A veth that says so has nobody who does it: the peer's kernel trusts such packets, its XDP
	// programs and packet sockets see them without a checksum.
	TxChecksumDevice
)

// String returns the choice's name as the command line has it.
func (c TxChecksum) String() string {
	switch c {
	case TxChecksumAuto:
		return "auto"
	case TxChecksumStack:
		return "stack"
	case TxChecksumDevice:
		return "device"
	}
	return fmt.Sprintf("TX checksum %d", uint8(c))
}

// MarshalText writes the choice's name.
func (c TxChecksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the choice's name.
func (c *TxChecksum) UnmarshalText(text []byte) error {
	for k := TxChecksumAuto; k <= TxChecksumDevice; k++ {
		if k.String() == string(text) {
			*c = k
			return nil
		}
	}
	return fmt.Errorf("want auto, stack or device")
}

// Options say how to open an interface. The zero value of each field means its default.
type Options struct {
	Driver string         // DriverNative (default) or DriverAsavie
	Mode   Mode           // default ModeAuto
	Attach bpf.AttachMode // how to attach the XDP program; default native, else generic
	Queues []int          // the queues to open; default all receive queues

	Frames    int // frames of each queue's pool; default 16384
	FrameSize int // bytes of a frame, 2048 or 4096; default the smaller that holds a packet of the interface's MTU in that mode, or 4096
	Headroom  int // free bytes in front of a received packet, beyond the 256 that XDP keeps; default 0

	// Sizes of the rings, powers of two.
	RxRing         int // default 2048
	TxRing         int // default 2048
	FillRing       int // default twice RxRing; at least that: the kernel must find a buffer while the RX ring is full
	CompletionRing int // default TxRing; at least that: a completion must always find room

	HugePages    HugePages
	NoNeedWakeup bool // do not use XDP_USE_NEED_WAKEUP (kernels before 5.4)
	SendBuffer   int  // SO_SNDBUF in bytes, which copy-mode frames are charged to; default 4096 for each TX ring slot
	TxChecksum   TxChecksum
	// RxHints has the XDP program note in front of each packet when it came: the driver's time if it tells one (native XDP, Linux
	// 6.3), else the kernel's (6.1), and the driver's hash. Queue.Hints reads the note.
	RxHints bool
	// TxStamps is how many times of sent packets each queue keeps until Queue.TxStamps takes them: of packets whose descriptor
	// asks for that. Default: none may ask.
	TxStamps int
	TxBudget int // frames that one kick sends in copy mode (kernel 6.17); default 256, at most TxRing
	// KeepProcessor keeps Go's scheduler from lending the processor to other goroutines while the kernel sends in copy mode. It
	// is for programs that do nothing else there: frames leave up to a third faster, and other goroutines, timers and the garbage
	// collector wait for as long as the kernel takes, up to 0.2 ms at a time. Default: others may run.
	KeepProcessor bool
	// AdaptiveFill has the kernel get fewer frames to receive into, in copy mode, while bursts are short: 512 and more, which
	// stay in the cache. It is worth a fifth and more of the rate over veth. What a burst after such a time finds no frame for is
	// dropped and counted, a thousand packets perhaps, until the level has followed. Default: as many as the fill ring holds,
	// always.
	AdaptiveFill bool
	// BusyPoll has the goroutine that uses a queue run the driver's receive work itself, in place of interrupts, which are
	// deferred while the queue is open. It says for how long a blocking call may poll, in µs; the queue's own calls do not block.
	// It is for a shard with a CPU of its own. Not all drivers can: BoundMode says. Default 0: off.
	BusyPoll       time.Duration
	BusyPollBudget int           // packets that one poll takes, at most; default 64, the kernel's own NAPI weight
	DeferHardIRQs  int           // empty rounds of the driver before an interrupt may come again, with BusyPoll; default 2
	GROFlush       time.Duration // and how long it stays off then without a poll; default 200 µs, as in the kernel's documentation

	// Pin has the XDP program stay on the interface if the process is killed, pinned in bpf.PinDir, where it passes everything to the
	// kernel until the next process that opens the interface with Pin takes its place. Default: the interface is left clean.
	Pin bool

	// SendOnly attaches no XDP program, and leaves alone the one that is there, where frames are copied: nothing is received then, and
	// Interface.Program is nil. With zero-copy drivers send only while a program is attached: one is, which passes to the kernel what
	// comes, as long as nothing is steered; where another program is there, ModeAuto copies. The native driver has it.
	SendOnly bool

	// Memory is packet memory that the queues share with those of other interfaces, or among each other: see NewMemory. Frames, FrameSize,
	// Headroom and HugePages are the memory's then. Default: each queue has its own.
	Memory *Memory `json:"-"`

	// Transferable has the frames lie in memory that another process can map, so that the interface can be handed over to one: see
	// Interface.Offer. Where no huge pages are reserved it is in ordinary pages, unless transparent ones are enabled for shared memory.
	// The native driver has it, for queues with memory of their own. Default: the memory is this process's alone.
	Transferable bool

	BindTimeout time.Duration // how long to retry while the kernel still releases the queue; default 2 s
}

const (
	defaultFrames      = 16384
	defaultRing        = 2048
	defaultTxBudget    = 256
	defaultBusyBudget  = 64
	defaultBusyDefer   = 2
	defaultBusyFlush   = 200 * time.Microsecond
	defaultBindTimeout = 2 * time.Second
	sendBufferPerFrame = 4096 // a 2 KiB frame's sk_buff counts for that much, with its overhead
	xdpHeadroom        = 256  // XDP_PACKET_HEADROOM: the kernel keeps it in front of each received packet
	linkHeader         = 14 + 2*4
	minTxBudget        = 32 // the kernel's TX_BATCH_SIZE
)

func setDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// withDefaults returns the options with each zero field set, for an interface of that MTU.
func (o Options) withDefaults(mtu int) Options {
	if o.Driver == "" {
		o.Driver = DriverNative
	}
	setDefault(&o.Frames, defaultFrames)
	if o.FrameSize == 0 {
		o.FrameSize = 2048
		if room(o.FrameSize, o.Headroom) < mtu {
			o.FrameSize = 4096
		}
	}
	setDefault(&o.RxRing, defaultRing)
	setDefault(&o.TxRing, defaultRing)
	setDefault(&o.FillRing, 2*o.RxRing)
	setDefault(&o.CompletionRing, o.TxRing)
	setDefault(&o.SendBuffer, sendBufferPerFrame*o.TxRing)
	setDefault(&o.TxBudget, min(defaultTxBudget, o.TxRing))
	setDefault(&o.BusyPollBudget, defaultBusyBudget)
	setDefault(&o.DeferHardIRQs, defaultBusyDefer)
	if o.GROFlush == 0 {
		o.GROFlush = defaultBusyFlush
	}
	if o.BindTimeout == 0 {
		o.BindTimeout = defaultBindTimeout
	}
	return o
}

// room returns how many bytes of network packet, behind the link header, a received frame can have.
func room(frameSize, headroom int) int { return frameSize - xdpHeadroom - headroom - linkHeader }

// roomOfFrames returns how many bytes of network packet so many frames can have together.
func roomOfFrames(n, frameSize, headroom int) int {
	return n*(frameSize-xdpHeadroom-headroom) - linkHeader
}

// Check finds what Open would refuse whatever the interface, without touching one.
func (o Options) Check() error {
	o = o.withDefaults(1500)
	return o.check()
}

// check finds what the kernel would refuse with a bare EINVAL, or what could not work. The defaults have been set.
func (o *Options) check() error {
	if o.Driver != DriverNative && o.Driver != DriverAsavie {
		return fmt.Errorf("%w: driver %q, want %q or %q", ErrOptions, o.Driver, DriverNative, DriverAsavie)
	}
	if o.FrameSize != 2048 && o.FrameSize != 4096 {
		return fmt.Errorf("%w: frames of %d bytes, want 2048 or 4096", ErrOptions, o.FrameSize)
	}
	if o.Headroom < 0 || o.Headroom%8 != 0 || room(o.FrameSize, o.Headroom) < 576 {
		return fmt.Errorf("%w: headroom of %d bytes in frames of %d, want a multiple of 8 that leaves 576 bytes for a packet",
			ErrOptions, o.Headroom, o.FrameSize)
	}
	for _, r := range []struct {
		name string
		size int
	}{{"RX", o.RxRing}, {"TX", o.TxRing}, {"fill", o.FillRing}, {"completion", o.CompletionRing}} {
		if r.size < 1 || r.size&(r.size-1) != 0 || r.size > 1<<20 {
			return fmt.Errorf("%w: %s ring of %d, want a power of two up to 2^20", ErrOptions, r.name, r.size)
		}
	}
	if o.FillRing < 2*o.RxRing {
		return fmt.Errorf("%w: fill ring of %d with an RX ring of %d, want at least twice as much", ErrOptions, o.FillRing,
			o.RxRing)
	}
	if o.CompletionRing < o.TxRing {
		return fmt.Errorf("%w: completion ring of %d with a TX ring of %d, want at least as much", ErrOptions, o.CompletionRing,
			o.TxRing)
	}
	if need := 2*o.RxRing + o.TxRing; o.Frames < need || o.Frames > 1<<24 {
		return fmt.Errorf("%w: %d frames, want at least %d for these rings (and at most 2^24)", ErrOptions, o.Frames, need)
	}
	if o.BusyPoll < 0 || o.BusyPoll > time.Second || o.BusyPollBudget < 1 || o.BusyPollBudget > 1<<16-1 {
		return fmt.Errorf("%w: busy polling for %v with a budget of %d, want up to a second, and 1 to 65535", ErrOptions, o.BusyPoll,
			o.BusyPollBudget)
	}
	if o.DeferHardIRQs < 0 || o.DeferHardIRQs > 1<<16 || o.GROFlush < 0 || o.GROFlush > time.Second {
		return fmt.Errorf("%w: interrupts deferred for %d rounds and %v, want up to 65536 and a second", ErrOptions, o.DeferHardIRQs,
			o.GROFlush)
	}
	if o.BusyPoll > 0 && o.Driver != DriverNative {
		return fmt.Errorf("%w: busy polling needs the %s driver", ErrOptions, DriverNative)
	}
	if o.TxChecksum > TxChecksumDevice || o.TxChecksum == TxChecksumDevice && o.Driver != DriverNative {
		return fmt.Errorf("%w: %v computes checksums: the %s driver can have that, the others the stack only", ErrOptions, o.TxChecksum,
			DriverNative)
	}
	if o.RxHints && o.Driver != DriverNative {
		return fmt.Errorf("%w: hints about received packets need the %s driver", ErrOptions, DriverNative)
	}
	if o.TxStamps < 0 || o.TxStamps > 1<<20 || o.TxStamps != 0 && o.Driver != DriverNative {
		return fmt.Errorf("%w: %d times of sent packets, want up to 2^20, and the %s driver", ErrOptions, o.TxStamps, DriverNative)
	}
	if o.Transferable && (o.Driver != DriverNative || o.Memory != nil) {
		return fmt.Errorf("%w: only queues of the %s driver with memory of their own can be handed over", ErrOptions, DriverNative)
	}
	if o.TxBudget < 0 || o.TxBudget > o.TxRing || o.SendBuffer < 0 || o.BindTimeout < 0 {
		return fmt.Errorf("%w: a negative number, or a TX budget above the TX ring", ErrOptions)
	}
	return nil
}

// fillTarget is how many frames the kernel may have for receiving, in the fill ring, in the driver and in the RX ring together:
// never more than half of the pool, or nothing would be left to answer with.
func (o *Options) fillTarget() int { return min(o.FillRing, o.Frames/2) }
