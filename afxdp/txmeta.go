package afxdp

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
)

// A packet that is sent can have metadata before its first byte (Documentation/networking/xsk-tx-metadata.rst): what the device
// is to do with it. The UMEM says when it is registered how much room there is for that, which from then on must be in front of
// every packet and of each of its frames, with metadata or without; the descriptor says whether it is there.
//
//	the frame's chunk
//	┌───────────────────┬────────────────────────────────────────────┬─────────────────────┐
//	│ free              │ flags │ start, field of the sum │ (24 B)   │ packet              │
//	└───────────────────┴────────────────────────────────────────────┴─────────────────────┘
//	                    ▲ Desc.Off - txMetaLen                        ▲ Desc.Off
//
// The metadata is written at Transmit and belongs to the kernel, like the packet, until the frame is completed.

// txMetadata is struct xsk_tx_metadata of linux/if_xdp.h.
type txMetadata struct {
	flags    uint64
	sumStart uint16 // first byte that is summed, from the start of the packet
	sumField uint16 // where the checksum is, from there; it holds the partial sum of the pseudo-header
	_        uint32
	launch   uint64 // XDP_TXMD_FLAGS_LAUNCH_TIME is not used
}

// txCompletion is the same memory when the packet's frames come back, if XDP_TXMD_FLAGS_TIMESTAMP was in the flags.
type txCompletion struct {
	flags uint64
	at    uint64 // ns
	_     uint64
}

const txMetaLen = uint32(unsafe.Sizeof(txMetadata{}))

// metadata returns the metadata of a packet that begins at off in frame f, txMetaLen bytes at least behind the start of its
// chunk.
func (q *native) metadata(f frame.Index, off uint32) *txMetadata {
	return (*txMetadata)(unsafe.Pointer(&q.pool.Chunk(f)[off-txMetaLen : off][0]))
}

// canAsk reports whether the queue can have what a packet asks for. The kernel would refuse a checksum beyond the end of the
// first frame, and send nothing any more: what it refuses stays in the ring.
func (q *native) canAsk(d *frame.Desc) bool {
	start, field := d.Ask.Sum()
	return (start == 0 || q.mode.TxChecksum && start+field+2 <= d.Len) && (!d.Ask.Stamp() || q.mode.TxTimestamps)
}

// request writes what a packet's descriptor asks of the device, and returns the option of the ring's descriptor that says so.
func (q *native) request(d *frame.Desc) uint32 {
	m := q.metadata(d.Frame, d.Off)
	*m = txMetadata{}
	if start, field := d.Ask.Sum(); start != 0 {
		m.flags, m.sumStart, m.sumField = unix.XDP_TXMD_FLAGS_CHECKSUM, uint16(start), uint16(field)
	}
	if d.Ask.Stamp() {
		m.flags |= unix.XDP_TXMD_FLAGS_TIMESTAMP
	}
	return unix.XDP_TX_METADATA
}

// canTransmit is what can be asked of a device.
type canTransmit struct {
	sums, stamps bool // by its driver, with zero-copy
	copies       bool // both by the kernel, in copy mode
}

// canTransmit tells what can be asked of the interface on a release of Linux. A driver with zero-copy does what it can and
// ignores the rest without a word, but says what it can. In copy mode the kernel did so for virtio_net, to which it gives packets
// in another way: the patch that ended that is of September 2025.
func (i *Info) canTransmit(r release) canTransmit {
	return canTransmit{
		sums: i.TxMetadata.Has(TransmitChecksum), stamps: i.TxMetadata.Has(TransmitTimestamp),
		copies: i.Driver != "virtio_net" || !r.before(release{6, 19}),
	}
}

const (
	cureMetadata     = "use Linux 6.8 or later"
	cureCopyMetadata = "use Linux 6.19 or later: before, the kernel does not look at metadata for this driver"
)

// settleChecksum decides who computes the checksums of what is sent through a socket that is bound in that mode.
func (q *native) settleChecksum(o *Options, mode uint16) {
	m := &q.mode
	m.TxChecksum, m.NoTxChecksum = false, nil
	wanted := o.TxChecksum == TxChecksumDevice
	switch {
	case o.TxChecksum == TxChecksumStack:
	case mode == unix.XDP_COPY && q.can.copies:
		m.TxChecksum = wanted
	case mode == unix.XDP_COPY && wanted:
		m.NoTxChecksum = q.at.fail("open", ErrNoTxChecksum, nil, cureCopyMetadata)
	case mode == unix.XDP_COPY:
	case q.can.sums:
		m.TxChecksum = true
	case wanted:
		m.NoTxChecksum = q.at.fail("open", ErrNoTxChecksum, nil, "with zero-copy the driver would have to; use mode copy if the card does "+
			"it for the kernel (ethtool -k "+q.at.name+")")
	}
}

// register makes the queue's memory the socket's UMEM, with room for metadata if that is wanted and the kernel knows it.
func (q *native) register(o *Options) error {
	if q.with != nil {
		q.shareMetadata(q.with)
		return nil
	}
	m := &q.mode
	q.meta = 0
	if m.TxChecksum || m.TxTimestamps {
		q.meta = txMetaLen
	}
	again := m.NoZeroCopy != nil
	err := q.mem.register(q.at, q.fd, o, q.meta, again)
	if q.meta == 0 || !errors.Is(err, unix.EINVAL) {
		return err
	}
	if m.TxChecksum {
		m.TxChecksum, m.NoTxChecksum = false, q.at.fail("register UMEM", ErrNoTxChecksum, err, cureMetadata)
	}
	if m.TxTimestamps {
		m.TxTimestamps, m.NoTxTimestamps = false, q.at.fail("register UMEM", ErrNoTxTimestamps, err, cureMetadata)
	}
	q.meta = 0
	return q.mem.register(q.at, q.fd, o, 0, again)
}

// ChecksumOffload reports that the device, or the kernel for it, completes the checksums that descriptors name, if it does. It
// verifies none: XDP has no hint that says so.
func (q *native) ChecksumOffload() (rx, tx bool) { return false, q.mode.TxChecksum }
