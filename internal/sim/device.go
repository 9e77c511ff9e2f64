package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ring"
)

// Device is one end of a link. One goroutine uses it; in a Network all devices are used by the same.
type Device struct {
	cfg    Config
	pool   *frame.Pool
	wire   wire
	index  int          // in its network
	staged []frame.Desc // taken by Transmit, not flushed yet
	done   []frame.Index
	busy   int        // places of the TX ring in use: staged, under way, and done but not recycled
	packet []byte     // one of several frames, copied together
	random *rand.Rand // when frames are completed
	stats  Stats

	// The rings towards whoever delivers packets, which in a Pipe is the other end's goroutine.
	fill   *ring.Producer[frame.Index]
	rx     *ring.Consumer[frame.Desc]
	fillIn *ring.Consumer[frame.Index] // deliverer's side
	rxOut  *ring.Producer[frame.Desc]  // deliverer's side

	closed   atomic.Bool
	sleeping atomic.Bool
	wake     chan struct{}
	timer    *time.Timer
}

// wire takes packets from devices to others.
type wire interface {
	// send takes a packet of a device, which lies in these frames. It reports whether they are completed already; else the wire calls
	// complete later, for each.
	send(from *Device, b []byte, frames []frame.Desc) (completed bool)
	// flushed is called after the packets of one Flush.
	flushed(from *Device)
}

// Stats counts what a device did with packets.
type Stats struct {
	Received    uint64 `help:"packets given to Receive's caller"`
	Sent        uint64 `help:"packets put on the wire"`
	TxOversize  uint64 `help:"packets dropped: longer than the MTU allows"`
	TxMalformed uint64 `help:"packets dropped: of too many frames, not within them, or a checksum that the device cannot complete"`
	PeerNoFrame uint64 `help:"packets dropped: the receiver had no frame in its fill ring"`
	PeerRxFull  uint64 `help:"packets dropped: the receiver's RX ring was full"`
	PeerClosed  uint64 `help:"packets dropped: the receiver was closed, or its MTU is smaller"`
	RxBad       uint64 `help:"received frames that the pool did not accept"`
}

func newDevice(cfg Config, index int, w wire) (*Device, error) {
	if cfg.HardwareAddr == ([6]byte{}) {
		cfg.HardwareAddr = [6]byte{0x02, 'x', 's', 0, byte(index >> 8), byte(index + 1)}
	}
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	pool, err := cfg.newPool()
	if err != nil {
		return nil, err
	}
	d := &Device{cfg: cfg, pool: pool, wire: w, index: index, wake: make(chan struct{}, 1)}
	if d.fill, d.fillIn, err = ring.NewPair[frame.Index](cfg.FillRing); err != nil {
		return nil, fmt.Errorf("sim: device %s: fill ring: %w", cfg.Name, err)
	}
	if d.rxOut, d.rx, err = ring.NewPair[frame.Desc](cfg.RxRing); err != nil {
		return nil, fmt.Errorf("sim: device %s: RX ring: %w", cfg.Name, err)
	}
	d.staged = make([]frame.Desc, 0, cfg.TxRing)
	d.done = make([]frame.Index, 0, cfg.TxRing)
	d.Recycle()
	return d, nil
}

// Name returns the device's name.
func (d *Device) Name() string { return d.cfg.Name }

// Pool returns the memory that the device receives into and sends from.
func (d *Device) Pool() *frame.Pool { return d.pool }

// HardwareAddr returns the Ethernet address.
func (d *Device) HardwareAddr() [6]byte { return d.cfg.HardwareAddr }

// MTU returns the largest IP packet in bytes.
func (d *Device) MTU() int { return d.cfg.MTU }

// ChecksumOffload tells which checksum work need not be done.
func (d *Device) ChecksumOffload() (rx, tx bool) {
	return d.cfg.Offload, d.cfg.Offload || d.cfg.CompleteSums
}

// Stats returns the counters.
func (d *Device) Stats() Stats { return d.stats }

// Receive fills batch with received packets, whole ones, whose frames then belong to the caller, and returns the number of frames. The
// batch must have room for the largest packet.
func (d *Device) Receive(batch []frame.Desc) int {
	first, got := d.rx.Peek(len(batch))
	for ; got > 0 && d.rx.Slot(first+uint32(got)-1).More; got-- {
		d.rx.Unpeek(1)
	}
	if got == 0 {
		return 0
	}
	n := 0
	for i := range uint32(got) {
		p := *d.rx.Slot(first + i)
		if !d.pool.Received(p.Frame, p.Off, p.Len) {
			d.stats.RxBad++
			continue
		}
		batch[n] = p
		n++
		if !p.More {
			d.stats.Received++
		}
	}
	d.rx.Release()
	return n
}

// Room returns how many frames Transmit would take now.
func (d *Device) Room() int { return d.cfg.TxRing - d.busy }

// Transmit queues packets in order, whole ones, and returns how many frames it took. The caller keeps its ownership of the frames,
// whose bytes must not change until they are completed.
func (d *Device) Transmit(batch []frame.Desc) int {
	if d.closed.Load() {
		return 0
	}
	n := min(len(batch), d.Room())
	for n > 0 && batch[n-1].More {
		n--
	}
	for _, p := range batch[:n] {
		d.pool.Transmitting(p.Frame)
	}
	d.staged = append(d.staged, batch[:n]...)
	d.busy += n
	return n
}

// Flush puts what Transmit queued on the wire.
func (d *Device) Flush() error {
	if len(d.staged) == 0 {
		return nil
	}
	for rest := d.staged; len(rest) > 0; {
		frames := firstPacket(rest)
		rest = rest[len(frames):]
		if b := d.acceptable(frames); b != nil && !d.wire.send(d, b, frames) {
			continue
		}
		for _, p := range frames {
			d.done = append(d.done, p.Frame)
		}
	}
	d.staged = d.staged[:0]
	d.wire.flushed(d)
	return nil
}

// firstPacket returns the frames of the first packet of the batch, which ends with a whole one.
func firstPacket(batch []frame.Desc) []frame.Desc {
	n := 1
	for batch[n-1].More {
		n++
	}
	return batch[:n]
}

// acceptable counts a packet as sent and returns its bytes, valid until the next call; one that cannot be sent it counts as dropped,
// and returns nil.
func (d *Device) acceptable(frames []frame.Desc) []byte {
	size, length := uint32(d.cfg.FrameSize), 0
	for _, p := range frames {
		if p.Off > size || p.Len > size-p.Off {
			d.stats.TxMalformed++
			return nil
		}
		length += int(p.Len)
	}
	switch {
	case len(frames) > frame.MaxFrames:
		d.stats.TxMalformed++
		return nil
	case length > d.cfg.maxPacket():
		d.stats.TxOversize++
		return nil
	}
	start, field := frames[0].Ask.Sum()
	if _, completes := d.ChecksumOffload(); start != 0 && (!completes || int(start+field)+2 > length) {
		d.stats.TxMalformed++
		return nil
	}
	d.stats.Sent++
	if len(frames) == 1 && start == 0 {
		return d.pool.Bytes(frames[0])
	}
	d.packet = d.packet[:0]
	for _, p := range frames {
		d.packet = append(d.packet, d.pool.Bytes(p)...)
	}
	if start != 0 {
		b := d.packet[start:]
		binary.BigEndian.PutUint16(b[field:], checksum.Finish(checksum.Sum(b, 0)))
	}
	return d.packet
}

// complete notes that the wire is done with a frame.
func (d *Device) complete(f frame.Index) { d.done = append(d.done, f) }

// Recycle takes completed frames back, tops up the fill ring, and returns the number completed.
func (d *Device) Recycle() int {
	if d.closed.Load() {
		return 0
	}
	n := len(d.done)
	for _, f := range d.done {
		d.pool.Completed(f)
	}
	d.done = d.done[:0]
	d.busy -= n
	d.refill()
	return n
}

// refill tops up the fill ring. The frames in the RX ring are still the device's, so the two rings together never have more than
// FillRing. When frames run short an eighth of the pool is left for sending, as long as there is an eighth of FillRing to
// receive acknowledgements into.
func (d *Device) refill() {
	have := d.pool.Account().Fill
	spare := max(d.pool.Free()-d.pool.Size()/8, min(d.pool.Free(), d.cfg.FillRing/8-have))
	want := min(d.cfg.FillRing-have, spare)
	if want <= 0 {
		return
	}
	first, got := d.fill.Reserve(want)
	for i := range uint32(got) {
		*d.fill.Slot(first + i) = d.pool.GiveToFill()
	}
	d.fill.Submit()
}

// Close gives up what the device has: packets that were not flushed or received are lost, and every frame that it had is free. The
// pool can still be examined.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.staged, d.done = d.staged[:0], d.done[:0]
	d.pool.Reclaim()
	d.Wake()
	return nil
}

// deliver copies a packet into frames of the device and puts them into the RX ring. It is called by the deliverer. Packets become
// visible when deliveries is called.
func (d *Device) deliver(b []byte, from *Stats) bool {
	if d.closed.Load() || len(b) > d.cfg.maxPacket() {
		from.PeerClosed++
		return false
	}
	room := d.cfg.FrameSize - d.cfg.Headroom
	frames := max((len(b)+room-1)/room, 1)
	if d.rxOut.Free(frames) < frames {
		from.PeerRxFull++
		return false
	}
	slot, got := d.fillIn.Peek(frames)
	if got < frames {
		d.fillIn.Unpeek(got)
		from.PeerNoFrame++
		return false
	}
	index, _ := d.rxOut.Reserve(frames)
	for i := range uint32(frames) {
		f := *d.fillIn.Slot(slot + i)
		n := copy(d.pool.Chunk(f)[d.cfg.Headroom:], b)
		b = b[n:]
		*d.rxOut.Slot(index + i) = frame.Desc{Frame: f, Off: uint32(d.cfg.Headroom), Len: uint32(n), Mark: frame.Mark{More: len(b) > 0}}
	}
	return true
}

// deliveries publishes what was delivered and wakes the receiver.
func (d *Device) deliveries() {
	d.fillIn.Release()
	d.rxOut.Submit()
	if d.sleeping.Load() {
		d.Wake()
	}
}
