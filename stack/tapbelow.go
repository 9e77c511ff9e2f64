package stack

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/metrics"
)

// belowTaps give the stack's taps what the XDP program drops and answers before any shard has it. It has one ring for all of them: whoever
// reads takes what is there, and puts it into the rings of all.
type belowTaps struct {
	tap     *bpf.Tap // nil: there is none
	reasons map[uint32]belowReason

	mu     sync.Mutex
	taps   []*shardTap
	lost   uint64 // of the program's ring, as far as the taps have been told
	packet []byte // the one that is being looked at, zeros behind its head
}

// belowReason is why a frame did not get to a shard: the counter's name in the snapshot of a stack.
type belowReason struct {
	name     string
	answered bool
}

// belowHeader is in front of each packet in the rings: time, queue, reason, length.
const belowHeader = 20

// belowReasons returns the reasons by their number.
func belowReasons() map[uint32]belowReason {
	all := make(map[uint32]belowReason)
	for _, r := range bpf.TapReasons() {
		var c bpf.Counters
		*r.Count(&c) = 1
		metrics.Walk("steer", &c, func(m metrics.Metric) {
			if m.Value != 0 {
				all[r.Number] = belowReason{m.Name, r.Answered}
			}
		})
	}
	return all
}

// openTaps readies what the program of the stack's interface tells.
func (b *belowTaps) openTaps(p *bpf.Program) {
	if p == nil || p.Tap() == nil {
		return
	}
	b.tap, b.reasons = p.Tap(), belowReasons()
}

func (b *belowTaps) add(st *shardTap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.taps) == 0 {
		b.lost = 0
	}
	b.tap.Open()
	b.taps = append(b.taps, st)
}

func (b *belowTaps) remove(st *shardTap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taps = slices.DeleteFunc(b.taps, func(x *shardTap) bool { return x == st })
	b.tap.Close()
}

// read gives f what waits for a tap, and returns how many packets that were.
func (b *belowTaps) read(st *shardTap, f func(*Tapped) error) (n int, err error) {
	b.take()
	for r := st.records.Next(); r != nil && err == nil; r = st.records.Next() {
		reason := b.reasons[binary.NativeEndian.Uint32(r[12:])]
		p := Tapped{
			Time: clock.Time(binary.NativeEndian.Uint64(r)), Shard: int(binary.NativeEndian.Uint32(r[8:])), Reason: reason.name,
			Len: int(binary.NativeEndian.Uint32(r[16:])), Data: r[belowHeader:],
		}
		if reason.answered {
			p.Direction = Sent
		}
		n++
		err = f(&p)
	}
	st.records.Release()
	return n, err
}

// take moves what the program has told to the taps.
func (b *belowTaps) take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tap.Read(b.see)
	lost := b.tap.Lost()
	for _, st := range b.taps {
		st.lost.Add(lost - b.lost)
		st.records.Publish()
	}
	b.lost = lost
}

// see gives a frame to the taps that want it.
func (b *belowTaps) see(t *bpf.Tapped) {
	reason, ok := b.reasons[t.Reason]
	if !ok {
		return // of another version's program
	}
	b.packet = append(b.packet[:0], t.Head...)
	if more := min(t.Len, defSnap) - len(t.Head); more > 0 { // so that its length is right for whoever compares it
		b.packet = append(b.packet, make([]byte, more)...)
	}
	for _, st := range b.taps {
		cfg := st.cfg
		switch {
		case cfg.DropsOnly && reason.answered && cfg.Reason == "", !strings.HasPrefix(reason.name, cfg.Reason),
			cfg.Match != nil && !cfg.Match(b.packet):
			continue
		}
		kept := t.Head[:min(len(t.Head), cfg.Snap)]
		r := st.records.Append(belowHeader + len(kept))
		if r == nil {
			st.lost.Add(1)
			continue
		}
		binary.NativeEndian.PutUint64(r, uint64(t.Time))
		binary.NativeEndian.PutUint32(r[8:], uint32(t.Queue))
		binary.NativeEndian.PutUint32(r[12:], t.Reason)
		binary.NativeEndian.PutUint32(r[16:], uint32(t.Len))
		copy(r[belowHeader:], kept)
	}
}
