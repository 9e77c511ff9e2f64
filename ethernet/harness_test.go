package ethernet

import (
	"fmt"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

var (
	ourMAC   = Addr{2, 0, 0, 0, 0, 1}
	ourIP    = [4]byte{192, 0, 2, 1}
	peerMAC  = Addr{2, 0, 0, 0, 0, 2}
	peerIP   = [4]byte{192, 0, 2, 2}
	otherMAC = Addr{2, 0, 0, 0, 0, 3}
)

// host returns the addresses of the i-th of many hosts.
func host(i int) ([4]byte, Addr) {
	return [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, Addr{2, 1, 0, byte(i >> 16), byte(i >> 8), byte(i)}
}

// bench is a table under test with a pool and a time of its own.
type bench struct {
	*Neighbours
	t    testing.TB
	pool *frame.Pool
	now  clock.Time
}

func newBench(t testing.TB, cfg NeighboursConfig) *bench {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, 512*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MAC, cfg.IP = ourMAC, ourIP
	n, err := NewNeighbours(pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Neighbours: n, t: t, pool: pool, now: clock.Time(time.Hour)}
	t.Cleanup(func() {
		b.check()
		b.Close()
		if held := pool.Account().Held; held != 0 {
			t.Errorf("%d frames leaked", held)
		}
		if err := pool.Check(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// advance lets d pass, with every timer in between at its time.
func (b *bench) advance(d time.Duration) {
	b.t.Helper()
	end := b.now.Add(d)
	for at := b.Deadline(); !at.After(end); at = b.Deadline() {
		if at.Before(b.now) {
			b.t.Fatalf("deadline %v is in the past", at)
		}
		b.now = at
		b.Expire(b.now)
		if !b.Deadline().After(b.now) {
			b.t.Fatalf("deadline %v is still due after Expire", b.Deadline())
		}
		b.check()
	}
	b.now = end
}

// frame allocates a frame to send.
func (b *bench) frame() frame.Desc {
	b.t.Helper()
	i := b.pool.Alloc()
	if i == frame.None {
		b.t.Fatal("the pool is empty")
	}
	return frame.Desc{Frame: i, Off: 128, Len: 60}
}

// resolve calls Resolve with a new frame and wants the given verdict.
func (b *bench) resolve(ip [4]byte, want Verdict) frame.Desc {
	b.t.Helper()
	d := b.frame()
	got := b.Resolve(ip, d, b.now)
	if got != want {
		b.t.Fatalf("Resolve(%v) = %v, want %v", ip, got, want)
	}
	if got != Queued {
		b.pool.Release(d.Frame)
	}
	return d
}

// wantARP wants exactly these packets to be sent.
func (b *bench) wantARP(want ...ARP) {
	b.t.Helper()
	var got []ARP
	for a := (ARP{}); b.NextOutput(&a); {
		got = append(got, a)
	}
	if len(got) != len(want) {
		b.t.Fatalf("sent %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			b.t.Fatalf("packet %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// drainARP throws away the packets to be sent and returns how many they were.
func (b *bench) drainARP() (n int) {
	for a := (ARP{}); b.NextOutput(&a); {
		n++
	}
	return n
}

// wantReady wants exactly these frames, in this order, to be ready for mac.
func (b *bench) wantReady(mac Addr, want ...frame.Desc) {
	b.t.Helper()
	var d frame.Desc
	var a Addr
	for i, w := range want {
		if !b.NextReady(&d, &a) {
			b.t.Fatalf("%d frames ready, want %d", i, len(want))
		}
		if d != w || a != mac {
			b.t.Fatalf("ready frame %d is %+v for %v, want %+v for %v", i, d, a, w, mac)
		}
		b.pool.Release(d.Frame)
	}
	if b.NextReady(&d, &a) {
		b.t.Fatalf("one frame too many is ready: %+v for %v", d, a)
	}
}

// wantLookup wants Lookup to give mac; the zero address stands for none.
func (b *bench) wantLookup(ip [4]byte, mac Addr) {
	b.t.Helper()
	got, ok := b.Lookup(ip, b.now)
	if got != mac || ok != (mac != Addr{}) {
		b.t.Fatalf("Lookup(%v) = %v, %v; want %v", ip, got, ok, mac)
	}
}

// wantState wants an entry of ip in the given state, or none for "".
func (b *bench) wantState(ip [4]byte, state string) {
	b.t.Helper()
	got := ""
	for _, e := range b.Append(nil) {
		if e.IP == ip {
			got = e.State
		}
	}
	if got != state {
		b.t.Fatalf("%v is %q, want %q", ip, got, state)
	}
}

// wantGeneration runs f and wants it to begin a new generation, or not to.
func (b *bench) wantGeneration(changes bool, f func()) {
	b.t.Helper()
	before := b.Generation()
	f()
	if changed := b.Generation() != before; changed != changes {
		b.t.Fatalf("new generation: %v, want %v", changed, changes)
	}
}

// reachable makes a neighbour known by asking for it.
func (b *bench) reachable(ip [4]byte, mac Addr) {
	b.t.Helper()
	if v := b.Resolve(ip, frame.Desc{Frame: frame.None}, b.now); v != Queued {
		b.t.Fatalf("Resolve(%v) = %v", ip, v)
	}
	b.Input(answer(ip, mac), b.now)
	b.drainARP()
	b.wantState(ip, "reachable")
}

// The packets that neighbours send.
func answer(ip [4]byte, mac Addr) *ARP {
	return &ARP{Op: ARPReply, SenderMAC: mac, SenderIP: ip, TargetMAC: ourMAC, TargetIP: ourIP}
}

func question(ip [4]byte, mac Addr) *ARP {
	return &ARP{Op: ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: ourIP}
}

func announcement(ip [4]byte, mac Addr) *ARP {
	return &ARP{Op: ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: ip}
}

// The packets that we send.
func ourRequest(ip [4]byte, mac Addr) ARP {
	return ARP{Op: ARPRequest, SenderMAC: ourMAC, SenderIP: ourIP, TargetMAC: mac, TargetIP: ip}
}

func ourReply(ip [4]byte, mac Addr) ARP {
	return ARP{Op: ARPReply, SenderMAC: ourMAC, SenderIP: ourIP, TargetMAC: mac, TargetIP: ip}
}

// check verifies that lists, hash chains, counts and queues agree with each other and with the bounds.
func (b *bench) check() {
	b.t.Helper()
	if err := b.consistent(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) consistent() error {
	n := b.Neighbours
	inLists, known := 0, 0
	for l := listIncomplete; l < numLists; l++ {
		count, last, prev := int32(0), clock.Time(0), none
		for i := n.lists[l].head; i != none; i = n.entries[i].next {
			e := &n.entries[i]
			switch {
			case e.list != l:
				return fmt.Errorf("entry %d of list %d says it is in list %d", i, l, e.list)
			case e.prev != prev:
				return fmt.Errorf("entry %d of list %d has a wrong back link", i, l)
			case e.deadline.Before(last):
				return fmt.Errorf("list %d is not in order of deadlines", l)
			case n.find(e.ip) != i:
				return fmt.Errorf("entry %d is not found by its address", i)
			case e.queue != none && l != listIncomplete:
				return fmt.Errorf("entry %d of list %d has waiting frames", i, l)
			case e.list.known() == e.mac.IsZero():
				return fmt.Errorf("entry %d of list %d has address %v", i, l, e.mac)
			}
			last, prev = e.deadline, i
			if count++; int(count) > len(n.entries) {
				return fmt.Errorf("list %d is a ring", l)
			}
		}
		if count != n.lists[l].n || n.lists[l].tail != prev {
			return fmt.Errorf("list %d has %d entries and says %d", l, count, n.lists[l].n)
		}
		inLists += int(count)
		if l.known() {
			known += int(count)
		}
	}
	free := 0
	for i := n.free; i != none; i = n.entries[i].chain {
		free++
	}
	k, u := n.Len()
	switch {
	case free+inLists != len(n.entries):
		return fmt.Errorf("%d free and %d used entries of %d", free, inLists, len(n.entries))
	case k != known || k > n.cfg.MaxKnown:
		return fmt.Errorf("%d known entries, says %d, at most %d", known, k, n.cfg.MaxKnown)
	case u > n.cfg.MaxUnresolved:
		return fmt.Errorf("%d unresolved entries, at most %d", u, n.cfg.MaxUnresolved)
	}
	return nil
}
