package stack

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/xdpstack/xdpstack/tcp"
)

// TestFlowTableAgainstMap inserts and removes at random, with few distinct hashes so that runs are long, and compares with a map.
func TestFlowTableAgainstMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var slab connSlab
	var table flowTable
	table.init()
	model := make(map[tcp.Flow]*Conn)
	flow := func() tcp.Flow {
		return tcp.Flow{LocalPort: 80, RemotePort: uint16(rnd.IntN(600))}
	}
	hash := func(f tcp.Flow) uint32 { return uint32(f.RemotePort) % 97 * 0x9e3779b1 }
	for range 100_000 {
		f := flow()
		h := hash(f)
		c := table.lookup(&slab, &f, h)
		if c != model[f] {
			t.Fatalf("lookup of %v gave %p, want %p", f, c, model[f])
		}
		if c == nil {
			c = slab.alloc()
			c.tcp.SetFlow(f)
			table.insert(h, c.id)
			model[f] = c
		} else if rnd.IntN(2) == 0 {
			table.remove(h, c.id)
			slab.release(c)
			delete(model, f)
		}
		if table.n != len(model) || slab.n != len(model) {
			t.Fatalf("%d entries and %d connections, want %d", table.n, slab.n, len(model))
		}
	}
}

func TestRunQueue(t *testing.T) {
	s := &Shard{}
	var conns []*Conn
	for range 5 {
		c := s.conns.alloc()
		c.flags |= connOpen
		conns = append(conns, c)
	}
	for _, c := range conns {
		s.schedule(c)
		s.schedule(c) // once is enough
	}
	s.unschedule(conns[0])
	s.unschedule(conns[4])
	s.unschedule(conns[2])
	s.schedule(conns[0])
	for _, want := range []*Conn{conns[1], conns[3], conns[0], nil} {
		if got := s.nextRunnable(); got != want {
			t.Fatalf("got %p, want %p", got, want)
		}
	}
	if s.runq.n != 0 {
		t.Errorf("%d left in the queue", s.runq.n)
	}
}

// TestFlowTableGrowsInSteps has no insertion into a large table move more than a few entries, whatever is removed in between, and
// everything be found at every moment.
func TestFlowTableGrowsInSteps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var slab connSlab
	var table flowTable
	table.init()
	type entry struct {
		f tcp.Flow
		h uint32
		c *Conn
	}
	var all []entry
	find := func(e *entry) {
		if c := table.lookup(&slab, &e.f, e.h); c != e.c {
			t.Fatalf("with %d entries: lookup gave %p, want %p", table.n, c, e.c)
		}
	}
	grown := 0
	for len(all) < 100_000 {
		e := entry{f: tcp.Flow{RemoteAddr: [4]byte{byte(len(all) >> 16), 1, byte(len(all) >> 8), byte(len(all))}, RemotePort: uint16(rnd.Uint32())}, h: rnd.Uint32()}
		e.c = slab.alloc()
		e.c.tcp.SetFlow(e.f)
		moves, size := table.moves, len(table.entries)
		table.insert(e.h, e.c.id)
		if n := table.moves - moves; n > flowSteps {
			t.Fatalf("an insertion moved %d entries", n)
		}
		if len(table.entries) != size {
			grown++
		}
		all = append(all, e)
		find(&all[rnd.IntN(len(all))])
		if rnd.IntN(3) == 0 {
			i := rnd.IntN(len(all))
			e := all[i]
			table.remove(e.h, e.c.id)
			slab.release(e.c)
			all[i] = all[len(all)-1]
			all = all[:len(all)-1]
			e.c = nil
			find(&e)
		}
		if table.n != len(all) || 4*table.n > 3*len(table.entries)+4 {
			t.Fatalf("%d entries in %d places, want %d", table.n, len(table.entries), len(all))
		}
	}
	for i := range all {
		find(&all[i])
	}
	if grown < 15 {
		t.Errorf("the table grew %d times only", grown)
	}
}

// BenchmarkFlowTableMiss looks up random flows of a flood in a table of many connections: none of them is there.
func BenchmarkFlowTableMiss(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var slab connSlab
			var table flowTable
			table.init()
			key0, key1 := rand.Uint64(), rand.Uint64()
			f := tcp.Flow{LocalPort: 80}
			for i := range n {
				c := slab.alloc()
				f.RemoteAddr, f.RemotePort = [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, 5
				c.tcp.SetFlow(f)
				table.insert(f.Hash(key0, key1), c.id)
			}
			i := uint32(0)
			for b.Loop() {
				i++
				f.RemoteAddr, f.RemotePort = [4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}, uint16(i)
				if table.lookup(&slab, &f, f.Hash(key0, key1)) != nil {
					b.Fatal("found")
				}
			}
		})
	}
}
