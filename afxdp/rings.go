package afxdp

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ring"
)

// rings are the four rings of one socket, in memory that the kernel shares:
//
//	fill        we produce    frames to receive into
//	rx          we consume    received packets
//	tx          we produce    packets to send
//	completion  we consume    frames that were sent
type rings struct {
	fill       *ring.Producer[uint64]
	rx         *ring.Consumer[unix.XDPDesc]
	tx         *ring.Producer[unix.XDPDesc]
	completion *ring.Consumer[uint64]
	mappings   [][]byte
	memory     ringMemory
}

// ringMemory is where the four rings lie.
type ringMemory struct {
	fill, completion ring.Memory[uint64]
	rx, tx           ring.Memory[unix.XDPDesc]
}

// sizeRings sizes the rings of a new socket.
func sizeRings(at place, fd int, o *Options) error {
	for _, opt := range []struct {
		name         string
		option, size int
	}{
		{"fill ring", unix.XDP_UMEM_FILL_RING, o.FillRing},
		{"completion ring", unix.XDP_UMEM_COMPLETION_RING, o.CompletionRing},
		{"RX ring", unix.XDP_RX_RING, o.RxRing},
		{"TX ring", unix.XDP_TX_RING, o.TxRing},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_XDP, opt.option, opt.size); err != nil {
			return at.errno("size "+opt.name, err)
		}
	}
	return nil
}

// mapRings maps the rings of a socket, which have the sizes that the options say. On an error the caller closes what was mapped.
func (r *rings) mapRings(at place, fd int, o *Options) error {
	var off unix.XDPMmapOffsets
	n, err := getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off))
	if err != nil {
		return at.errno("find ring offsets", err)
	}
	if n != unsafe.Sizeof(off) {
		// Before 5.4 the offsets had no flags field, and all of them lie elsewhere in the answer.
		return at.fail("find ring offsets", ErrUnsupported, nil, "Linux 5.4 or later is needed")
	}
	m := &r.memory
	if m.fill, err = mapRing[uint64](r, fd, unix.XDP_UMEM_PGOFF_FILL_RING, &off.Fr, o.FillRing); err != nil {
		return at.errno("map fill ring", err)
	}
	if m.completion, err = mapRing[uint64](r, fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, &off.Cr, o.CompletionRing); err != nil {
		return at.errno("map completion ring", err)
	}
	if m.rx, err = mapRing[unix.XDPDesc](r, fd, unix.XDP_PGOFF_RX_RING, &off.Rx, o.RxRing); err != nil {
		return at.errno("map RX ring", err)
	}
	if m.tx, err = mapRing[unix.XDPDesc](r, fd, unix.XDP_PGOFF_TX_RING, &off.Tx, o.TxRing); err != nil {
		return at.errno("map TX ring", err)
	}
	return r.view()
}

// view makes the views of the rings, with the indices as they stand.
func (r *rings) view() (err error) {
	m := &r.memory
	if r.fill, err = ring.NewProducer(m.fill); err != nil {
		return err
	}
	if r.completion, err = ring.NewConsumer(m.completion); err != nil {
		return err
	}
	if r.rx, err = ring.NewConsumer(m.rx); err != nil {
		return err
	}
	r.tx, err = ring.NewProducer(m.tx)
	return err
}

// position returns how far this side of the rings is, by the indices that user space writes.
func (r *rings) position() [4]uint32 {
	m := &r.memory
	return [4]uint32{
		atomic.LoadUint32(m.fill.Producer), atomic.LoadUint32(m.completion.Consumer),
		atomic.LoadUint32(m.rx.Consumer), atomic.LoadUint32(m.tx.Producer),
	}
}

// mapRing maps one ring and finds its parts.
func mapRing[T any](r *rings, fd int, page int64, off *unix.XDPRingOffset, size int) (ring.Memory[T], error) {
	var slot T
	length := int(off.Desc) + size*int(unsafe.Sizeof(slot))
	m, err := unix.Mmap(fd, page, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return ring.Memory[T]{}, err
	}
	r.mappings = append(r.mappings, m)
	return ring.Memory[T]{
		Producer: (*uint32)(unsafe.Pointer(&m[off.Producer])),
		Consumer: (*uint32)(unsafe.Pointer(&m[off.Consumer])),
		Flags:    (*uint32)(unsafe.Pointer(&m[off.Flags])),
		Slots:    unsafe.Slice((*T)(unsafe.Pointer(&m[off.Desc])), size),
	}, nil
}

// unmapRings unmaps the rings. Each mapping holds a reference to the socket, which stays bound until the last one is gone.
func (r *rings) unmapRings() error {
	mappingsMu.Lock()
	defer mappingsMu.Unlock()
	var first error
	for _, m := range r.mappings {
		if err := unix.Munmap(m); err != nil && first == nil {
			first = err
		}
	}
	*r = rings{}
	return first
}
