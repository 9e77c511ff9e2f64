// Package rawlink measures what AF_XDP alone does on a link: frames received and dropped, sent, or forwarded as fast as it goes,
// without ever sleeping. No stack can be faster than that. The same is done by a program in C on libxdp, which is compiled when
// it is needed.
package rawlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/xdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
)

// Role is what an end of the link does.
type Role string

// The roles. Those of the far end are not measured: it feeds the other, or has what comes dropped by an XDP program. An end that
// counts drops frames until it is told to end, so that none is left out at the edges of a window.
const (
	Drop    Role = "drop"
	Count   Role = "count"
	Send    Role = "send"
	Forward Role = "forward"
	Feed    Role = "feed"
	Sink    Role = "sink"
	Measure Role = "measure" // drop, after a look as Config.Arrival says

	// Generate sends packets whose addresses and ports vary, at Config.Rate. Foreign has a program of somebody else's send.
	Generate Role = "generate"
	Foreign  Role = "foreign"
)

// Sends reports whether an end of that role only sends.
func (r Role) Sends() bool { return r == Send || r == Generate || r == Foreign }

// Config says what an end does.
type Config struct {
	Role      Role
	Driver    string   // of package afxdp, or
	Program   string   // the path of the program in C
	Command   []string // of a foreign program, in place of both
	Interface string
	Size      int     // bytes of a frame, without its checksum
	ZeroCopy  bool    // zero-copy or an error; else frames are copied
	Rate      float64 // frames a second of an end that sends or feeds; 0: as many as it can
	Arrival   Arrival // of an end that measures
	Sign      bool    // of an end that feeds: its frames have signatures
	Warmup    time.Duration
	Window    time.Duration

	To       net.HardwareAddr // of the other end
	Src, Dst netip.Addr       // in the frames: those of the far end and of the measured one
}

const (
	batch    = 64              // frames that are handled at a time
	patience = 5 * time.Second // that a window goes on without a frame
)

// Result is what the measured end counted.
type Result struct {
	Frames  uint64  `json:"frames"`
	Seconds float64 `json:"seconds"`
	Mode    string  `json:"mode"`
	Kicks   uint64  `json:"kicks"`   // system calls that woke the kernel, to transmit or to look at the fill ring
	Dropped uint64  `json:"dropped"` // what the kernel dropped for want of room in the socket's rings

	Process float64 `json:"process,omitempty"` // processor seconds of a foreign program

	Extra map[string]float64 `json:"extra,omitempty"` // further figures, by name with unit
}

// end is one end at work.
type end struct {
	Config
	iface  *afxdp.Interface
	queue  afxdp.Queue
	pool   *frame.Pool
	frames uint64 // of the right size, dropped, sent or forwarded so far
	before uint64 // the window
	given  uint64 // to the device, of an end that sends
	began  time.Time
	descs  [batch]frame.Desc

	measuring measuring
}

// Run plays an end: a measured one for a window that begins warmup after its first frame, one that is not until the context ends.
// It calls mark when it is ready, and at the window's start and end.
func Run(ctx context.Context, cfg Config, mark func(string)) (res Result, err error) {
	switch cfg.Role {
	case Sink:
		return res, sink(ctx, cfg.Interface, mark)
	case Generate:
		return generate(ctx, &cfg, mark)
	}
	e := &end{Config: cfg}
	if err := e.open(); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, e.iface.Close()) }()
	turn, err := e.turn()
	if err != nil {
		return res, err
	}
	mark("ready")
	if cfg.Role == Feed || cfg.Role == Count {
		err := until(ctx, turn, func(time.Time) bool { return false })
		return e.result(e.began, 0), err // of one that counts, the time says nothing
	}
	if err := until(ctx, turn, func(time.Time) bool { return e.frames > 0 }); err != nil {
		return res, err
	}
	warm := time.Now().Add(cfg.Warmup)
	if err := until(ctx, turn, func(now time.Time) bool { return now.After(warm) }); err != nil {
		return res, err
	}
	e.before, e.measuring.before = e.frames, e.measuring.spent
	start, kicks := time.Now(), e.kicks()
	mark("start")
	err = until(ctx, turn, func(now time.Time) bool {
		// Either end may wait for its processor longer than a short window is.
		spent := now.Sub(start)
		return spent >= cfg.Window && e.frames > e.before || spent >= cfg.Window+patience
	})
	res = e.result(start, kicks)
	mark("stop")
	return res, err
}

// result is what was counted since a time, at which the end had made so many kicks.
func (e *end) result(start time.Time, kicks uint64) Result {
	r := Result{Frames: e.frames - e.before, Seconds: time.Since(start).Seconds(), Mode: e.iface.Describe(), Kicks: e.kicks() - kicks}
	if e.Role == Measure && r.Frames > 0 {
		r.Extra = map[string]float64{Handling: float64(e.measuring.spent-e.measuring.before) / float64(r.Frames)}
	}
	if s, err := e.queue.Statistics(); err == nil {
		r.Dropped = s.RxDropped + s.RxRingFull + s.FillRingEmpty
	}
	return r
}

func (e *end) kicks() uint64 {
	s := e.queue.Stats()
	return s.Kicks + s.FillKicks
}

// until takes turns until the condition holds.
func until(ctx context.Context, turn func() error, over func(now time.Time) bool) error {
	for !over(time.Now()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := turn(); err != nil {
			return err
		}
	}
	return nil
}

func (e *end) open() error {
	var err error
	o := afxdp.Options{Driver: e.Driver, Mode: afxdp.ModeCopy, KeepProcessor: true, AdaptiveFill: true} // the program does nothing else
	o.RxHints = e.Arrival == ByProgram
	if e.ZeroCopy {
		o.Mode = afxdp.ModeZeroCopy
	}
	if e.iface, err = afxdp.Open(e.Interface, o, bpf.Config{Mode: bpf.OwnAddress}); err != nil {
		return err
	}
	e.queue = e.iface.Queues()[0]
	e.pool = e.queue.Pool()
	// The far end takes forwarded frames, too: its ring is full soon, and from then on nothing is copied any more.
	return e.iface.Program().AddAddress(e.Dst)
}

// turn returns what the role does once.
func (e *end) turn() (func() error, error) {
	switch e.Role {
	case Drop, Count:
		return e.drop, nil
	case Measure:
		return e.measure, e.prepareMeasuring()
	case Forward:
		return e.forward, nil
	case Send, Feed:
		e.prepare()
		return e.send, nil
	}
	return nil, fmt.Errorf("rawlink: no role %q", e.Role)
}

// drop receives a batch and forgets it.
func (e *end) drop() error {
	n := e.queue.Receive(e.descs[:])
	for _, d := range e.descs[:n] {
		if int(d.Len) == e.Size {
			e.frames++
		}
		e.pool.Release(d.Frame)
	}
	e.queue.Recycle()
	return nil
}

// forward receives a batch and sends it back whence it came. What the device has no room for stays in the receive ring.
func (e *end) forward() error {
	n := e.queue.Receive(e.descs[:min(batch, e.queue.Room())])
	for _, d := range e.descs[:n] {
		b := e.pool.Bytes(d)
		var mac [6]byte
		copy(mac[:], b)
		copy(b, b[6:12])
		copy(b[6:], mac[:])
		if int(d.Len) == e.Size {
			e.frames++
		}
	}
	e.queue.Transmit(e.descs[:n])
	for _, d := range e.descs[:n] {
		e.pool.Release(d.Frame)
	}
	if err := e.flush(); err != nil {
		return fmt.Errorf("rawlink: forward: %w", err)
	}
	e.queue.Recycle()
	return nil
}

// send sends a batch. Every frame of the pool is prepared, and those that were completed last go first, as in the program in C and as in
// the stack: they are still in the cache.
func (e *end) send() error {
	out := e.descs[:0]
	for range min(batch, e.queue.Room(), e.due()) {
		f := e.pool.Alloc()
		if f == frame.None {
			break
		}
		out = append(out, frame.Desc{Frame: f, Len: uint32(e.Size)})
	}
	if e.Sign {
		e.sign(out)
	}
	e.queue.Transmit(out)
	for _, d := range out {
		e.pool.Release(d.Frame)
	}
	if err := e.flush(); err != nil {
		return fmt.Errorf("rawlink: send: %w", err)
	}
	e.given += uint64(len(out))
	e.frames += uint64(e.queue.Recycle())
	return nil
}

// flush hands over what was sent. A card's link may be down for a moment, of its own accord: what waits is sent when it is back.
func (e *end) flush() error {
	if err := e.queue.Flush(); err != nil && !errors.Is(err, afxdp.ErrInterfaceDown) {
		return err
	}
	return nil
}

// due is how many frames an end that sends is to have sent by now and has not. Its time begins with the first that was sent: the link may
// be away for a while when a program has been attached.
func (e *end) due() int {
	if e.frames == 0 {
		e.began = time.Now()
		return batch - int(e.given)
	}
	if e.Rate == 0 {
		return batch
	}
	return int(max(time.Since(e.began).Seconds()*e.Rate-float64(e.given), 0))
}

// sink has every frame dropped by an XDP program until the context ends.
func sink(ctx context.Context, ifname string, mark func(string)) error {
	iface, err := net.InterfaceByName(ifname)
	if err != nil {
		return err
	}
	p, err := xdp.Drop(iface.Index)
	if err != nil {
		return err
	}
	mark("ready")
	<-ctx.Done()
	return p.Close()
}
