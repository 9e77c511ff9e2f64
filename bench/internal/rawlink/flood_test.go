package rawlink

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestFloodFrames looks at what a flood consists of: SYNs to the target from many sources of the networks for benchmarks.
func TestFloodFrames(t *testing.T) {
	cfg := FloodConfig{To: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Target: netip.MustParseAddrPort("10.77.0.2:80")}
	p, err := cfg.program(ethernet.Addr{2, 0, 0, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	b, seen := make([]byte, 2048), make(map[[6]byte]bool)
	const frames = 1000
	for range frames {
		f := b[:p.Next(b, 0)]
		src, dst := netip.AddrFrom4([4]byte(f[26:30])), netip.AddrFrom4([4]byte(f[30:34]))
		if !FloodSources.Contains(src) || dst != cfg.Target.Addr() || binary.BigEndian.Uint16(f[36:]) != 80 || f[47] != 2 {
			t.Fatalf("no SYN to %v from %v: % x", cfg.Target, FloodSources, f)
		}
		seen[[6]byte(append(append([]byte{}, f[26:30]...), f[34:36]...))] = true
	}
	if len(seen) < frames*99/100 {
		t.Errorf("%d sources of %d frames", len(seen), frames)
	}
}

// TestFloodIsHeldBack floods a link as fast as it goes: one with a queueing discipline carries all that was sent, but what was not begun
// when the time was over.
func TestFloodIsHeldBack(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "flood", Qdisc: "pfifo", GRO: true, Threaded: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var sent Flooded
	var link netlink.Link
	err := lab.Kernel.Do(func() (err error) {
		cfg := FloodConfig{
			Interface: lab.Kernel.Interface, To: lab.Stack.MAC[:], Target: netip.AddrPortFrom(lab.Stack.Address.Addr(), 80),
		}
		if sent, err = Flood(ctx, cfg, func() {}); err == nil {
			link, err = netlink.LinkByName(lab.Kernel.Interface)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	st := link.Attrs().Statistics
	if carried := float64(st.TxPackets); st.TxDropped != 0 || carried < sent.SYNs-batch || carried > sent.SYNs+10 || sent.SYNs < 1000 {
		t.Errorf("%v SYNs sent, %d frames carried, %d lost", sent.SYNs, st.TxPackets, st.TxDropped)
	}
}
