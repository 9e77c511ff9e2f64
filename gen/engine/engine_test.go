package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// rig is a lab whose stack's side sends.
type rig struct {
	t     *testing.T
	lab   *netlab.Lab
	iface *afxdp.Interface
}

func newRig(t *testing.T, queues int, o afxdp.Options) *rig {
	t.Helper()
	r := &rig{t: t, lab: netlab.ForTest(t, netlab.Config{Name: "gen", Queues: queues})}
	o.SendOnly, o.Mode = true, afxdp.ModeCopy
	err := r.lab.Stack.Do(func() (err error) {
		r.iface, err = afxdp.Open(r.lab.Stack.Interface, o, bpf.Config{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.iface.Close() })
	if err := r.lab.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) config(c rate.Config) Config {
	cfg := Config{Queues: r.iface.Queues(), Rate: c}
	stream, err := gen.ParseStream("udp,src=10.77.0.2,dst=10.77.0.99,size=128")
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range cfg.Queues {
		p, err := gen.Compile([]gen.Stream{stream}, gen.Options{
			Worker: i, Workers: len(cfg.Queues), Source: ethernet.Addr(r.lab.Stack.MAC), Target: ethernet.Addr(r.lab.Kernel.MAC),
		})
		if err != nil {
			r.t.Fatal(err)
		}
		cfg.Sources = append(cfg.Sources, p)
	}
	return cfg
}

// arrived returns how many packets the other side has received so far.
func (r *rig) arrived() (n uint64) {
	r.t.Helper()
	err := r.lab.Kernel.Do(func() error {
		link, err := netlink.LinkByName(r.lab.Kernel.Interface)
		if err == nil {
			n = link.Attrs().Statistics.RxPackets
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *rig) accounted() {
	r.t.Helper()
	for _, q := range r.iface.Queues() {
		accounted(r.t, q)
	}
}

// TestRun sends a number of packets from two queues over veth, at a rate, after a warm-up.
func TestRun(t *testing.T) {
	r := newRig(t, 2, afxdp.Options{})
	cfg := r.config(rate.Config{Phases: []rate.Phase{rate.Constant(rate.PPS(20e3), 0)}, Count: 6001, WarmUp: 100 * time.Millisecond})
	before := r.arrived()
	got, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got.Packets != 6001 || got.Bytes != 6001*124 || len(got.Workers) != 2 || got.Workers[0].Packets != 3001 || got.Unfinished != 0 {
		t.Errorf("%+v", got.Counters)
	}
	if n := r.arrived() - before; n < 6001 || n > 8001 || n+got.Dropped < 8001-2000 {
		t.Errorf("%d packets arrived", n)
	}
	if got.Elapsed < 300*time.Millisecond || got.Lateness.TotalCount() != 6001 {
		t.Errorf("it took %v; %d packets have a lateness", got.Elapsed, got.Lateness.TotalCount())
	}
	if bits := got.Bits(rate.L2); bits != 6001*128*8 {
		t.Errorf("%v bits of L2", bits)
	}
	r.accounted()
}

// TestMean holds the rate for a second, and tells meanwhile what was sent.
func TestMean(t *testing.T) {
	r := newRig(t, 1, afxdp.Options{})
	e, err := New(r.config(constant(10e3, time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Snapshot(); s.Packets != 0 {
		t.Errorf("before the start: %+v", s.Counters)
	}
	var snapshots []Snapshot
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			snapshots = append(snapshots, e.Snapshot())
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	got, err := e.Run(t.Context())
	close(ended)
	wg.Wait()
	if err != nil || got.Packets+got.Lost != 10000 {
		t.Errorf("%v: %+v", err, got.Counters)
	}
	if late := got.Elapsed - time.Second; got.Lost == 0 && (late < 0 || late > 100*time.Millisecond) {
		t.Errorf("it took %v", got.Elapsed)
	}
	previous, recorded := uint64(0), int64(0)
	snapshots = append(snapshots, e.Snapshot())
	for _, s := range snapshots {
		if s.Packets < previous {
			t.Errorf("%d packets after %d", s.Packets, previous)
		}
		previous = s.Packets
		recorded = s.Lateness.TotalCount()
	}
	if previous != got.Packets || len(snapshots) < 10 || recorded != got.Lateness.TotalCount() {
		t.Errorf("%d snapshots tell of %d packets, %d with a lateness; the result of %d and %d", len(snapshots), previous, recorded,
			got.Packets, got.Lateness.TotalCount())
	}
	r.accounted()
}

// TestInterrupted has the context end a run without an end.
func TestInterrupted(t *testing.T) {
	r := newRig(t, 2, afxdp.Options{})
	for _, c := range []rate.Config{{}, constant(1, 0), {WarmUp: time.Hour}} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		begin := time.Now()
		got, err := Run(ctx, r.config(c))
		cancel()
		if err != nil || time.Since(begin) > 3*time.Second || got.Unfinished != 0 || (got.Packets == 0) != (c.WarmUp > 0) {
			t.Errorf("%v after %v: %+v", err, time.Since(begin), got)
		}
		r.accounted()
	}
}

// TestLinkGoesAway takes the link down for a while, and removes it in the end.
func TestLinkGoesAway(t *testing.T) {
	r := newRig(t, 1, afxdp.Options{})
	cfg := r.config(constant(10e3, 600*time.Millisecond))
	cfg.Rate.CatchUp = 10 * time.Millisecond
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(100 * time.Millisecond)
		if err := r.lab.Stack.SetDown(); err != nil {
			t.Error(err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := r.lab.Stack.SetUp(); err != nil {
			t.Error(err)
		}
	})
	got, err := Run(t.Context(), cfg)
	wg.Wait()
	if err != nil || got.LinkDown == 0 || got.Lost < 1000 || got.Packets+got.Lost != 6000 || got.Packets < 2000 {
		t.Errorf("%v: %+v", err, got.Counters)
	}
	r.accounted()

	wg.Go(func() {
		time.Sleep(50 * time.Millisecond)
		err := r.lab.Stack.Do(func() error {
			return netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: r.lab.Stack.Interface}})
		})
		if err != nil {
			t.Error(err)
		}
	})
	cfg.Rate.Phases = constant(10e3, 0).Phases
	cfg.Drain = 10 * time.Millisecond
	got, err = Run(t.Context(), cfg)
	wg.Wait()
	if !errors.Is(err, afxdp.ErrGone) || got.Packets == 0 {
		t.Errorf("%v: %+v", err, got.Counters)
	}
}

// TestStamps asks the kernel when it sent.
func TestStamps(t *testing.T) {
	r := newRig(t, 1, afxdp.Options{TxStamps: 1024})
	if !r.iface.Queues()[0].Mode().TxTimestamps {
		t.Skip("the kernel does not tell when it sends")
	}
	cfg := r.config(constant(5e3, 200*time.Millisecond))
	cfg.StampEvery = 4
	got, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	// Of a batch only the first packet may be asked for.
	if n := got.Distances.TotalCount(); n < 20 || n > 250 || got.StampsLost != 0 {
		t.Errorf("%d distances of 1000 packets; %+v", n, got.Counters)
	}
	r.accounted()
	cfg.Queues = newRig(t, 1, afxdp.Options{}).iface.Queues()
	if _, err := New(cfg); !errors.Is(err, ErrConfig) {
		t.Errorf("without stamps: %v", err)
	}
}

// counter is a Receiver that counts.
type counter struct{ packets, signed int }

func (c *counter) Received(batch []frame.Desc, pool *frame.Pool, now uint64) {
	for _, d := range batch {
		c.packets++
		if s, ok := gen.FindSignature(pool.Bytes(d)); ok && s.Time != 0 && s.Time <= now+10e3 { // two workers' ideas of the time may differ a little
			c.signed++
		}
	}
}

// TestReceive has two engines send to each other.
func TestReceive(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gen"})
	sides := []*netlab.Side{lab.Stack, lab.Kernel}
	var wg sync.WaitGroup
	var counts [2]counter
	var results [2]*Result
	var interfaces [2]*afxdp.Interface
	for i, side := range sides {
		err := side.Do(func() (err error) {
			interfaces[i], err = afxdp.Open(side.Interface, afxdp.Options{Mode: afxdp.ModeCopy}, bpf.Config{Mode: bpf.OwnAddress})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer interfaces[i].Close()
		if err := interfaces[i].Program().AddAddress(side.Address.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	for i, side := range sides {
		other := sides[1-i]
		stream, err := gen.ParseStream("udp,src=" + side.Address.Addr().String() + ",dst=" + other.Address.Addr().String() + ",size=64")
		if err != nil {
			t.Fatal(err)
		}
		program, err := gen.Compile([]gen.Stream{stream}, gen.Options{Source: ethernet.Addr(side.MAC), Target: ethernet.Addr(other.MAC)})
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Queues: interfaces[i].Queues(), Sources: []Source{program}, Receivers: []Receiver{&counts[i]}, Rate: constant(5e3, 200*time.Millisecond),
			Linger: 200 * time.Millisecond,
		}
		wg.Go(func() {
			if results[i], err = Run(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, r := range results {
		want := int(results[1-i].Left())
		if counts[i].packets != want || counts[i].signed != want || r.Received != uint64(want) || want < 500 {
			t.Errorf("end %d has received %+v, and sent was %d", i, counts[i], want)
		}
		accounted(t, interfaces[i].Queues()[0])
	}
}

func TestConfigErrors(t *testing.T) {
	q := newFakeQueue(t, 64)
	good := Config{Queues: []afxdp.Queue{q}, Sources: []Source{&numbers{length: 60}}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Config){
		"no queue":     func(c *Config) { c.Queues = nil },
		"no source":    func(c *Config) { c.Sources = nil },
		"CPUs":         func(c *Config) { c.CPUs = []int{0, 1} },
		"a CPU":        func(c *Config) { c.CPUs = []int{5000} },
		"batch":        func(c *Config) { c.Batch = -1 },
		"longer":       func(c *Config) { c.Sources = []Source{&numbers{length: 1600}} },
		"no timestamp": func(c *Config) { c.StampEvery = 1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
	bad := good
	bad.Rate = rate.Config{Burst: -1}
	if _, err := New(bad); !errors.Is(err, rate.ErrRate) {
		t.Errorf("rate: %v", err)
	}
	absent := good
	absent.CPUs = []int{1000}
	if _, err := Run(t.Context(), absent); err == nil {
		t.Error("there is a CPU 1000")
	}
}
