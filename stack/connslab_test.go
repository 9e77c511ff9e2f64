package stack

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/tcp"
)

// TestConnSize bounds what a connection takes: a million pay for each byte.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 40 {
		t.Errorf("the part that the garbage collector scans takes %d bytes", n)
	}
	if n := unsafe.Sizeof(state{}); n > 432 {
		t.Errorf("the part that it does not see takes %d bytes", n)
	}
}

// TestCollectorAndState has the garbage collector run while nothing but connections' states, which it does not see, points to their
// configurations: those are still there afterwards.
func TestCollectorAndState(t *testing.T) {
	d, err := sim.NewNetwork(1).NewDevice(sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Address: prefixA, Seed: 1}, d)
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, s)
	now := clock.Time(time.Hour)
	sh := s.shards[0]
	sh.Step(now)
	var conns []*Conn
	for i := range 100 {
		cfg, err := sh.core.NewConfig(tcp.Config{SYNRetries: 1 + i})
		if err != nil {
			t.Fatal(err)
		}
		c, err := sh.connect(netip.AddrPortFrom(prefixB.Addr(), 80), &quiet{}, cfg, sh.stack.first())
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			c.tcp.SetLinger(time.Duration(i)) // a copy of its own
		}
		conns = append(conns, c)
	}
	var waste [][]tcp.Config
	for range 5 {
		runtime.GC()
		for range 1000 {
			waste = append(waste, make([]tcp.Config, 1)) // where what was collected lay
		}
	}
	runtime.KeepAlive(waste)
	for i, c := range conns {
		if cfg := c.tcp.Config(); cfg.SYNRetries != 1+i || i%2 == 0 && cfg.Linger != time.Duration(i) {
			t.Fatalf("connection %d has %d SYN retries and lingers for %v", i, cfg.SYNRetries, cfg.Linger)
		}
	}
}
