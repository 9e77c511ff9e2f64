package frame

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Index names a frame of a pool.
type Index uint32

// None is the index of no frame: the end of a list, or an allocation that failed.
const None Index = 1<<32 - 1

// Desc names a range of bytes in a frame: what a ring descriptor says. A packet that is larger than a frame lies in several,
// whose descriptors follow each other.
type Desc struct {
	Frame Index
	Off   uint32 // bytes from the start of the chunk
	Len   uint32 // bytes
	Mark
}

// Mark is what a descriptor says about its packet. It is a struct of its own because the compiler keeps only structs of at most
// four fields in registers: with all of them side by side a segment took 2 to 5 % longer to send.
type Mark struct {
	More bool // the packet goes on with the next descriptor
	Ask  Ask  // what the device is to do with the packet, or to tell of it
}

// MaxFrames is how many frames one packet has at most: what AF_XDP takes from every sender in copy mode, the linear part of an
// sk_buff and the 17 fragments that it has at least. Frames of 4096 bytes hold the largest IP packet in that many.
const MaxFrames = 18

// Meta is the record about one frame, a cache line. Its owner uses the exported fields; the pool uses the others.
type Meta struct {
	SentAt clock.Time // when the frame's segment was last sent
	Next   Index      // the neighbours in the list that the frame is in
	Prev   Index
	Older  Index // the neighbours in a second list, which the owner keeps: of segments by when they were sent again
	Newer  Index
	Off    uint32 // the part of the chunk that matters to the present owner: first byte, from the start of the chunk
	Len    uint32 // its length in bytes
	Seq    uint32 // TCP sequence number of the first payload byte

	// What the owner notes about the path when it sends the frame, to measure how fast that delivers: see tcp's rate.
	Delivered   uint32 // bytes that had arrived
	DeliveredAt uint32 // when the last of them did
	FirstSent   uint32 // when the frame was sent that arrived last

	Flags  uint16 // the owner's flags
	Sends  uint8  // how many times the frame's segment was sent
	kernel uint8  // which kernel queue has the frame, a set of inFill and inTX, and stamped
	refs   uint32 // how many user-space owners the frame has

	Sum uint16 // the Internet checksum's partial sum of the range, never 0 if it is known; 0: not known
	_   [2]byte

	Holds uint32 // what the chunk's bytes are known to be, a number of NewHoldings; 0: not known. Only AllocHolding keeps it
}

// The record fills a cache line: either of these is negative, and does not compile, if it does not.
const (
	_ = metaSize - unsafe.Sizeof(Meta{})
	_ = unsafe.Sizeof(Meta{}) - metaSize

	metaSize = 64
)

const (
	inFill = 1 << iota
	inTX
	stamped // with inTX: the kernel leaves the time in front of the packet
)

// Pool is a set of frames of one size. See the package documentation for a frame's life.
type Pool struct {
	mem   []byte
	meta  []Meta
	free  []Index // LIFO: the frame that was freed last is the one whose lines are still cached
	shift uint
	size  uint32
	base  uint64 // address of the first frame in the UMEM, of which the pool may be a part
	nFill int
	nTX   int // in TX and not held

	holdings uint32 // numbers of NewHoldings that are taken
}

// Errors of NewPool.
var (
	ErrChunkSize = errors.New("frame: chunk size must be a power of two of at least 2048 bytes")
	ErrMemory    = errors.New("frame: memory must be a whole, positive number of chunks, fewer than 2^32")
)

// NewPool divides mem, which is a whole UMEM, into chunks of size bytes, all of them free. The size is a power of two and at least 2048,
// as the kernel asks of an aligned UMEM.
func NewPool(mem []byte, size int) (*Pool, error) { return NewPart(mem, size, 0) }

// NewPart is NewPool for the part of a UMEM that begins at base, a whole number of chunks. The pool knows addresses of that part only.
func NewPart(mem []byte, size int, base uint64) (*Pool, error) {
	if size < 2048 || size&(size-1) != 0 {
		return nil, fmt.Errorf("%w: got %d", ErrChunkSize, size)
	}
	n := len(mem) / size
	if n == 0 || len(mem)%size != 0 || n >= int(None) {
		return nil, fmt.Errorf("%w: got %d bytes for chunks of %d", ErrMemory, len(mem), size)
	}
	if base%uint64(size) != 0 {
		return nil, fmt.Errorf("%w: a part that begins at %d, within a chunk of %d", ErrMemory, base, size)
	}
	p := &Pool{
		mem:   mem,
		base:  base,
		meta:  make([]Meta, n),
		free:  make([]Index, n),
		shift: uint(bits.TrailingZeros(uint(size))),
		size:  uint32(size),
	}
	for i := range p.free {
		p.free[i] = Index(n - 1 - i)
		p.meta[i].Next, p.meta[i].Prev = None, None
	}
	return p, nil
}

// Size returns the number of frames.
func (p *Pool) Size() int { return len(p.meta) }

// ChunkSize returns the size of a frame in bytes.
func (p *Pool) ChunkSize() int { return int(p.size) }

// Free returns the number of free frames.
func (p *Pool) Free() int { return len(p.free) }

// Alloc takes a free frame for the caller, who becomes its one owner, or returns None when there is none. The frame's range is
// empty and its flags are clear.
func (p *Pool) Alloc() Index {
	n := len(p.free)
	if n == 0 {
		return None
	}
	i := p.free[n-1]
	p.free = p.free[:n-1]
	m := &p.meta[i]
	*m = Meta{Next: None, Prev: None, refs: 1}
	return i
}

// AllocHolding is Alloc for who can make use of what the frame holds from before: Holds of its record is what the last owner set, if nobody
// has had the frame since.
func (p *Pool) AllocHolding() Index {
	n := len(p.free)
	if n == 0 {
		return None
	}
	i := p.free[n-1]
	p.free = p.free[:n-1]
	m := &p.meta[i]
	*m = Meta{Next: None, Prev: None, refs: 1, Holds: m.Holds}
	return i
}

// NewHoldings returns the first of n numbers for Holds that mean nothing yet, or 0 if there are no more.
func (p *Pool) NewHoldings(n int) uint32 {
	if uint64(n) > uint64(1<<32-1-p.holdings) {
		return 0
	}
	first := p.holdings + 1
	p.holdings += uint32(n)
	return first
}

// Retain adds an owner to a held frame.
func (p *Pool) Retain(i Index) {
	m := &p.meta[i]
	if m.refs == 0 {
		panic("frame: Retain of a frame that nobody holds")
	}
	m.refs++
}

// Release removes an owner. The frame is free after the last one, once the kernel has completed it too.
func (p *Pool) Release(i Index) {
	m := &p.meta[i]
	if m.refs == 0 {
		panic("frame: Release of a frame that nobody holds")
	}
	m.refs--
	if m.refs != 0 {
		return
	}
	if m.kernel&inTX != 0 {
		p.nTX++
		return
	}
	p.free = append(p.free, i)
}

// Transmitting notes that the kernel has been given the frame to send. The owners keep it.
func (p *Pool) Transmitting(i Index) {
	m := &p.meta[i]
	if m.refs == 0 || m.kernel != 0 {
		panic("frame: Transmitting a frame that is not held, or that the kernel has already")
	}
	m.kernel = inTX
}

// TransmittingStamped is Transmitting for a packet of which the kernel will say when it was sent.
func (p *Pool) TransmittingStamped(i Index) {
	p.Transmitting(i)
	p.meta[i].kernel |= stamped
}

// Stamped reports whether the frame is in transmission since TransmittingStamped.
func (p *Pool) Stamped(i Index) bool {
	return uint(i) < uint(len(p.meta)) && p.meta[i].kernel&stamped != 0
}

// Completed notes that the kernel is done with sending the frame, which is free then if nobody holds it. It reports false, and
// changes nothing, for a frame that was not in transmission.
func (p *Pool) Completed(i Index) bool {
	if uint(i) >= uint(len(p.meta)) || p.meta[i].kernel&inTX == 0 {
		return false
	}
	m := &p.meta[i]
	m.kernel = 0
	if m.refs == 0 {
		p.nTX--
		p.free = append(p.free, i)
	}
	return true
}

// InTransmission reports whether the kernel still has the frame to send: nobody may write to it.
func (p *Pool) InTransmission(i Index) bool { return p.meta[i].kernel&inTX != 0 }

// GiveToFill takes a free frame for the kernel to receive into, or returns None when there is none.
func (p *Pool) GiveToFill() Index {
	n := len(p.free)
	if n == 0 {
		return None
	}
	i := p.free[n-1]
	p.free = p.free[:n-1]
	p.meta[i].kernel = inFill
	p.meta[i].Holds = 0
	p.nFill++
	return i
}

// Received takes a frame that the kernel has received into, with off and length the range of the packet in the chunk; the caller
// becomes its one owner. It reports false, and changes nothing, for a frame that was not the kernel's or a range that is not
// within the chunk.
func (p *Pool) Received(i Index, off, length uint32) bool {
	if uint(i) >= uint(len(p.meta)) || p.meta[i].kernel != inFill || off > p.size || length > p.size-off {
		return false
	}
	p.meta[i] = Meta{Next: None, Prev: None, Off: off, Len: length, refs: 1}
	p.nFill--
	return true
}

// Reclaim frees every frame that the kernel has, after its socket was closed.
func (p *Pool) Reclaim() {
	for i := range p.meta {
		m := &p.meta[i]
		if m.kernel == 0 {
			continue
		}
		m.kernel = 0
		if m.refs == 0 {
			p.free = append(p.free, Index(i))
		}
	}
	p.nFill, p.nTX = 0, 0
}

// Meta returns the record of a frame.
func (p *Pool) Meta(i Index) *Meta { return &p.meta[i] }

// Chunk returns all bytes of a frame.
func (p *Pool) Chunk(i Index) []byte {
	base := uint64(i) << p.shift
	return p.mem[base : base+uint64(p.size) : base+uint64(p.size)]
}

// Data returns the bytes of the frame's range, Off and Len of its record.
func (p *Pool) Data(i Index) []byte {
	m := &p.meta[i]
	base := uint64(i)<<p.shift + uint64(m.Off)
	return p.mem[base : base+uint64(m.Len) : base+uint64(m.Len)]
}

// Bytes returns the bytes that a descriptor names.
func (p *Pool) Bytes(d Desc) []byte {
	base := uint64(d.Frame)<<p.shift + uint64(d.Off)
	return p.mem[base : base+uint64(d.Len) : base+uint64(d.Len)]
}

// Addr returns the address of a frame's byte in the UMEM, as ring descriptors have it.
func (p *Pool) Addr(i Index, off uint32) uint64 { return p.base + uint64(i)<<p.shift + uint64(off) }

// Locate is the inverse of Addr. The address may be any, a hostile one too: the index may be beyond the pool, which Received and
// Completed refuse.
func (p *Pool) Locate(addr uint64) (i Index, off uint32) {
	addr -= p.base // below the part, it is beyond it now
	n := addr >> p.shift
	if n >= uint64(len(p.meta)) {
		return None, 0
	}
	return Index(n), uint32(addr & uint64(p.size-1))
}

// Account says where the frames are. The four numbers add up to Size.
type Account struct {
	Free int // ready to be allocated
	Fill int // in the fill ring, in the kernel, or in the RX ring
	TX   int // given to the kernel to send and held by nobody
	Held int // held by a connection, the application or the batch being processed, sent at the moment or not
}

// Account returns where the frames are.
func (p *Pool) Account() Account {
	a := Account{Free: len(p.free), Fill: p.nFill, TX: p.nTX}
	a.Held = len(p.meta) - a.Free - a.Fill - a.TX
	return a
}

// Check walks the whole table and returns an error if it disagrees with the running counts: a leaked or doubly freed frame. It is
// for tests and for shutdown.
func (p *Pool) Check() error {
	var a Account
	free := make([]bool, len(p.meta))
	for _, i := range p.free {
		if free[i] {
			return fmt.Errorf("frame: frame %d is in the free list twice", i)
		}
		free[i] = true
	}
	for i := range p.meta {
		m := &p.meta[i]
		switch {
		case free[i]:
			a.Free++
			if m.refs != 0 || m.kernel != 0 {
				return fmt.Errorf("frame: frame %d is free with %d owners and kernel state %d", i, m.refs, m.kernel)
			}
		case m.refs > 0:
			a.Held++
		case m.kernel == inFill:
			a.Fill++
		case m.kernel&inTX != 0:
			a.TX++
		default:
			return fmt.Errorf("frame: frame %d is lost: not free, and nobody has it", i)
		}
	}
	if got := p.Account(); got != a {
		return fmt.Errorf("frame: the counts say %+v, the table says %+v", got, a)
	}
	return nil
}
