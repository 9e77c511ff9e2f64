package bpf

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
)

func TestOwnedAddresses(t *testing.T) {
	p := load(t, Config{MaxAddresses: 2})
	setSocket(t, p, 0)
	second := netip.MustParseAddr("10.77.0.9")
	mapped := netip.AddrFrom16(second.As16()) // ::ffff:10.77.0.9
	check(t, p, tcp(second, 1), 0, steerReasonPASS_ADDRESS)
	for range 2 {
		if err := p.AddAddress(mapped); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, tcp(second, 1), 0, steerReasonREDIRECT_TCP)
	if err := p.AddAddress(theirs); !errors.Is(err, ErrTableFull) {
		t.Errorf("third address of two: %v", err)
	}
	for range 2 {
		if err := p.RemoveAddress(second); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, tcp(second, 1), 0, steerReasonPASS_ADDRESS)
	check(t, p, tcp(ours, 1), 0, steerReasonREDIRECT_TCP)
}

func TestOwnedPrefixes(t *testing.T) {
	p := load(t, Config{MaxPrefixes: 2})
	setSocket(t, p, 0)
	prefix := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	inside, beside := netip.MustParseAddr("10.88.255.255"), netip.MustParseAddr("10.89.0.0")
	check(t, p, tcp(inside, 1), 0, steerReasonPASS_ADDRESS)
	for range 2 {
		if err := p.AddPrefix(prefix("10.88.3.4/16")); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, tcp(inside, 1), 0, steerReasonREDIRECT_TCP)
	check(t, p, tcp(beside, 1), 0, steerReasonPASS_ADDRESS)
	check(t, p, tcp(ours, 1), 0, steerReasonREDIRECT_TCP)
	check(t, p, ethernet(etherARP, arp(1, theirs, inside)), 0, steerReasonREDIRECT_ARP)
	check(t, p, ethernet(etherARP, arp(2, inside, theirs)), 0, steerReasonREDIRECT_ARP)
	check(t, p, ethernet(etherARP, arp(1, theirs, beside)), 0, steerReasonPASS_ARP)
	if err := p.AddPrefix(prefix("10.89.0.0/32")); err != nil {
		t.Fatal(err)
	}
	check(t, p, tcp(beside, 1), 0, steerReasonREDIRECT_TCP)
	if err := p.AddPrefix(prefix("10.90.0.0/24")); !errors.Is(err, ErrTableFull) {
		t.Errorf("third prefix of two: %v", err)
	}
	for range 2 {
		if err := p.RemovePrefix(prefix("10.88.0.0/16")); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, tcp(inside, 1), 0, steerReasonPASS_ADDRESS)
	check(t, p, tcp(beside, 1), 0, steerReasonREDIRECT_TCP)
}

func TestOwnedPorts(t *testing.T) {
	p := load(t, Config{Mode: SharedAddress, MaxPorts: 3})
	setSocket(t, p, 0)
	if err := p.AddPort(protoTCP, ours, 0x1234); err != nil {
		t.Fatal(err)
	}
	udp := ethernet(etherIPv4, ipv4{to: ours, proto: protoUDP, payload: segment(0x1234)}.bytes())
	check(t, p, tcp(ours, 0x1234), 0, steerReasonREDIRECT_TCP)
	check(t, p, tcp(ours, 0x3412), 0, steerReasonPASS_PORT)
	check(t, p, udp, 0, steerReasonPASS_PORT)
	if err := p.AddPort(protoUDP, ours, 0x1234); !errors.Is(err, ErrTableFull) {
		t.Errorf("fourth port of three: %v", err)
	}
	for range 2 {
		if err := p.RemovePort(protoTCP, ours, 0x1234); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, tcp(ours, 0x1234), 0, steerReasonPASS_PORT)
}

// BenchmarkOwned measures what it costs a frame that the stack owns many addresses: ns per frame to one of them.
func BenchmarkOwned(b *testing.B) {
	to := netip.MustParseAddr("10.88.3.77")
	for name, cfg := range map[string]Config{
		"one address": {}, "65536 addresses": {MaxAddresses: 1<<16 + 1}, "1 prefix": {MaxPrefixes: 1}, "14 prefixes": {MaxPrefixes: 14},
		"1000 prefixes": {MaxPrefixes: 1000},
	} {
		b.Run(name, func(b *testing.B) {
			p := load(b, cfg)
			setSocket(b, p, 0)
			frame := tcp(ours, ownedPort)
			if name != "one address" {
				frame = tcp(to, ownedPort)
			}
			own := func(err error) {
				if err != nil {
					b.Fatal(err)
				}
			}
			for i := range cfg.MaxAddresses - 1 {
				own(p.AddAddress(netip.AddrFrom4([4]byte{10, 88, byte(i >> 8), byte(i)})))
			}
			for i := range cfg.MaxPrefixes {
				a := netip.AddrFrom4([4]byte{10, 88, byte(3 + i>>7), byte(i << 1)})
				if i == 0 {
					a = to
				}
				bits := 32
				if cfg.MaxPrefixes == 1 {
					bits = 16
				}
				own(p.AddPrefix(netip.PrefixFrom(a, bits)))
			}
			opts := ebpf.RunOptions{Data: frame, Repeat: uint32(b.N)}
			if _, err := p.objects.XdpSteer.Run(&opts); err != nil {
				b.Fatal(err)
			}
		})
	}
}
