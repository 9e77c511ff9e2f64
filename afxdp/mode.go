package afxdp

import (
	"fmt"
	"strings"

	"github.com/xdpstack/xdpstack/bpf"
)

// BoundMode says how a queue's socket is bound: what Options asked for and the kernel gave.
type BoundMode struct {
	Driver     string
	ZeroCopy   bool           // frames pass without a copy: bound so by force, confirmed by the kernel, the program in the driver
	Attach     bpf.AttachMode // how the XDP program is attached
	NoProgram  bool           // none is: Options.SendOnly
	noNative   error          // why it is in generic mode although that was not asked for
	NeedWakeup bool           // the kernel says when it needs a kick
	Memory     string         // "huge pages", "transparent huge pages", "pages"
	Node       int            // the NUMA node that the memory is on, that of the device; -1: on whatever the kernel took
	TxBudget   int            // frames that one kick sends in copy mode
	NoZeroCopy error          // why ModeAuto did not get zero-copy; nil if ModeCopy was asked for

	BusyPoll    bool  // Options asked for busy polling
	BusyPolling bool  // and it happens: the kernel knows which NAPI serves the socket's queue
	NoDeferral  error // why its interrupts come all the same, although they should wait

	TxChecksum   bool  // the device, or the kernel for it, completes the checksums that frame.AskSum leaves to it
	NoTxChecksum error // why it does not, although Options asked for it

	TxTimestamps   bool  // frame.AskStamp may ask for the time at which a packet is sent
	NoTxTimestamps error // why it may not, although Options asked for that

	RxHints       bool  // Queue.Hints tells of received packets
	NoRxHints     error // why it does not, although Options asked for it
	DeviceHints   bool  // the driver is asked, too: it tells what Info.RxMetadata says
	NoDeviceHints error // why it is not

	MultiBuffer   bool  // packets larger than a frame are received and sent, in several
	NoMultiBuffer error // why they are not, although the interface's MTU is larger
}

// String describes the mode in one line.
func (m BoundMode) String() string {
	s := []string{m.Driver + " driver", "copy mode", fmt.Sprintf("%v XDP", m.Attach)}
	if m.NoProgram {
		s[2] = "no XDP program"
	}
	if m.ZeroCopy {
		s[1] = "zero-copy mode"
	}
	if m.NeedWakeup {
		s = append(s, "need-wakeup")
	}
	switch {
	case m.NoDeferral != nil:
		s = append(s, "busy polling with interrupts")
	case m.BusyPolling:
		s = append(s, "busy polling")
	case m.BusyPoll:
		s = append(s, "busy polling without effect so far")
	}
	switch {
	case m.TxChecksum && m.ZeroCopy:
		s = append(s, "checksums by the device")
	case m.TxChecksum:
		s = append(s, "checksums by the device or the kernel")
	}
	if m.TxTimestamps {
		s = append(s, "transmit timestamps")
	}
	switch {
	case m.DeviceHints:
		s = append(s, "receive hints of the device")
	case m.RxHints:
		s = append(s, "receive hints of the kernel")
	}
	if m.MultiBuffer {
		s = append(s, "multi-buffer")
	}
	return strings.Join(append(s, m.Memory), ", ")
}
