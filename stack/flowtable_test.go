package stack

import (
	"math/rand/v2"
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
