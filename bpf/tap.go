package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// tapRing is the memory of the ring that frames are copied to, a power of two: 3,600 frames, what a flood of 700,000 a second has in the
// 5 ms between two looks.
const tapRing = 1 << 20

// TapHead is how many bytes of a frame are copied at most, and tapHead what is in front of them in struct tap_frame.
const (
	TapHead = 256
	tapHead = 24
)

// Tap is the user's side of what shows the frames that the program drops and answers. It may be used by any goroutine.
type Tap struct {
	mu     sync.Mutex
	state  *steerTapState // shared with the program, until that is closed
	page   []byte         // that it is on
	open   int
	before uint64 // frames lost when it was opened
	reader *ringbuf.Reader
	record ringbuf.Record
}

// Tapped is a frame that the program dropped, or an answer of its.
type Tapped struct {
	Time   int64 // by CLOCK_MONOTONIC, ns
	Queue  int
	Reason uint32 // see TapReasons
	Len    int    // of the frame, in bytes
	Head   []byte // the first TapHead of them
}

// TapReason is a reason for which frames are tapped.
type TapReason struct {
	Number   uint32
	Answered bool                      // the frame is an answer; else it was dropped
	Count    func(c *Counters) *uint64 // where it is counted
}

// TapReasons returns the reasons for which frames can be tapped.
func TapReasons() (all []TapReason) {
	for r := uint32(steerReasonDROP_BAD_SYN); r < uint32(steerReasonREASONS); r++ {
		all = append(all, TapReason{
			Number: r, Answered: r >= uint32(steerReasonTX_SYN_COOKIE),
			Count: func(c *Counters) *uint64 { return c.byReason()[r] },
		})
	}
	return all
}

// setTap makes what a tap needs in a program that is to be loaded and drops frames, if the kernel can do it (Linux 5.18).
func setTap(spec *ebpf.CollectionSpec, cfg *Config) error {
	can := cfg.Filter || cfg.ShieldFlows > 0
	if can && features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes) == nil {
		spec.Maps[steerMapTapped].MaxEntries = tapRing
		spec.Maps[steerMapTapStates].Flags |= unix.BPF_F_MMAPABLE
		return spec.Variables[steerVarTaps].Set(true)
	}
	m := spec.Maps[steerMapTapped]
	m.Type, m.KeySize, m.ValueSize, m.MaxEntries = ebpf.Array, 4, 4, 1
	return nil
}

// openTap maps what the user's side and the program share; nil if the program has no tap. Later it takes no privileges to read.
func openTap(o *steerMaps) (*Tap, error) {
	if o.Tapped.Type() != ebpf.RingBuf {
		return nil, nil
	}
	t := &Tap{}
	var err error
	if t.page, err = unix.Mmap(o.TapStates.FD(), 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("bpf: the memory of the tap: %w", err)
	}
	t.state = (*steerTapState)(unsafe.Pointer(&t.page[0]))
	if t.reader, err = ringbuf.NewReader(o.Tapped); err != nil {
		return nil, errors.Join(fmt.Errorf("bpf: the ring of the tap: %w", err), unix.Munmap(t.page))
	}
	t.reader.SetDeadline(time.Unix(1, 0)) // it is never waited for
	return t, nil
}

// Tap returns what shows the frames that the program drops and answers. It is nil if the program was loaded without filter and shield,
// which drops none, and before Linux 5.18. When the program is closed, nothing more comes.
func (p *Program) Tap() *Tap { return p.tap }

// Open has frames copied from now on, until Close was called as often.
func (t *Tap) Open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open++; t.open == 1 {
		t.read(func(*Tapped) {}) // of another time
		t.before = atomic.LoadUint64(&t.state.Lost)
		atomic.StoreUint32(&t.state.Open, 1)
	}
}

// Close undoes an Open.
func (t *Tap) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open--; t.open == 0 {
		atomic.StoreUint32(&t.state.Open, 0)
	}
}

// Lost returns how many frames did not fit since it was opened.
func (t *Tap) Lost() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return atomic.LoadUint64(&t.state.Lost) - t.before
}

// Read gives f the frames that wait. They are good until f returns.
func (t *Tap) Read(f func(*Tapped)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read(f)
}

func (t *Tap) read(f func(*Tapped)) {
	for range tapRing / TapHead { // what comes meanwhile does not keep it here
		if err := t.reader.ReadInto(&t.record); err != nil {
			return // there is none
		}
		b := t.record.RawSample
		if len(b) < tapHead+TapHead {
			continue
		}
		n := int(binary.NativeEndian.Uint32(b[8:]))
		f(&Tapped{
			Time: int64(binary.NativeEndian.Uint64(b)), Queue: int(binary.NativeEndian.Uint32(b[12:])),
			Reason: binary.NativeEndian.Uint32(b[16:]), Len: n, Head: b[tapHead : tapHead+min(n, TapHead)],
		})
	}
}

// close ends the tap. What is called afterwards sees a program that drops nothing.
func (t *Tap) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state, t.before = new(steerTapState), 0
	return errors.Join(t.reader.Close(), unix.Munmap(t.page))
}
