package stack_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

var gatewayAddr = netip.MustParseAddr("10.255.0.1")

// flooder sends SYNs from made-up addresses, and is the gateway to those that are not on the link.
type flooder struct {
	dev     *sim.Device
	target  [6]byte
	onLink  bool // the made-up sources are on the server's own network: it asks for their hardware address in vain
	burst   int  // SYNs in a millisecond
	random  *rand.Rand
	next    clock.Time
	sent    int
	replies int
}

func (f *flooder) Step(now clock.Time) bool {
	f.receive()
	if now < f.next {
		return false
	}
	f.next = now.Add(time.Millisecond)
	for range f.burst {
		f.syn()
	}
	_ = f.dev.Flush()
	f.dev.Recycle()
	return true
}

func (f *flooder) Deadline() clock.Time { return f.next }

// receive answers ARP requests for the gateway and counts the SYN-ACKs.
func (f *flooder) receive() {
	batch := make([]frame.Desc, 64)
	for n := f.dev.Receive(batch); n > 0; n = f.dev.Receive(batch) {
		for _, d := range batch[:n] {
			b := f.dev.Pool().Bytes(d)
			if arp, err := ethernet.ParseARP(b[ethernet.HeaderLen:]); b[13] == 6 && err == nil && arp.TargetIP == gatewayAddr.As4() {
				f.answer(&arp)
			} else if b[13] == 0 {
				f.replies++
			}
			f.dev.Pool().Release(d.Frame)
		}
	}
	_ = f.dev.Flush()
	f.dev.Recycle()
}

func (f *flooder) answer(q *ethernet.ARP) {
	f.send(ethernet.TypeARP, func(b []byte) int {
		a := ethernet.ARP{Op: ethernet.ARPReply, SenderMAC: f.dev.HardwareAddr(), SenderIP: q.TargetIP,
			TargetMAC: q.SenderMAC, TargetIP: q.SenderIP}
		return a.Marshal(b)
	})
}

func (f *flooder) syn() {
	src := ipv4.Addr{11, byte(f.random.Uint32()), byte(f.random.Uint32()), byte(1 + f.random.IntN(250))}
	if f.onLink {
		src[0], src[1] = 10, byte(1+f.random.IntN(250))
	}
	dst := ipv4.Addr(serverPrefix.Addr().As4())
	f.send(ethernet.TypeIPv4, func(b []byte) int {
		o := tcp.OutSegment{Seq: tcp.Seq(f.random.Uint32()), Window: 65535, Flags: tcp.FlagSYN, Frame: frame.None,
			Options: tcp.Options{MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: f.random.Uint32()}}
		n := o.HeaderLen()
		h := ipv4.Header{TTL: 64, DF: true, Proto: ipv4.ProtoTCP, Src: src, Dst: dst, TotalLen: uint16(ipv4.MinHeaderLen + n)}
		h.Marshal(b)
		t := b[ipv4.MinHeaderLen : ipv4.MinHeaderLen+n]
		o.Marshal(t, uint16(1024+f.random.IntN(60000)), serverPort.Port())
		binary.BigEndian.PutUint16(t[16:], checksum.Finish(checksum.Sum(t, ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoTCP, n))))
		return ipv4.MinHeaderLen + n
	})
	f.sent++
}

func (f *flooder) send(typ ethernet.Type, payload func(b []byte) int) {
	p := f.dev.Pool()
	i := p.Alloc()
	if i == frame.None {
		return
	}
	b := p.Chunk(i)
	h := ethernet.Header{Dst: f.target, Src: f.dev.HardwareAddr(), Type: typ}
	n := h.Marshal(b)
	n += payload(b[n:])
	f.dev.Transmit([]frame.Desc{{Frame: i, Len: uint32(n)}})
	p.Release(i)
}

// TestSYNFlood lets honest clients connect while others send SYNs that lead nowhere, tens of thousands of them.
func TestSYNFlood(t *testing.T) {
	for name, onLink := range map[string]bool{"through the gateway": false, "from the own network": true} {
		t.Run(name, func(t *testing.T) {
			forSeeds(t, 3, func(t *testing.T, seed uint64) { synFlood(t, seed, onLink) })
		})
	}
}

func synFlood(t *testing.T, seed uint64, onLink bool) {
	w := newWorld(t, seed, settings{config: stack.Config{Gateway: gatewayAddr}})
	dev, err := w.net.NewDevice(sim.Config{Name: "flooder"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.net.Link(dev, w.server.dev, sim.Impairment{Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	f := &flooder{dev: dev, target: w.server.dev.HardwareAddr(), onLink: onLink, burst: 10, random: rand.New(rand.NewPCG(seed, 9))}
	steppers := append(w.steppers(), f)
	server := newEndpoint(2, 100_000)
	w.serve(func() *endpoint { return server })
	run := func(d time.Duration) { w.net.RunFor(d, steppers...) }
	run(2 * time.Second)
	if f.sent < 10_000 {
		t.Fatalf("only %d SYNs", f.sent)
	}
	for i := range 5 {
		server = newEndpoint(2, 100_000)
		client := w.connect(newEndpoint(uint64(i), 100_000))
		start := w.net.Now()
		if !w.net.RunUntil(start.Add(time.Minute), func() bool { return client.closed && server.closed }, steppers...) {
			w.report()
			t.Fatalf("client %d could not get through: opened %v, received %d", i, client.opened, client.received)
		}
		checkExchange(t, client, server)
		t.Logf("client %d: done after %v, while %d SYNs were sent", i, w.since(start), f.sent)
	}
	r, err := w.server.Report()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d SYNs, %d answers, %d half-open, frames %+v", f.sent, f.replies, r[0].HalfOpen, r[0].Frames)
	if !onLink && f.replies < f.sent/2 {
		t.Errorf("%d SYNs got only %d answers", f.sent, f.replies)
	}
	f.burst = 0
	w.until(time.Hour, "both stacks are empty", func() bool { return empty(t, w.client) && empty(t, w.server) })
	w.runFor(time.Minute)
	w.checkFrames()
}
