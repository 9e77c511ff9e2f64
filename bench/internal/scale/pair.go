package scale

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/stack"
)

// Pair is what very many connections between two stacks of ours take, both ends together.
type Pair struct {
	Held
	Asked   int     `json:"asked"`   // requests while the connections were held
	Late    float64 `json:"late"`    // seconds that the longest of them had no answer
	Asking  float64 `json:"asking"`  // seconds that one request on each connection took in the end
	Retries uint64  `json:"retries"` // segments that were sent again
	Listed  Listed  `json:"listed"`
}

// PairConfig says what is done with the connections of a pair.
type PairConfig struct {
	Connections int
	Interval    time.Duration // between two requests of a connection while they are held
	Hold        time.Duration // for so long
}

// request is what a connection asks and gets back.
const request = "are you alive?\r\n"

// Bounds of what is under way at a time: less than the 256 frames that a veth pair holds.
const (
	opensUnderWay = 128
	asksUnderWay  = 128
)

// HoldPair opens connections from each of the client's further addresses in turn to a port of the server, which sends back what it gets;
// holds them with a request on each in every interval; lists them; and asks once more on each, in the end. It calls begin when they are
// open. Every connection must have answered every request.
func HoldPair(client, server *stack.Stack, port uint16, cfg PairConfig, begin func() error) (p Pair, err error) {
	if _, err := server.Handle(fmt.Sprintf(":%d", port), service.Echo{}); err != nil {
		return p, err
	}
	target := netip.AddrPortFrom(server.Address().Addr(), port)
	g := gang{client: client}
	for i := range client.Shards() {
		d := &driver{target: target, dialer: stack.Dialer{Stack: client, Spread: true}, share: share(cfg.Connections, client.Shards(), i)}
		d.slots = make([]slot, d.share)
		for k := range d.slots {
			d.slots[k].asked = -1 // touched, so that it does not count
		}
		g.drivers = append(g.drivers, d)
	}
	first := min(cfg.Connections, 1000)
	if err := g.open(first); err != nil { // so that what does not depend on the number is there
		return p, err
	}
	before, heap := settle()
	start := time.Now()
	if err := g.open(cfg.Connections); err != nil {
		return p, err
	}
	took := time.Since(start)
	after, now := settle()
	if err := begin(); err != nil {
		return p, err
	}
	if p.Asked, p.Late, err = g.hold(cfg); err != nil {
		return p, err
	}
	if p.Listed, err = g.list(server, cfg); err != nil {
		return p, err
	}
	each := float64(cfg.Connections - first)
	p.Held = Held{
		Connections: cfg.Connections, Bytes: float64(after-before) / each, Resident: float64(after), Seconds: took.Seconds(),
		Heap:    float64(int64(now.HeapAlloc)-int64(heap.HeapAlloc)) / each,
		Objects: float64(int64(now.HeapObjects)-int64(heap.HeapObjects)) / each,
	}
	start = time.Now()
	runtime.GC()
	p.Collection = time.Since(start).Seconds()
	start = time.Now()
	if err := g.ask(cfg.Connections, 0); err != nil {
		return p, err
	}
	p.Asking = time.Since(start).Seconds()
	p.Retries = retries(client) + retries(server)
	return p, g.check()
}

// share returns how many of n things the i-th of parts has.
func share(n, parts, i int) int { return (n + parts - 1 - i) / parts }

// retries returns how many segments a stack has sent again.
func retries(s *stack.Stack) (n uint64) {
	reports, err := s.Report()
	if err != nil {
		return 0
	}
	for _, r := range reports {
		n += r.Stats.TCP.Retransmits + r.Stats.TCP.SYNRetransmits
	}
	return n
}

// gang are the drivers of all shards of a client.
type gang struct {
	client  *stack.Stack
	drivers []*driver
}

// open opens connections until there are n.
func (g *gang) open(n int) error {
	return g.run(n, func(d *driver, n int) { d.most = n }, func(d *driver) (int, int) { return d.opened, d.most })
}

// ask asks once on each connection, within a time; 0: as fast as answers come.
func (g *gang) ask(n int, within time.Duration) error {
	return g.run(n, func(d *driver, n int) {
		d.asked, d.answered, d.asks, d.within, d.began = 0, 0, n, within, 0
	}, func(d *driver) (int, int) { return d.answered, d.asks })
}

// hold asks on every connection in each interval.
func (g *gang) hold(cfg PairConfig) (asked int, late float64, err error) {
	for end := time.Now().Add(cfg.Hold); time.Now().Before(end) && err == nil; asked += cfg.Connections {
		err = g.ask(cfg.Connections, cfg.Interval)
	}
	longest, e := g.late()
	return asked, longest.Seconds(), errors.Join(err, e)
}

// late returns how long a request had no answer at most.
func (g *gang) late() (longest time.Duration, err error) {
	err = g.each(func(d *driver) { longest = max(longest, d.late) })
	return longest, err
}

// each calls f with every driver on its shard.
func (g *gang) each(f func(d *driver)) (err error) {
	for i, d := range g.drivers {
		err = errors.Join(err, g.client.Shard(i).Do(func(*stack.Shard) { f(d) }))
	}
	return err
}

// run gives every driver its part of n things to do, and waits until all are done, as long as there is progress.
func (g *gang) run(n int, begin func(*driver, int), progress func(*driver) (done, all int)) error {
	for i, d := range g.drivers {
		part := share(n, len(g.drivers), i)
		if err := g.client.Shard(i).Do(func(s *stack.Shard) {
			begin(d, part)
			s.SetOnTurn(d.turn)
		}); err != nil {
			return err
		}
	}
	last, moved := -1, time.Now()
	for {
		sum, want := 0, 0
		var failure error
		for i, d := range g.drivers {
			if err := g.client.Shard(i).Do(func(*stack.Shard) {
				done, all := progress(d)
				sum, want, failure = sum+done, want+all, errors.Join(failure, d.failure)
			}); err != nil {
				return err
			}
		}
		switch {
		case failure != nil:
			return fmt.Errorf("scale: with %d of %d done: %w", sum, want, failure)
		case sum == want:
			return nil
		case sum != last:
			last, moved = sum, time.Now()
		case time.Since(moved) > 2*patience:
			return fmt.Errorf("scale: nothing moves with %d of %d done", sum, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// check makes sure that every connection is there and has answered everything.
func (g *gang) check() (err error) {
	for i, d := range g.drivers {
		err = errors.Join(err, g.client.Shard(i).Do(func(*stack.Shard) {
			for k := range d.slots {
				if s := &d.slots[k]; s.got != s.want || s.got == 0 {
					d.failure = fmt.Errorf("scale: connection %d has %d bytes of %d", k, s.got, s.want)
					return
				}
			}
		}), d.failure)
	}
	return err
}

// slot is one connection of a driver.
type slot struct {
	conn      *stack.Conn
	asked     clock.Time // when it was asked last
	got, want uint32     // bytes
}

// driver does the client's part on one shard. Only that shard touches it.
type driver struct {
	target netip.AddrPort
	dialer stack.Dialer
	share  int
	slots  []slot

	most, started, opened int // connections
	asks, asked, answered int
	within                time.Duration // what all asks are spread over
	began                 clock.Time
	late                  time.Duration
	failure               error
}

// turn opens connections and asks, as far as that is due.
func (d *driver) turn(s *stack.Shard, now clock.Time) clock.Time {
	for d.started < d.most && d.started-d.opened < opensUnderWay && d.failure == nil {
		k := &d.slots[d.started]
		if k.conn, d.failure = d.dialer.OpenOn(s, d.target, d); d.failure != nil {
			break
		}
		k.conn.SetContext(k)
		d.started++
	}
	if d.began == 0 {
		d.began = now
	}
	due := d.asks
	if d.within > 0 {
		due = min(due, int(float64(d.asks)*now.Sub(d.began).Seconds()/d.within.Seconds()))
	}
	for d.asked < due && d.asked-d.answered < asksUnderWay && d.failure == nil {
		k := &d.slots[d.asked]
		b := k.conn.Reserve(len(request))
		if len(b) < len(request) {
			break // no frame is free: later
		}
		copy(b, request)
		k.conn.Commit(len(request))
		k.asked = now
		k.want += uint32(len(request))
		d.asked++
	}
	if d.asked < d.asks || d.started < d.most {
		return now.Add(200 * time.Microsecond)
	}
	return clock.Never
}

func (d *driver) Opened(*stack.Conn)   { d.opened++ }
func (d *driver) Writable(*stack.Conn) {}

func (d *driver) Received(c *stack.Conn, b []byte) {
	k := c.Context().(*slot)
	if k.got += uint32(len(b)); k.got == k.want {
		d.answered++
		d.late = max(d.late, c.Now().Sub(k.asked))
	}
}

func (d *driver) PeerClosed(c *stack.Conn) { c.Close() }

func (d *driver) Closed(_ *stack.Conn, err error) {
	d.failure = errors.Join(errors.New("a connection was closed"), err)
}
