package afxdp

import (
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
}

// mapRings sizes the rings of a socket and maps them. On an error the caller closes what was mapped.
func (r *rings) mapRings(at place, fd int, o *Options) error {
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
	var off unix.XDPMmapOffsets
	n, err := getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off))
	if err != nil {
		return at.errno("find ring offsets", err)
	}
	if n != unsafe.Sizeof(off) {
		// Before 5.4 the offsets had no flags field, and all of them lie elsewhere in the answer.
		return at.fail("find ring offsets", ErrUnsupported, nil, "Linux 5.4 or later is needed")
	}
	fill, err := mapRing[uint64](r, fd, unix.XDP_UMEM_PGOFF_FILL_RING, &off.Fr, o.FillRing)
	if err != nil {
		return at.errno("map fill ring", err)
	}
	completion, err := mapRing[uint64](r, fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, &off.Cr, o.CompletionRing)
	if err != nil {
		return at.errno("map completion ring", err)
	}
	rx, err := mapRing[unix.XDPDesc](r, fd, unix.XDP_PGOFF_RX_RING, &off.Rx, o.RxRing)
	if err != nil {
		return at.errno("map RX ring", err)
	}
	tx, err := mapRing[unix.XDPDesc](r, fd, unix.XDP_PGOFF_TX_RING, &off.Tx, o.TxRing)
	if err != nil {
		return at.errno("map TX ring", err)
	}
	if r.fill, err = ring.NewProducer(fill); err != nil {
		return err
	}
	if r.completion, err = ring.NewConsumer(completion); err != nil {
		return err
	}
	if r.rx, err = ring.NewConsumer(rx); err != nil {
		return err
	}
	r.tx, err = ring.NewProducer(tx)
	return err
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
