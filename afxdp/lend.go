package afxdp

import (
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
)

// A frame that is lent:
//
//	the owner's pool: held ──────────────────────────────────────────────────────► held, and released in Recycle
//	                        Lend                                 pipe             ▲
//	the other queue:        └► TX ring ► sent ► completion ring ──────────────────┘
//
// The owner's pool sees none of it: it is used by the owner's goroutine alone. So which frames it sends is noted by the
// queue that does.

// Lend has a queue send packets that lie in frames of another queue of the same memory, in order, whole ones, and returns how
// many frames it took. It is for the goroutine that uses the queue that sends. Each frame must have one owner, who gives it up
// with the call, and may be any goroutine: it goes back to its own queue when it was sent, whose Recycle frees it. Frames that
// were not taken stay their owner's. What the device is to do with a packet, a checksum for one, cannot be asked for.
//
// It panics if the queues do not share this memory.
func (m *Memory) Lend(to, from Queue, batch []frame.Desc) int {
	t, f := m.queue(to), m.queue(from)
	if t == f {
		panic("afxdp: Lend from a queue to itself")
	}
	if t.fd < 0 {
		return 0
	}
	first, n := t.tx.Reserve(len(batch))
	base := f.part.base()
	next, bytes, packets, took, refused := first, 0, 0, 0, false
	for took < n {
		k, ok := t.packetOf(batch[took:])
		if k > n-took {
			break
		}
		ok = ok && batch[took].Ask == 0
		if !ok {
			t.stats.TxMalformed++
			refused = true
		} else {
			packets++
		}
		for _, d := range batch[took : took+k] {
			address := base + uint64(d.Frame)<<m.shift
			t.part.has[address>>m.shift] = true
			if !ok {
				t.part.giveBack(address)
				continue
			}
			slot := unix.XDPDesc{Addr: address + uint64(d.Off), Len: d.Len}
			if d.More {
				slot.Options = unix.XDP_PKT_CONTD
			}
			*t.tx.Slot(next) = slot
			next++
			bytes += int(d.Len)
		}
		took += k
	}
	sent := int(next - first)
	t.tx.Unreserve(n - sent)
	t.queued += sent
	t.stats.TxPackets += uint64(packets)
	t.stats.TxFragments += uint64(sent - packets)
	t.stats.TxBytes += uint64(bytes)
	if refused {
		t.part.publish()
	}
	return took
}

func (m *Memory) queue(q Queue) *native {
	n, ok := q.(*native)
	if !ok || n.part == nil || n.part.memory != m {
		panic("afxdp: Lend between queues that do not share this memory")
	}
	return n
}

// giveBack sends the frame at an address home if it was lent to this part, and reports whether it was. The other part sees it
// after publish.
func (p *part) giveBack(address uint64) bool {
	if p == nil {
		return false
	}
	m := p.memory
	i := address >> m.shift
	if i >= uint64(len(p.has)) || !p.has[i] {
		return false
	}
	p.has[i] = false
	home := &m.back[p.number][i/uint64(m.opt.Frames)]
	slot, _ := home.in.Reserve(1) // a frame is in one pipe at most, which has room for all of the part
	*home.in.Slot(slot) = uint32(i % uint64(m.opt.Frames))
	return true
}

// publish lets the other parts have what was given back.
func (p *part) publish() {
	for i := range p.memory.back[p.number] {
		if i != p.number {
			p.memory.back[p.number][i].in.Submit()
		}
	}
}

// takeBack frees the frames that others have sent.
func (p *part) takeBack(pool *frame.Pool) {
	for i := range p.memory.back {
		if i == p.number {
			continue
		}
		home := p.memory.back[i][p.number].out
		first, n := home.Peek(home.Size())
		for k := range uint32(n) {
			pool.Release(frame.Index(*home.Slot(first + k)))
		}
		if n > 0 {
			home.Release()
		}
	}
}

// giveAllBack sends every frame home that was lent to this part, after its socket was closed.
func (p *part) giveAllBack() {
	for i := range p.has {
		p.giveBack(uint64(i) << p.memory.shift)
	}
	p.publish()
}
