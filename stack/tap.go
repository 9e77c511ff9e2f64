package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/ring"
)

// TapConfig says what a Tap sees. The zero value of a field means the default that is given with it.
type TapConfig struct {
	Match     func(packet []byte) bool // called on the shards, on several at once; default all
	Snap      int                      // bytes of each packet that are kept; default 65535
	Ring      int                      // bytes that may wait for the reader, for each shard, a power of two; default 4 MiB
	DropsOnly bool                     // only what was dropped
	Reason    string                   // only what was dropped for a reason that begins so
}

// Direction is the way of a packet.
type Direction uint8

// The directions.
const (
	Received Direction = iota
	Sent
)

// Tapped is a packet that a Tap has seen, from the Ethernet header on.
type Tapped struct {
	Time      clock.Time
	Direction Direction
	Shard     int
	Reason    string // why it was dropped, as the counter is called; empty: it was not
	Len       int    // in bytes; of them are kept
	Data      []byte
}

// Tap sees the packets that shards receive, send and drop. What its reader does not fetch in time is lost to it, and counted; no shard
// waits. A shard that has none does not feel that there can be one. A shard that has takes its packets one by one: a packet was dropped for
// the reason whose counter it has moved. What TCP refuses later, when it runs the connection, counts as received. What the XDP program
// drops and answers is seen too, where the program tells: see bpf.Tap.
type Tap struct {
	stack  *Stack
	cfg    TapConfig
	shards []*shardTap
	below  *shardTap // what the XDP program tells; nil: nothing
}

// shardTap is a Tap's part on a shard.
type shardTap struct {
	cfg     *TapConfig
	records *ring.Records
	lost    atomic.Uint64
}

// tapping is what a shard has for its taps.
type tapping struct {
	taps    []*shardTap // empty: nothing of the rest is used
	reasons []tapReason
	packet  []byte // the one that is being looked at, in one piece
}

type tapReason struct {
	name   string
	count  *uint64
	before uint64
}

const (
	maxTaps    = 4
	tapHeader  = 16 // bytes in front of each packet in the ring: time, direction, reason, length
	tapSent    = 1
	defaultTap = 4 << 20
	defSnap    = 65535
)

// ErrTaps is wrapped by the error of one Tap too many.
var ErrTaps = errors.New("as many taps as there can be see the packets already")

// Tap begins to see packets.
func (s *Stack) Tap(cfg TapConfig) (*Tap, error) {
	setDefault(&cfg.Snap, defSnap)
	setDefault(&cfg.Ring, defaultTap)
	if cfg.Snap < 0 || cfg.Snap > cfg.Ring/4 {
		return nil, fmt.Errorf("%w: Snap %d is not within 1 and a quarter of Ring, %d", ErrConfig, cfg.Snap, cfg.Ring/4)
	}
	t := &Tap{stack: s, cfg: cfg}
	for _, sh := range s.shards {
		records, err := ring.NewRecords(cfg.Ring)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: Ring: %w", ErrConfig, err), t.Close())
		}
		st := &shardTap{cfg: &t.cfg, records: records}
		var full bool
		err = sh.Do(func(sh *Shard) {
			if full = len(sh.tapping.taps) == maxTaps; !full {
				sh.tapping.add(st, &sh.stats)
			}
		})
		if err == nil && full {
			err = fmt.Errorf("stack: tap: %w: %d", ErrTaps, maxTaps)
		}
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.shards = append(t.shards, st)
	}
	if s.tapBelow.tap != nil {
		records, err := ring.NewRecords(cfg.Ring)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.below = &shardTap{cfg: &t.cfg, records: records}
		s.tapBelow.add(t.below)
	}
	return t, nil
}

// Close ends it. The shards of a closed stack have forgotten it already.
func (t *Tap) Close() error {
	for i, st := range t.shards {
		_ = t.stack.shards[i].Do(func(sh *Shard) { sh.tapping.remove(st) }) // one that has stopped taps nothing
	}
	t.shards = nil
	if t.below != nil {
		t.stack.tapBelow.remove(t.below)
		t.below = nil
	}
	return nil
}

// Lost returns how many packets were lost because the reader was late.
func (t *Tap) Lost() (n uint64) {
	for _, st := range t.shards {
		n += st.lost.Load()
	}
	if t.below != nil {
		n += t.below.lost.Load()
	}
	return n
}

// Read gives f the packets that wait, and returns how many there were. They are good until f returns. One goroutine may read at a time.
func (t *Tap) Read(f func(*Tapped) error) (n int, err error) {
	for i, st := range t.shards {
		for b := st.records.Next(); b != nil && err == nil; b = st.records.Next() {
			p := Tapped{
				Time: clock.Time(binary.NativeEndian.Uint64(b)), Shard: i, Len: int(binary.NativeEndian.Uint32(b[12:])),
				Data: b[tapHeader:],
			}
			if b[8]&tapSent != 0 {
				p.Direction = Sent
			}
			if r := binary.NativeEndian.Uint16(b[10:]); r != 0 {
				p.Reason = t.stack.shards[i].tapping.reasons[r-1].name
			}
			n++
			err = f(&p)
		}
		st.records.Release()
	}
	if t.below != nil && err == nil {
		var more int
		more, err = t.stack.tapBelow.read(t.below, f)
		n += more
	}
	return n, err
}

func (t *tapping) add(st *shardTap, stats *ShardStats) {
	if t.reasons == nil {
		t.reasons = tapReasons(nil, "", reflect.ValueOf(stats).Elem())
	}
	t.taps = append(t.taps, st)
}

func (t *tapping) remove(st *shardTap) {
	for i, x := range t.taps {
		if x == st {
			t.taps = append(t.taps[:i], t.taps[i+1:]...)
			return
		}
	}
}

// tapReasons finds the counters of what is dropped: those whose help says so, and all of a struct that is called Drop.
func tapReasons(all []tapReason, prefix string, v reflect.Value) []tapReason {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name := prefix + metrics.SnakeCase(field.Name)
		switch {
		case value.Kind() == reflect.Struct:
			all = tapReasons(all, name+"_", value)
		case value.Kind() == reflect.Uint64 && field.IsExported() &&
			(strings.HasPrefix(name, "drop_") || strings.Contains(field.Tag.Get("help"), "dropped")):
			all = append(all, tapReason{name: name, count: value.Addr().Interface().(*uint64)})
		}
	}
	return all
}

// tapInput is input for a shard that has taps.
func (s *Shard) tapInput(batch []frame.Desc) {
	t := &s.tapping
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n-1].More {
			n++
		}
		s.tapCopy(batch[:n])
		for i := range t.reasons {
			r := &t.reasons[i]
			r.before = *r.count
		}
		s.input(batch[:n])
		reason := 0
		for i := range t.reasons {
			if r := &t.reasons[i]; *r.count != r.before {
				reason = i + 1
				break
			}
		}
		t.see(s.now, 0, reason)
		batch = batch[n:]
	}
	t.publish()
}

// tapOutput sees what was sent: the first n frames. The others were dropped.
func (s *Shard) tapOutput(frames []frame.Desc, n int) {
	t := &s.tapping
	full := 0
	for i := range t.reasons {
		if t.reasons[i].count == &s.stats.Drop.TxRing {
			full = i + 1
		}
	}
	for at := 0; at < len(frames); {
		end := at + 1
		for end < len(frames) && frames[end-1].More {
			end++
		}
		s.tapCopy(frames[at:end])
		if end <= n {
			t.see(s.now, tapSent, 0)
		} else {
			t.see(s.now, tapSent, full)
		}
		at = end
	}
	t.publish()
}

// tapCopy puts a packet together.
func (s *Shard) tapCopy(frames []frame.Desc) {
	t := &s.tapping
	t.packet = t.packet[:0]
	for _, d := range frames {
		t.packet = append(t.packet, s.pool.Bytes(d)...)
	}
}

// see gives the packet to the taps that want it.
func (t *tapping) see(now clock.Time, direction uint8, reason int) {
	for _, st := range t.taps {
		cfg := st.cfg
		switch {
		case reason == 0 && (cfg.DropsOnly || cfg.Reason != ""):
			continue
		case cfg.Reason != "" && !strings.HasPrefix(t.reasons[reason-1].name, cfg.Reason):
			continue
		case cfg.Match != nil && !cfg.Match(t.packet):
			continue
		}
		kept := t.packet[:min(len(t.packet), cfg.Snap)]
		b := st.records.Append(tapHeader + len(kept))
		if b == nil {
			st.lost.Add(1)
			continue
		}
		binary.NativeEndian.PutUint64(b, uint64(now))
		b[8], b[9] = direction, 0
		binary.NativeEndian.PutUint16(b[10:], uint16(reason))
		binary.NativeEndian.PutUint32(b[12:], uint32(len(t.packet)))
		copy(b[tapHeader:], kept)
	}
}

func (t *tapping) publish() {
	for _, st := range t.taps {
		st.records.Publish()
	}
}

// DropReasons returns the names of the reasons for which a Tap sees packets dropped.
func DropReasons() (names []string) {
	var stats ShardStats
	for _, r := range tapReasons(nil, "", reflect.ValueOf(&stats).Elem()) {
		names = append(names, r.name)
	}
	below := belowReasons()
	for _, number := range slices.Sorted(maps.Keys(below)) {
		names = append(names, below[number].name)
	}
	return names
}
