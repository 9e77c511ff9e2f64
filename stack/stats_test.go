package stack_test

import (
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

func TestEveryCounterIsNamedAndExplained(t *testing.T) {
	seen := map[string]bool{}
	check := func(m metrics.Metric) {
		if m.Help == "" {
			t.Errorf("%s has no help text", m.Name)
		}
		if seen[m.Name] {
			t.Errorf("%s is the name of two counters", m.Name)
		}
		seen[m.Name] = true
	}
	metrics.Walk("", stack.ShardStats{}, check)
	metrics.Walk("", stack.DeviceStats{}, check)
	if len(seen) < 50 {
		t.Errorf("only %d counters were found", len(seen))
	}
}

// An AF_XDP queue has counters of its own, and the kernel has some about its socket; a device in memory has neither.
func TestReportHasDeviceCounters(t *testing.T) {
	device, _, err := sim.Pipe(sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	memory, err := stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.1/24")}, device)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if reports, err := memory.Report(); err != nil || len(reports) != 1 || reports[0].Device != nil {
		t.Errorf("in memory: %+v, %v", reports, err)
	}
	for _, driver := range []string{"native", "asavie"} {
		t.Run(driver, func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "report", Queues: 2})
			cfg := stack.Config{Interface: lab.Stack.Interface, Address: lab.Stack.Address}
			cfg.AFXDP.Driver = driver
			var s *stack.Stack
			if err := lab.Stack.Do(func() (err error) { s, err = stack.Open(cfg); return err }); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := lab.Kernel.Dial("tcp", netip.AddrPortFrom(lab.Stack.Address.Addr(), 4444).String()); err == nil {
				t.Error("somebody listens there")
			}
			reports, err := s.Report()
			if err != nil || len(reports) != 2 {
				t.Fatalf("%d reports, %v", len(reports), err)
			}
			received, kicks := uint64(0), uint64(0)
			for i, r := range reports {
				if r.Device == nil {
					t.Fatalf("shard %d: no counters", i)
				}
				q := r.Device.Queue
				if q.RxPackets != r.Stats.Rx.Frames || q.TxPackets != r.Stats.Tx.Frames || q.RxBytes != r.Stats.Rx.Bytes {
					t.Errorf("shard %d: the device counts %+v, the shard %+v %+v", i, q, r.Stats.Rx, r.Stats.Tx)
				}
				if r.Device.Socket.RxRingFull != 0 {
					t.Errorf("shard %d: the RX ring overflowed: %+v", i, r.Device.Socket)
				}
				received, kicks = received+q.RxPackets, kicks+q.Kicks
			}
			if received < 2 || kicks < 2 { // ARP and a SYN came, their answers went
				t.Errorf("%d packets received, %d kicks", received, kicks)
			}
		})
	}
}
