package afxdp

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ring"
)

// Memory is packet memory that several queues have together (XDP_SHARED_UMEM), of one interface or of more: Options.Memory names
// it. The kernel registers it once, and maps it once for each device. Every queue has a part of it for its frames, whose pool is
// its own as ever; but it can also send frames of the other parts as they are: see Lend.
//
//	            part 0          part 1          part 2
//	memory  ┌───────────────┬───────────────┬───────────────┐
//	        └──────┬────────┴──────┬────────┴──────┬────────┘
//	rings      queue 0         queue 1      queue 0 of another interface
//
// It is worth it for who passes packets on from one queue to another, and for nobody else: the kernel keeps a record of each
// frame of the memory for each queue that shares it.
//
// All queues are in the mode of the first that was opened, and have its room for metadata. The memory is mapped when the first
// queue is opened and unmapped when the last one is closed.
type Memory struct {
	opt   Options // Frames, FrameSize, Headroom and HugePages, of each part
	shift uint    // of a frame's size
	parts int

	mu    sync.Mutex
	mem   *umem
	taken []*part
	bound []*native // open queues: a new one is bound by a socket that is bound

	back [][]pipe // frames on their way home: from the part that sent them, to the part that they are of
}

// pipe brings frames home, by their number within their part. It has room for all of them.
type pipe struct {
	in  *ring.Producer[uint32]
	out *ring.Consumer[uint32]
}

// part is a queue's part of a memory.
type part struct {
	memory *Memory
	number int
	bytes  []byte
	has    []bool // which frames of the other parts it is sending; its own queue's goroutine uses it

	released bool // its queue was closed
}

// maxParts bounds how many queues share a memory.
const maxParts = 16

// NewMemory makes memory for so many queues. Of the options it needs those about frames: Frames of each queue, FrameSize (default
// 4096 here, which suits any driver and MTU), Headroom and HugePages.
func NewMemory(queues int, o Options) (*Memory, error) {
	if o.FrameSize == 0 {
		o.FrameSize = 4096
	}
	o = o.withDefaults(0)
	err := o.check()
	if err == nil && (queues < 1 || queues > maxParts || queues*o.Frames > 1<<24) {
		err = fmt.Errorf("%w: memory for %d queues of %d frames, want up to %d queues and 2^24 frames", ErrOptions, queues, o.Frames,
			maxParts)
	}
	if err != nil {
		return nil, place{queue: -1}.fail("make memory", nil, err, "")
	}
	m := &Memory{opt: o, parts: queues, shift: uint(bits.TrailingZeros(uint(o.FrameSize))), taken: make([]*part, queues)}
	m.back = make([][]pipe, queues)
	for i := range m.back {
		m.back[i] = make([]pipe, queues)
		for j := range m.back[i] {
			if i == j {
				continue
			}
			p := &m.back[i][j]
			if p.in, p.out, err = ring.NewPair[uint32](1 << bits.Len(uint(o.Frames-1))); err != nil {
				return nil, place{queue: -1}.fail("make memory", nil, err, "")
			}
		}
	}
	return m, nil
}

// adopt makes the options those of the memory, as far as frames are concerned.
func (m *Memory) adopt(o *Options) error {
	for _, f := range []struct {
		name       string
		have, want int
	}{
		{"Frames", m.opt.Frames, o.Frames}, {"FrameSize", m.opt.FrameSize, o.FrameSize}, {"Headroom", m.opt.Headroom, o.Headroom},
	} {
		if f.want != 0 && f.want != f.have {
			return fmt.Errorf("%w: %s of %d, and %d in the memory: leave it out", ErrOptions, f.name, f.want, f.have)
		}
	}
	if o.Driver == DriverAsavie {
		return fmt.Errorf("%w: shared memory needs the %s driver", ErrOptions, DriverNative)
	}
	o.Frames, o.FrameSize, o.Headroom, o.HugePages = m.opt.Frames, m.opt.FrameSize, m.opt.Headroom, m.opt.HugePages
	return nil
}

// take gives a queue a part. The first one has the memory mapped, on its device's node.
func (m *Memory) take(at place, node int) (*part, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := slices.Index(m.taken, nil)
	if n < 0 {
		return nil, at.fail("take a part of the memory", ErrMemory, fmt.Errorf("all %d are taken", m.parts),
			"make it for more queues, or close one")
	}
	if m.mem == nil {
		o := m.opt
		o.Frames *= m.parts
		mem, err := newUMEM(at, &o, node)
		if err != nil {
			return nil, err
		}
		mem.kind += ", shared"
		m.mem = mem
	}
	size := m.opt.Frames * m.opt.FrameSize
	p := &part{m, n, m.mem.frames[n*size : (n+1)*size : (n+1)*size], make([]bool, m.parts*m.opt.Frames), false}
	m.taken[n] = p
	return p, nil
}

// base is the address of the part's first byte.
func (p *part) base() uint64 { return uint64(p.number) * uint64(p.memory.opt.Frames) << p.memory.shift }

// release gives the part back, and unmaps the memory after the last one. One whose frames others still send cannot be taken again
// yet.
func (p *part) release() error {
	m := p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	p.released = true
	all := true
	for n, other := range m.taken {
		if other != nil && other.released && m.out(n) == 0 {
			m.taken[n] = nil
		}
		all = all && (other == nil || other.released)
	}
	if !all {
		return nil
	}
	mem := m.mem
	m.mem = nil
	clear(m.taken)
	return mem.close()
}

// out returns how many frames of a part others are sending.
func (m *Memory) out(number int) (n int) {
	for _, p := range m.taken {
		if p == nil {
			continue
		}
		for _, has := range p.has[number*m.opt.Frames : (number+1)*m.opt.Frames] {
			if has {
				n++
			}
		}
	}
	return n
}

// bind binds a queue's socket, by that of another queue if there is one.
func (m *Memory) bind(q *native, info *Info, o *Options) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if len(m.bound) == 0 {
		err = q.connect(info, o)
	} else {
		err = q.connectShared(m.bound[0], o)
	}
	if err == nil {
		m.bound = append(m.bound, q)
	}
	return err
}

// unbind forgets a queue whose socket is about to be closed.
func (m *Memory) unbind(q *native) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bound = slices.DeleteFunc(m.bound, func(b *native) bool { return b == q })
}

// connectShared binds a socket to its queue with the memory, the mode and the flags of another one.
func (q *native) connectShared(with *native, o *Options) error {
	mode := uint16(unix.XDP_COPY)
	if with.mode.ZeroCopy {
		mode = unix.XDP_ZEROCOPY
	}
	if o.Mode == ModeCopy && with.mode.ZeroCopy || o.Mode == ModeZeroCopy && !with.mode.ZeroCopy {
		return q.at.fail("bind", ErrOptions, fmt.Errorf("mode %v, and the memory is %s's, in another mode", o.Mode, with.at.name),
			"open all queues of a memory in one mode")
	}
	q.mode.MultiBuffer = q.mode.MultiBuffer && with.mode.MultiBuffer
	q.with = with
	defer func() { q.with = nil }()
	if err := q.attempt(o, mode); err != nil {
		return err
	}
	q.mode.ZeroCopy = zeroCopy(q.fd)
	if q.mode.ZeroCopy != with.mode.ZeroCopy {
		return errors.Join(q.at.fail("bind", ErrNoZeroCopy, nil, useCopy), q.disconnect())
	}
	return nil
}

// shareMetadata has the queue do with the room for metadata that the first one registered.
func (q *native) shareMetadata(with *native) {
	q.meta = with.meta
	if m := &q.mode; q.meta == 0 {
		m.TxChecksum, m.TxTimestamps = false, false
	}
}
