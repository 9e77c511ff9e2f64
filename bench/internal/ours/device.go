package ours

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

// device is a stack.Device in memory. Frames to be received are written straight into the pool's, and sent ones are looked at
// where they lie: like DMA, and like the link that gVisor gets.
type device struct {
	pool     *frame.Pool
	mac      [6]byte
	received []frame.Desc
	next     int // the first of received that was not taken yet
	sent     []frame.Desc
}

const (
	frames  = 8192
	txRing  = 2048
	headAt  = 256 // where a received packet begins in its chunk, as with XDP
	chunk   = 2048
	maxHead = 128 // more than all headers together
)

func newDevice(mac [6]byte) (*device, error) {
	pool, err := frame.NewPool(make([]byte, frames*chunk), chunk)
	if err != nil {
		return nil, err
	}
	return &device{pool: pool, mac: mac, sent: make([]frame.Desc, 0, txRing)}, nil
}

// put writes a frame that is to be received. It reports false when the pool has none for it.
func (d *device) put(next func(b []byte) int) bool {
	i := d.pool.GiveToFill()
	if i == frame.None {
		return false
	}
	n := next(d.pool.Chunk(i)[headAt:])
	d.received = append(d.received, frame.Desc{Frame: i, Off: headAt, Len: uint32(n)})
	return true
}

// takeSent hands over the sent frames' headers and completes them.
func (d *device) takeSent(take func(head []byte, size int)) {
	for _, s := range d.sent {
		head := d.pool.Bytes(s)
		take(head[:min(len(head), maxHead)], int(s.Len))
		d.pool.Completed(s.Frame)
	}
	d.sent = d.sent[:0]
}

// pending reports whether there are frames to be received.
func (d *device) pending() bool { return d.next < len(d.received) }

func (d *device) Pool() *frame.Pool              { return d.pool }
func (d *device) HardwareAddr() [6]byte          { return d.mac }
func (d *device) MTU() int                       { return 1500 }
func (d *device) ChecksumOffload() (rx, tx bool) { return false, false }

func (d *device) Receive(batch []frame.Desc) int {
	n := copy(batch, d.received[d.next:])
	for _, p := range batch[:n] {
		d.pool.Received(p.Frame, p.Off, p.Len)
	}
	if d.next += n; d.next == len(d.received) {
		d.received, d.next = d.received[:0], 0
	}
	return n
}

func (d *device) Room() int { return txRing - len(d.sent) }

func (d *device) Transmit(batch []frame.Desc) int {
	n := min(len(batch), d.Room())
	for _, p := range batch[:n] {
		d.pool.Transmitting(p.Frame)
	}
	d.sent = append(d.sent, batch[:n]...)
	return n
}

func (d *device) Flush() error             { return nil }
func (d *device) Recycle() int             { return 0 }
func (d *device) Wait(time.Duration) error { return nil }
func (d *device) Wake()                    {}
func (d *device) Close() error             { return nil }
