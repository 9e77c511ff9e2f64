package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/rss"
	"github.com/xdpstack/xdpstack/internal/sim"
)

// card is what tells its table in these tests. It may be changed at any time.
type card struct {
	table  atomic.Pointer[rss.Table]
	reads  atomic.Int32
	closed atomic.Bool
}

func (c *card) Table() (*rss.Table, error) {
	c.reads.Add(1)
	if t := c.table.Load(); t != nil {
		return t, nil
	}
	return nil, rss.ErrUnknown
}

func (c *card) Close() error { c.closed.Store(true); return nil }

// set gives the card an indirection table.
func (c *card) set(t testing.TB, queues ...uint32) {
	t.Helper()
	key := []byte("a key that is as long as those of cards.")
	table, err := rss.NewTable(&rss.Settings{Function: 1, Key: key, Queues: queues})
	if err != nil {
		t.Fatal(err)
	}
	c.table.Store(table)
}

// spreadStack is a stack with a shard on each of some queues of a card, and a client that talks to it over all queues as the card says.
type spreadStack struct {
	*Stack
	net      *sim.Network
	steppers []sim.Stepper
}

// sameAddress is a device that is one of several with the same address.
type sameAddress struct{ *sim.Device }

func (sameAddress) HardwareAddr() [6]byte { return [6]byte{2, 5: 77} }

func newSpreadStack(t *testing.T, c *card, queues []int, all int) *spreadStack {
	t.Helper()
	w := &spreadStack{net: sim.NewNetwork(1)}
	device := func(name string) *sim.Device {
		d, err := w.net.NewDevice(sim.Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	peer := device("peer")
	var devices []Device
	for _, q := range queues {
		d := device(fmt.Sprint("queue", q))
		devices = append(devices, sameAddress{d})
		link, err := w.net.Link(peer, d, sim.Impairment{Delay: 10 * time.Microsecond})
		if err != nil {
			t.Fatal(err)
		}
		link.Filter = func(_ clock.Time, from *sim.Device, b []byte) bool {
			table := c.table.Load()
			if from != peer || table == nil || b[12] != 8 || b[13] != 0 { // ARP comes to all
				return true
			}
			return table.Queue([4]byte(b[26:]), [4]byte(b[30:]), uint16(b[34])<<8|uint16(b[35]), uint16(b[36])<<8|uint16(b[37])) == q
		}
	}
	start := func(p netip.Prefix, devices ...Device) *Stack {
		cfg := Config{Address: p, Seed: 1}
		if p == prefixA {
			cfg.Addresses = ranges(t, "10.1.0.64/29")
		}
		s, err := New(cfg, devices...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		for _, sh := range s.shards {
			w.steppers = append(w.steppers, sh)
		}
		return s
	}
	server := start(prefixB, peer)
	if _, err := server.Handle(":7", echoes{}); err != nil {
		t.Fatal(err)
	}
	w.Stack = start(prefixA, devices...)
	w.homes.init(c, queues, all)
	w.net.RunFor(2*rereadInterval, w.steppers...)
	return w
}

type echoes struct{}

func (echoes) Opened(*Conn)               {}
func (echoes) Received(c *Conn, p []byte) { c.Write(p) }
func (echoes) Writable(*Conn)             {}
func (echoes) PeerClosed(c *Conn)         { c.Close() }
func (echoes) Closed(*Conn, error)        {}

// caller says something when it is connected and counts what comes back.
type caller struct {
	conn *Conn
	back int
	err  error
}

func (c *caller) Opened(conn *Conn)          { c.conn = conn; conn.Write([]byte("hello")) }
func (c *caller) Received(_ *Conn, p []byte) { c.back += len(p) }
func (c *caller) Writable(*Conn)             {}
func (c *caller) PeerClosed(*Conn)           {}
func (c *caller) Closed(_ *Conn, err error)  { c.err = err }

// dial opens connections, and fails the test if one of them does not get its answer.
func (w *spreadStack) dial(t *testing.T, n int) (all []*caller) {
	t.Helper()
	return w.dialWith(t, n, func(int) Dialer { return Dialer{} })
}

// dialWith is dial with a dialer for each connection.
func (w *spreadStack) dialWith(t *testing.T, n int, dialer func(i int) Dialer) (all []*caller) {
	t.Helper()
	for i := range n {
		c := &caller{}
		d := dialer(i)
		d.Stack = w.Stack
		if err := d.Connect(netip.AddrPortFrom(prefixB.Addr(), 7), c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	w.net.RunFor(10*time.Millisecond, w.steppers...)
	for i, c := range all {
		if c.back != 5 || c.err != nil {
			t.Fatalf("connection %d got %d bytes back, %v", i, c.back, c.err)
		}
	}
	return all
}

func (w *spreadStack) counts() (passed, misdirected, reads uint64) {
	for _, sh := range w.shards {
		passed += sh.stats.PassedOn
		misdirected += sh.stats.Misdirected
		reads += sh.stats.HashReads
	}
	return passed, misdirected, reads
}

// TestDialedConnectionsComeHome has a card send the answers to dialed connections to the shards that dialed, whatever its table, and to
// shards on some of the queues only.
func TestDialedConnectionsComeHome(t *testing.T) {
	for _, c := range []struct {
		name   string
		queues []int
		table  []uint32
	}{
		{"two queues", []int{0, 1}, []uint32{0, 1, 0, 1}},
		{"two queues, unequal shares", []int{0, 1}, []uint32{0, 0, 0, 0, 0, 0, 0, 1}},
		{"queues in another order", []int{1, 0}, []uint32{0, 1}},
		{"two queues of four", []int{3, 1}, []uint32{0, 1, 2, 3}},
		{"one queue of four", []int{2}, []uint32{0, 1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nic := &card{}
			nic.set(t, c.table...)
			w := newSpreadStack(t, nic, c.queues, 4)
			w.dial(t, 200)
			if passed, _, _ := w.counts(); passed != 0 {
				t.Errorf("%d segments came to a wrong shard", passed)
			}
			for i, sh := range w.shards {
				if sh.conns.n != 200/len(w.shards) {
					t.Errorf("shard %d has %d connections of 200", i, sh.conns.n)
				}
			}
		})
	}
}

// TestSpreadConnectionsComeHome dials from many addresses: the answers come to the shards that dialed, too.
func TestSpreadConnectionsComeHome(t *testing.T) {
	nic := &card{}
	nic.set(t, 0, 1, 0, 1)
	w := newSpreadStack(t, nic, []int{0, 1}, 2)
	w.dialWith(t, 16, func(int) Dialer { return Dialer{Spread: true} }) // The peer asks for each address, and lets few segments wait.
	from := map[netip.Addr]int{}
	for _, c := range w.dialWith(t, 160, func(int) Dialer { return Dialer{Spread: true} }) {
		from[c.conn.LocalAddr().Addr()]++
	}
	if passed, _, _ := w.counts(); passed != 0 || len(from) != 8 || from[netip.MustParseAddr("10.1.0.71")] != 20 {
		t.Errorf("%d segments came to a wrong shard, connections by address: %v", passed, from)
	}
}

// TestLowPortsComeHome dials from ports that are not ephemeral, and has all answers come to the wrong shard: they are passed on.
func TestLowPortsComeHome(t *testing.T) {
	nic := &card{}
	nic.set(t, 0, 1)
	w := newSpreadStack(t, nic, []int{0, 1}, 2)
	nic.set(t, 1, 0)
	low := func(i int) Dialer {
		return Dialer{LocalAddr: netip.AddrPortFrom(netip.MustParseAddr("10.1.0.66"), uint16(1000+i))}
	}
	w.dialWith(t, 1, low) // The peer asks for the address.
	w.dialWith(t, 20, func(i int) Dialer { return low(1 + i) })
	if passed, _, _ := w.counts(); passed < 40 {
		t.Errorf("%d segments were passed on", passed)
	}
}

// TestTableChanges changes the card's table while there are connections: they go on, the change is noticed and read once, and new
// connections come home again. Nobody learns it where nothing comes astray.
func TestTableChanges(t *testing.T) {
	nic := &card{}
	nic.set(t, 0, 1, 0, 1)
	w := newSpreadStack(t, nic, []int{0, 1}, 2)
	old := w.dial(t, 100)
	nic.set(t, 1, 0, 0, 1) // half of the flows move
	for _, c := range old {
		c.back = 0
		c.conn.Write([]byte("again"))
	}
	w.net.RunFor(10*time.Millisecond, w.steppers...)
	for i, c := range old {
		if c.back != 5 || c.err != nil {
			t.Fatalf("connection %d got %d bytes back after the change, %v", i, c.back, c.err)
		}
	}
	eventually(t, "the table is read again", func() bool { return nic.reads.Load() == 2 })
	eventually(t, "the new table is known", func() bool { return w.homes.current.Load() == nic.table.Load() })
	passed, misdirected, reads := w.counts()
	if passed < 30 || misdirected == 0 || reads != 1 {
		t.Errorf("%d segments passed on, %d misdirected, %d reads, want many, some, 1", passed, misdirected, reads)
	}
	w.dial(t, 200)
	if again, after, _ := w.counts(); again != passed || after != misdirected {
		t.Errorf("%d segments of new connections came to a wrong shard", again-passed)
	}
	if err := w.Close(); err != nil || !nic.closed.Load() {
		t.Errorf("close: %v; reader closed: %v", err, nic.closed.Load())
	}
	w.homes.reread() // too late, and harmless
}

// TestPortsRunOut uses all flows up that come home after a change of the table; then others serve, up to the last of the shard's own.
func TestPortsRunOut(t *testing.T) {
	nic := &card{}
	nic.set(t, 0, 1)
	w := newSpreadStack(t, nic, []int{0, 1}, 2)
	changed := &card{}
	changed.set(t, 0, 0, 1, 1)
	w.homes.current.Store(changed.table.Load())
	const free = 1000 // ports that nobody listens on
	for _, sh := range w.shards {
		for port := firstEphemeral + free; port < firstEphemeral+numEphemeral; port++ {
			sh.ports[uint16(port)] = &listener{}
		}
	}
	here, astray, used := 0, 0, map[uint16]bool{}
	for _, sh := range w.shards {
		for {
			c, err := sh.connect(netip.AddrPortFrom(prefixB.Addr(), 80), &caller{}, nil, sh.stack.first())
			if errors.Is(err, ErrNoPort) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			f := c.tcp.Flow()
			if used[f.LocalPort] {
				t.Fatalf("port %d was chosen twice", f.LocalPort)
			}
			used[f.LocalPort] = true
			switch home := w.homes.arrival(w.homes.current.Load(), &f) == sh; {
			case home && astray > 0 && sh.id == 0:
				t.Fatal("a flow that does not come home was chosen before one that does")
			case home:
				here++
			default:
				astray++
			}
		}
	}
	if len(used) != free || here < free/3 || astray < free/3 {
		t.Errorf("%d ports were used, %d at home, %d not; want all %d, and half each", len(used), here, astray, free)
	}
}
