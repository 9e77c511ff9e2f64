package kernelnet

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// record keeps what a follower tells.
type record struct {
	mu     sync.Mutex
	latest map[[4]byte]Neighbour
	told   int
}

func (r *record) tell(n Neighbour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest[n.IP] = n
	r.told++
}

func (r *record) of(ip [4]byte) (n Neighbour, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok = r.latest[ip]
	return n, ok
}

// follow follows the stack's side of a lab, where the kernel has an address.
func follow(t *testing.T) (*Follower, *record, *netlab.Lab) {
	t.Helper()
	l := netlab.ForTest(t, netlab.Config{Name: "net", BothKernel: true})
	r := &record{latest: make(map[[4]byte]Neighbour)}
	var f *Follower
	err := l.Stack.Do(func() (err error) {
		f, err = Open(Config{Interface: l.Stack.Interface, Changed: func(*Snapshot) {}, Told: r.tell})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, r, l
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

func run(t *testing.T, side *netlab.Side, args ...string) {
	t.Helper()
	if out, err := side.Command(context.Background(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func TestSnapshotFollows(t *testing.T) {
	f, _, l := follow(t)
	far := [4]byte{198, 51, 100, 1}
	hop := func(want string) func() bool {
		return func() bool {
			p, ok := f.Snapshot().Path(far)
			return ok == (want != "") && (!ok || p.Hop == netip.MustParseAddr(want).As4())
		}
	}
	first := f.Snapshot()
	if len(first.Addresses) != 1 || first.Addresses[0].Prefix != l.Stack.Address || first.MTU != 1500 || first.MAC != l.Stack.MAC || !first.Up {
		t.Fatalf("%+v", first)
	}
	if !hop("")() {
		t.Error("a way where no route leads")
	}
	name := l.Stack.Interface
	run(t, l.Stack, "ip", "route", "add", "default", "via", "10.77.0.1")
	eventually(t, "the default route", hop("10.77.0.1"))
	run(t, l.Stack, "ip", "route", "replace", "default", "via", "10.77.0.9")
	eventually(t, "another gateway", hop("10.77.0.9"))
	run(t, l.Stack, "ip", "route", "add", "198.51.100.0/24", "via", "10.77.0.8", "mtu", "1300")
	eventually(t, "a longer prefix", hop("10.77.0.8"))
	if p, _ := f.Snapshot().Path(far); p.MTU != 1300 {
		t.Errorf("%+v", p)
	}
	run(t, l.Stack, "ip", "route", "add", "unreachable", "198.51.100.1")
	eventually(t, "no way", hop(""))
	run(t, l.Stack, "ip", "addr", "add", "192.0.2.1/24", "dev", name)
	eventually(t, "two addresses", func() bool { return len(f.Snapshot().Addresses) == 2 })
	run(t, l.Stack, "ip", "link", "set", name, "mtu", "1400")
	eventually(t, "the MTU", func() bool { return f.Snapshot().MTU == 1400 })
	run(t, l.Stack, "ip", "link", "set", name, "down")
	eventually(t, "down", func() bool { return !f.Snapshot().Up })
	run(t, l.Stack, "ip", "addr", "flush", "dev", name)
	eventually(t, "no addresses", func() bool { return len(f.Snapshot().Addresses) == 0 })
	if len(first.Addresses) != 1 || first.MTU != 1500 {
		t.Errorf("the first snapshot was changed: %+v", first)
	}
	run(t, l.Stack, "ip", "link", "del", name)
	eventually(t, "nothing", func() bool { s := f.Snapshot(); return !s.Up && len(s.Addresses) == 0 && hop("")() })
}

func TestNeighboursFollow(t *testing.T) {
	f, r, l := follow(t)
	peer := l.Kernel.Address.Addr().As4()
	run(t, l.Stack, "ip", "neigh", "flush", "dev", l.Stack.Interface)
	f.Ask(peer)
	eventually(t, "the peer's address", func() bool { n, ok := r.of(peer); return ok && n.Known && n.MAC == l.Kernel.MAC })
	before := r.told
	f.Ask(peer)
	eventually(t, "the answer to one more question", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.told > before
	})
	for _, mac := range []string{"02:00:00:00:00:77", "02:00:00:00:00:78"} {
		run(t, l.Stack, "ip", "neigh", "replace", "10.77.0.1", "lladdr", mac, "dev", l.Stack.Interface, "nud", "stale")
		eventually(t, "another hardware address", func() bool {
			n, _ := r.of(peer)
			return n.Known && n.MAC[5] == mac[len(mac)-1]-'0'+0x70
		})
	}
	run(t, l.Stack, "ip", "neigh", "del", "10.77.0.1", "dev", l.Stack.Interface)
	eventually(t, "no address", func() bool { n, _ := r.of(peer); return !n.Known })
	run(t, l.Stack, "ip", "neigh", "add", "10.77.0.50", "lladdr", "02:00:00:00:00:50", "dev", l.Stack.Interface)
	time.Sleep(20 * time.Millisecond)
	if n, ok := r.of([4]byte{10, 77, 0, 50}); ok {
		t.Errorf("told of %+v, for whom nobody asked", n)
	}
	f.Ask([4]byte{10, 77, 0, 50})
	eventually(t, "who was there before", func() bool { n, _ := r.of([4]byte{10, 77, 0, 50}); return n.Known })
}

// TestNudge resolves a neighbour without a privilege.
func TestNudge(t *testing.T) {
	f, r, l := follow(t)
	run(t, l.Stack, "ip", "neigh", "flush", "dev", l.Stack.Interface)
	peer := l.Kernel.Address.Addr().As4()
	f.Ask(peer)
	eventually(t, "the peer's address", func() bool { n, ok := r.of(peer); return ok && n.Known })
	run(t, l.Stack, "ip", "neigh", "del", "10.77.0.1", "dev", l.Stack.Interface)
	eventually(t, "no address", func() bool { n, _ := r.of(peer); return !n.Known })
	if err := f.nudge(peer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the peer's address again", func() bool { n, _ := r.of(peer); return n.Known })
}

// TestOverrun has the kernel tell more than the follower is given time to hear.
func TestOverrun(t *testing.T) {
	f, r, l := follow(t)
	last := [4]byte{10, 77, 0, 254}
	f.Ask(last)
	r.mu.Lock() // whoever is told something waits
	f.Ask(l.Kernel.Address.Addr().As4())
	if err := f.conn.SetReadBuffer(2048); err != nil {
		t.Fatal(err)
	}
	run(t, l.Stack, "sh", "-c", "for i in $(seq 2 254); do for j in 1 2; do ip neigh replace 10.77.0.$i lladdr 02:00:00:00:00:0$j dev "+
		l.Stack.Interface+"; done; done")
	run(t, l.Stack, "ip", "route", "add", "default", "via", "10.77.0.7")
	r.mu.Unlock()
	eventually(t, "what was told last", func() bool {
		n, _ := r.of(last)
		p, ok := f.Snapshot().Path([4]byte{8, 8, 8, 8})
		return n.Known && n.MAC[5] == 2 && ok && p.Hop[3] == 7
	})
	t.Logf("%+v", f.Stats())
}

func TestAskIsBounded(t *testing.T) {
	f := &Follower{asks: make(chan [4]byte, askQueue)}
	for range askQueue {
		if !f.Ask([4]byte{10, 0, 0, 1}) {
			t.Fatal("refused too early")
		}
	}
	if f.Ask([4]byte{10, 0, 0, 1}) || f.Stats().AsksDropped != 1 {
		t.Errorf("%+v", f.Stats())
	}
	f.asked[0] = make(map[[4]byte]struct{})
	for i := range 3 * maxAsked {
		f.remember([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	if n := len(f.asked[0]) + len(f.asked[1]); n > 2*maxAsked {
		t.Errorf("%s addresses are remembered", strconv.Itoa(n))
	}
}
