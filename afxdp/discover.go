package afxdp

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/irq"
)

// Info is what can be learned about an interface without changing it.
type Info struct {
	Name      string
	Index     int
	MAC       [6]byte
	MTU       int
	Up        bool           // administratively
	Carrier   bool           // the link works
	Addresses []netip.Prefix // the kernel's
	Kind      string         // netlink's: "veth", "bridge"…; "device" for hardware
	Driver    string         // ethtool's; empty if it says nothing
	RxQueues  int            // in use
	TxQueues  int
	RxRing    int // slots of each hardware ring, 0 if unknown
	TxRing    int
	Node      int // NUMA node of the device; -1: none, or not told
	Peer      int // interface index of a veth's other end, in its namespace; 0 for others
	// XDP is what the driver does for XDP; XDPUnknown says why that could not be learned, nil if it could.
	XDP        Features
	XDPUnknown error
	// ZeroCopyFrames is of how many frames a packet may be with zero-copy, 1 without multi-buffer; 0 if there is no zero-copy, or that is
	// unknown.
	ZeroCopyFrames int
	RxMetadata     ReceiveMetadata  // what the driver tells an XDP program about packets
	TxMetadata     TransmitMetadata // what it does for frames with metadata, in zero-copy mode
	// PlainDMA says that it is a virtio device that uses memory without the kernel's DMA mapping (no VIRTIO_F_ACCESS_PLATFORM): its driver
	// has no zero-copy then.
	PlainDMA bool
	// Program is the id of the XDP program that is attached now, 0 for none.
	Program uint32
}

// Queues returns how many queues both receive and transmit.
func (i *Info) Queues() int { return min(i.RxQueues, i.TxQueues) }

// Discover looks at an interface of the calling thread's network namespace.
func Discover(name string) (Info, error) {
	at := place{name: name, queue: -1}
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return Info{}, at.fail("find", ErrNoInterface, unix.ENODEV, "list the interfaces with: ip link")
	}
	if err != nil {
		return Info{}, at.errno("find", err)
	}
	a := link.Attrs()
	info := Info{
		Name:     name,
		Index:    a.Index,
		MTU:      a.MTU,
		Up:       a.RawFlags&unix.IFF_UP != 0,
		Carrier:  a.RawFlags&unix.IFF_RUNNING != 0,
		Kind:     link.Type(),
		RxQueues: max(a.NumRxQueues, 1),
		TxQueues: max(a.NumTxQueues, 1),
	}
	copy(info.MAC[:], a.HardwareAddr)
	if info.Kind == "veth" {
		info.Peer = a.ParentIndex
	}
	if a.Xdp != nil && a.Xdp.Attached {
		info.Program = a.Xdp.ProgId
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return Info{}, at.errno("list the addresses", err)
	}
	for _, a := range addresses {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			bits, _ := a.Mask.Size()
			info.Addresses = append(info.Addresses, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	info.Node = irq.System{}.Node(name)
	info.askEthtool()
	info.askFeatures()
	return info, nil
}

// ethtoolTries is how often a driver is asked.
const ethtoolTries = 5

// askEthtool adds what only the driver knows. A driver need not answer: what is known from netlink stays then, which for the
// queues is how many there could be.
func (i *Info) askEthtool() {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return
	}
	defer e.Close()
	// The library hands pointers to the kernel as numbers, which a stack that is moved meanwhile leaves behind: now and then an answer
	// goes nowhere, and an interface seems to have no driver. What it can do depends on that.
	for range ethtoolTries {
		about, err := e.DriverInfo(i.Name)
		if i.Driver = about.Driver; err != nil || i.Driver != "" {
			i.PlainDMA = plainDMA(about.BusInfo)
			break
		}
	}
	if c, err := e.GetChannels(i.Name); err == nil {
		if rx := int(c.CombinedCount + c.RxCount); rx > 0 {
			i.RxQueues = rx
		}
		if tx := int(c.CombinedCount + c.TxCount); tx > 0 {
			i.TxQueues = tx
		}
	}
	if r, err := e.GetRing(i.Name); err == nil {
		i.RxRing, i.TxRing = int(r.RxPending), int(r.TxPending)
	}
}

// plainDMA reports whether the device at a place of a bus is a virtio device without VIRTIO_F_ACCESS_PLATFORM. It goes by the bus, and
// not by the interface, which sysfs may not show in this namespace.
func plainDMA(bus string) bool {
	paths, err := filepath.Glob("/sys/bus/*/devices/" + bus + "/virtio*/features")
	if bus == "" || err != nil || len(paths) == 0 {
		return false
	}
	features, err := os.ReadFile(paths[0]) // a digit for each, from feature 0 on
	const accessPlatform = 33
	return err == nil && len(features) > accessPlatform && features[accessPlatform] == '0'
}
