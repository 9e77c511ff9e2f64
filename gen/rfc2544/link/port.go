package link

import (
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/measure"
)

// tai returns the time of CLOCK_TAI in ns, which frames carry.
func tai() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_TAI, &ts) != nil {
		return 0 // there is no such kernel
	}
	return uint64(ts.Nano())
}

// tap measures the frames of a trial among those that a queue receives.
type tap struct {
	recorder *measure.Recorder
	queue    afxdp.Queue
	since    uint64                        // CLOCK_TAI, ns: what was written before is of another trial
	large    []byte                        // a packet that lies in several frames
	other    func(b []byte, q *frame.Pool) // gets what carries no signature; nil: nobody
}

// Received is called with each batch.
func (t *tap) Received(batch []frame.Desc, pool *frame.Pool, now uint64) {
	m := t.recorder.Take()
	defer t.recorder.Release()
	for i := 0; i < len(batch); i++ {
		at := now
		if h, ok := t.queue.Hints(batch[i]); ok && !h.DeviceTime { // a card's clock is not the one in the frames
			at = h.Time
		}
		b := pool.Bytes(batch[i])
		if batch[i].More {
			t.large = append(t.large[:0], b...)
			for more := true; more && i+1 < len(batch); more = batch[i].More {
				i++
				t.large = append(t.large, pool.Bytes(batch[i])...)
			}
			b = t.large
		}
		s, ok := gen.FindSignature(b)
		switch {
		case !ok && t.other != nil:
			t.other(b, pool)
		case ok && s.Time >= t.since:
			m.Packet(b, at, false)
		}
	}
}

// port is a queue that only receives, and stands for an address.
type port struct {
	tap
	mac ethernet.Addr
	ip  netip.Addr
}

// patience is how long a port sleeps before it looks whether the trial is over.
const patience = 20 * time.Millisecond

// run receives until it is over.
func (p *port) run(over *atomic.Bool) {
	batch := make([]frame.Desc, 256)
	p.other = p.answer
	for !over.Load() {
		n := p.queue.Receive(batch)
		if n > 0 {
			p.Received(batch[:n], p.queue.Pool(), tai())
			for _, d := range batch[:n] {
				p.queue.Pool().Release(d.Frame)
			}
		}
		p.queue.Recycle()
		if n == 0 && p.queue.Wait(patience) != nil {
			time.Sleep(patience) // the link is down, or gone: the sender says so
		}
	}
}

// announce tells all who listen where the address is (RFC 5227 section 2.3).
func (p *port) announce() {
	a := ethernet.ARP{Op: ethernet.ARPRequest, SenderMAC: p.mac, SenderIP: p.ip.As4(), TargetIP: p.ip.As4()}
	p.send(ethernet.Broadcast, &a)
}

// answer answers a question for the address.
func (p *port) answer(b []byte, _ *frame.Pool) {
	var h ethernet.Header
	off, err := ethernet.Parse(b, &h)
	if err != nil || h.Type != ethernet.TypeARP {
		return
	}
	a, err := ethernet.ParseARP(b[off:])
	if err != nil || a.Op != ethernet.ARPRequest || a.TargetIP != p.ip.As4() || a.IsAnnouncement() {
		return
	}
	p.send(a.SenderMAC, &ethernet.ARP{Op: ethernet.ARPReply, SenderMAC: p.mac, SenderIP: p.ip.As4(), TargetMAC: a.SenderMAC,
		TargetIP: a.SenderIP})
}

// send sends an ARP packet, if there is a frame for it. What it asks for is asked again.
func (p *port) send(to ethernet.Addr, a *ethernet.ARP) {
	pool := p.queue.Pool()
	f := pool.Alloc()
	if f == frame.None {
		return
	}
	const offset = 64 // in front of it there is room for what a descriptor may ask of the device
	b := pool.Chunk(f)[offset : offset+gen.MinLen]
	clear(b)
	h := ethernet.Header{Dst: to, Src: p.mac, Type: ethernet.TypeARP}
	a.Marshal(b[h.Marshal(b):])
	p.queue.Transmit([]frame.Desc{{Frame: f, Off: offset, Len: gen.MinLen}})
	pool.Release(f)
	_ = p.queue.Flush() // as above
}
