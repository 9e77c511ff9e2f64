package link

import (
	"context"
	"math"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/gen/rfc2544"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/limit"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// network makes two ports with a network between them that does to frames what it is told, in the direction of the test only.
func network(t *testing.T, path impair.Config) *Link {
	t.Helper()
	lab := netlab.ForTest(t, netlab.Config{Name: "rfc2544", Hop: true})
	hop.ForTest(t, lab.Hop.Do, hop.Config{A: lab.Hop.Stack.Interface, B: lab.Hop.Kernel.Interface, AB: path, Seed: 1})
	a, b := open(t, lab.Stack), open(t, lab.Kernel)
	l, err := New(Config{Send: a.Queues(), Receive: b.Queues(), Source: lab.Stack.MAC, Target: lab.Kernel.MAC, Line: 1e9,
		SourceIP: netip.MustParseAddr("198.18.0.1"), TargetIP: netip.MustParseAddr("198.19.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func open(t *testing.T, side *netlab.Side) *afxdp.Interface {
	t.Helper()
	var i *afxdp.Interface
	err := side.Do(func() (err error) {
		i, err = afxdp.Open(side.Interface, afxdp.Options{Frames: 8192, RxHints: true}, bpf.Config{Mode: bpf.WholeInterface})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// TestReflected: what a reflector sends back, no faster than it may, comes to the port that sends.
func TestReflected(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rfc2544", BothKernel: true})
	const rate, burst = 5000, 40
	far := open(t, lab.Kernel)
	reflector, err := receive.NewReflector(receive.Layer3, netip.Addr{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := receive.New(receive.Config{Queues: far.Queues(), Address: lab.Kernel.Address.Addr(),
		Handlers: []receive.Handler{&slow{Handler: reflector, bucket: limit.New(rate, burst, 0)}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	near := open(t, lab.Stack)
	cfg := Config{Send: near.Queues(), Source: lab.Stack.MAC, Line: 1e9, SourceIP: lab.Stack.Address.Addr(), TargetIP: lab.Kernel.Address.Addr()}
	if cfg.Target, err = Resolve(t.Context(), cfg.Send, cfg.SourceIP, cfg.TargetIP); err != nil || cfg.Target != lab.Kernel.MAC {
		t.Fatalf("the target's MAC address is %v, %v; want %v", cfg.Target, err, lab.Kernel.MAC)
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := quick(rfc2544.Throughput, rfc2544.Latency)
	c.PDR, c.Sizes = 0.02, []rfc2544.Size{rfc2544.IMIX}
	report, err := rfc2544.Run(t.Context(), l, c)
	if err != nil {
		t.Fatal(err)
	}
	row := report.Rows[0]
	t.Logf("%d trials in %v: %+v; %+v %s", report.Trials, report.Took, row.Throughput, row.Latency, row.Failed)
	checkRate(t, row.Throughput[0], rate)
	if row.Latency == nil || row.Latency.Frames == 0 {
		t.Errorf("no latency: %s", row.Failed)
	}
}

// slow is a handler that drops what comes faster than its bucket fills.
type slow struct {
	receive.Handler
	bucket limit.Bucket
}

func (s *slow) Handle(batch []frame.Desc, pool *frame.Pool, now uint64, c *receive.Counters) int {
	n := s.Handler.Handle(batch, pool, now, c)
	kept := 0
	for i := range n {
		if s.bucket.Take(clock.Time(now)) {
			batch[kept], batch[i] = batch[i], batch[kept]
			kept++
		}
	}
	return kept
}

// quick are times for tests.
func quick(tests ...rfc2544.Test) rfc2544.Config {
	return rfc2544.Config{Tests: tests, Sizes: []rfc2544.Size{512}, Method: rfc2544.MLR, Width: 0.05, Trial: 200 * time.Millisecond,
		Wait: 10 * time.Millisecond, Settle: time.Millisecond, LatencyTrials: 1, Bursts: 1, Burst: 20 * time.Millisecond, Shortfall: 0.05}
}

func between(t *testing.T, what string, got, low, high float64) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: %v, want %v to %v", what, got, low, high)
	}
}

// checkRate checks that a throughput, measured with trials of 200 ms, says the truth. The network has room for 40 frames, or is idle for as
// long, which makes 200 frames a second more; a busy machine holds frames up for some milliseconds, which makes a tenth. That the search
// itself is exact is tested with simulated devices.
func checkRate(t *testing.T, got rfc2544.Rate, rate float64) {
	t.Helper()
	most := (rate + 200) * 1.1
	if got.Rate > most || got.Rate <= 0 {
		t.Errorf("throughput %v, want at most %v", got.Rate, most)
	}
	if got.Regular && (got.Lower > most || got.Upper < rate*0.9) { // else the machine was too busy to send, and the report says so
		t.Errorf("the limit is said to lie from %v to %v, and it is %v", got.Lower, got.Upper, rate)
	}
}

// TestKnownLimit: the network forwards 5000 frames of 512 bytes a second, and keeps 40 that have to wait: so little that overload shows,
// and so much that it does not matter when the sender is late by a few milliseconds.
func TestKnownLimit(t *testing.T) {
	const rate, queue = 5000, 40
	l := network(t, impair.Config{Rate: rate * 508 * 8, QueueLen: queue, Delay: time.Millisecond})
	c := quick(rfc2544.Throughput, rfc2544.Latency, rfc2544.BackToBack)
	c.PDR = 0.02
	r, err := rfc2544.Run(t.Context(), l, c)
	if err != nil {
		t.Fatal(err)
	}
	row := r.Rows[0]
	t.Logf("%d trials in %v: %+v; %+v; %+v %s", r.Trials, r.Took, row.Throughput, row.Latency, row.Burst, row.Failed)
	checkRate(t, row.Throughput[0], rate)
	if row.Latency == nil {
		t.Fatalf("no latency: %s", row.Failed)
	}
	between(t, "latency", float64(row.Latency.Min), 1e6, 1e10) // the delay, and what a busy machine adds
	between(t, "burst", row.Burst.Mean, queue*0.5, queue*1.5)  // a search is decided by one unlucky burst, as the RFC has it
}

// TestThroughARouter: the kernel forwards between two networks, decrements the TTL, and asks the receiving port for the target's MAC
// address.
func TestThroughARouter(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rfc2544", Hop: true})
	err := lab.Hop.Do(func() error {
		for name, address := range map[string]string{lab.Hop.Stack.Interface: "198.18.0.254/24", lab.Hop.Kernel.Interface: "198.19.0.254/24"} {
			port, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr(address)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(port, a); err != nil {
				return err
			}
		}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b := open(t, lab.Stack), open(t, lab.Kernel)
	cfg := Config{Send: a.Queues(), Receive: b.Queues(), Source: lab.Stack.MAC, Line: 1e9,
		SourceIP: netip.MustParseAddr("198.18.0.1"), TargetIP: netip.MustParseAddr("198.19.0.1")}
	if cfg.Target, err = Resolve(t.Context(), cfg.Send, cfg.SourceIP, netip.MustParseAddr("198.18.0.254")); err != nil {
		t.Fatal(err)
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := quick(rfc2544.Loss)
	c.MaxRate, c.LossStep, c.Sizes = 2000, 0.5, []rfc2544.Size{rfc2544.IMIX}
	r, err := rfc2544.Run(t.Context(), l, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Rows[0].Loss { // the frames before the answer were those of the trials that ask what the sender reaches
		if p.Sent == 0 || p.Loss > 0.1 {
			t.Errorf("%+v", p)
		}
	}
}

func TestKnownLoss(t *testing.T) {
	l := network(t, impair.Config{Loss: 0.1})
	c := quick(rfc2544.Loss)
	c.MaxRate, c.LossStep = 10_000, 0.5
	r, err := rfc2544.Run(t.Context(), l, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows[0].Loss) != 2 {
		t.Fatalf("%+v", r.Rows[0])
	}
	for _, p := range r.Rows[0].Loss {
		deviation := math.Sqrt(0.1 * 0.9 / float64(max(p.Sent, 1))) // on a busy machine few are sent
		between(t, "loss", p.Loss, 0.1-5*deviation, 0.1+5*deviation)
		between(t, "sent", p.Offered, 1, p.Rate*1.01)
	}
}
