package rawlink

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
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
