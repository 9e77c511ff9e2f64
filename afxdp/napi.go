package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// NAPI is what polls a receive queue in the kernel, as the "netdev" generic netlink family tells it (Linux 6.8, 6.13 for the settings).
type NAPI struct {
	ID     uint32 // 0: the driver does not say which serves the queue
	IRQ    int    // number of the interrupt that starts it; -1: not told
	Thread int    // process id of its kernel thread, if it has one of its own (/sys/class/net/IFACE/threaded); else 0

	// Settings says that those that follow can be read and set for this NAPI alone.
	Settings bool
	NAPISettings
}

// NAPISettings let who polls a queue do so without interrupts: after so many rounds without a packet, it is left to a timer.
type NAPISettings struct {
	DeferHardIRQs uint32        // rounds without a packet before the interrupt is enabled again (napi_defer_hard_irqs)
	GROFlush      time.Duration // what the timer is set to until then (gro_flush_timeout)
}

// The numbers of the family's commands and attributes (linux/netdev.h).
const (
	netdevCmdQueueGet = 10
	netdevCmdNAPIGet  = 11
	netdevCmdNAPISet  = 14

	queueAttrID      = 1
	queueAttrIfindex = 2
	queueAttrType    = 3 // 0: receive
	queueAttrNAPI    = 4

	napiAttrID     = 2
	napiAttrIRQ    = 3
	napiAttrThread = 4
	napiAttrDefer  = 5
	napiAttrFlush  = 6
)

// QueueNAPI asks what serves a receive queue of an interface of the calling thread's network namespace. A driver that does not say, and an
// older kernel, give a NAPI without ID, and no error.
func QueueNAPI(ifindex, queue int) (NAPI, error) {
	none := NAPI{IRQ: -1}
	answers, err := netdev(netdevCmdQueueGet, nl.NewRtAttr(queueAttrIfindex, nl.Uint32Attr(uint32(ifindex))),
		nl.NewRtAttr(queueAttrType, nl.Uint32Attr(0)), nl.NewRtAttr(queueAttrID, nl.Uint32Attr(uint32(queue))))
	if notTold(err) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	n := none
	for _, attrs := range answers {
		n.ID = attrs[queueAttrNAPI].uint32(n.ID)
	}
	if n.ID == 0 {
		return none, nil
	}
	answers, err = netdev(netdevCmdNAPIGet, nl.NewRtAttr(napiAttrID, nl.Uint32Attr(n.ID)))
	if notTold(err) {
		return n, nil
	}
	for _, attrs := range answers {
		n.Thread = int(attrs[napiAttrThread].uint32(0))
		if irq, ok := attrs[napiAttrIRQ]; ok {
			n.IRQ = int(irq.uint32(0))
		}
		flush, ok := attrs[napiAttrFlush]
		n.Settings = ok
		n.DeferHardIRQs = attrs[napiAttrDefer].uint32(0)
		n.GROFlush = time.Duration(flush.uint64())
	}
	return n, err
}

// Set changes the settings of one NAPI. They go back to those of the interface when the driver makes its queues anew.
func (n *NAPI) Set(s NAPISettings) error {
	_, err := netdev(netdevCmdNAPISet, nl.NewRtAttr(napiAttrID, nl.Uint32Attr(n.ID)),
		nl.NewRtAttr(napiAttrDefer, nl.Uint32Attr(s.DeferHardIRQs)), nl.NewRtAttr(napiAttrFlush, nl.Uint64Attr(uint64(s.GROFlush))))
	if err != nil {
		return fmt.Errorf("afxdp: set NAPI %d: %w", n.ID, err)
	}
	n.NAPISettings = s
	return nil
}

// notTold reports whether an error only means that the kernel does not know the command, or the driver does not fill it in.
func notTold(err error) bool {
	return errors.Is(err, errNoFeatures) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL)
}

// attribute is the value of a netlink attribute.
type attribute []byte

func (a attribute) uint32(missing uint32) uint32 {
	if len(a) < 4 {
		return missing
	}
	return binary.NativeEndian.Uint32(a)
}

// uint64 reads a number that has four bytes if it fits them ("uint" in the kernel's specification), and else eight.
func (a attribute) uint64() uint64 {
	if len(a) < 8 {
		return uint64(a.uint32(0))
	}
	return binary.NativeEndian.Uint64(a)
}
