package gen

import (
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
)

// testOptions are those of the only worker on an interface.
var testOptions = Options{
	Source:   ethernet.Addr{2, 0, 0, 0, 0, 1},
	Target:   ethernet.Addr{2, 0, 0, 0, 0, 2},
	SourceIP: netip.MustParseAddr("10.9.0.1"),
	TargetIP: netip.MustParseAddr("10.9.0.2"),
}

func compile(t testing.TB, spec string, o Options) *Program {
	t.Helper()
	s, err := ParseStream(spec)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile([]Stream{s}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// BenchmarkNext writes packets to memory that was written lately, as the frames of a pool are.
func BenchmarkNext(b *testing.B) {
	const vary = "udp,src=10.0.0.1-10.0.0.254,dst=10.1.0.1-10.1.255.254,sport=1024-65535,dport=9-5000"
	for _, c := range []struct{ name, spec string }{
		{"fixed64", "udp,size=64,signature=off"},
		{"signed64", "udp,size=64"},
		{"vary64", vary + ",size=64,signature=off"},
		{"vary64signed", vary + ",size=64"},
		{"nested64signed", vary + ",size=64,vary=nested"},
		{"random64signed", "udp,src=random:10.0.0.0/8,dst=10.1.0.1,sport=random:1024-65535,size=64"},
		{"vary1518signed", vary + ",size=1518"},
		{"varyIMIXsigned", vary + ",size=imix"},
		{"vary64-1518signed", vary + ",size=random:64-1518"},
		{"syn64", "tcp,src=10.0.0.1-10.0.0.254,sport=1024-65535,seq=random,flags=syn"},
		{"vxlan128", "vxlan=1-1000/udp,src=10.0.0.1-10.0.0.254,sport=1024-65535,size=128"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := compile(b, c.spec, testOptions)
			frames := make([][2048]byte, 64)
			b.ReportAllocs()
			i, now := 0, uint64(1)
			for b.Loop() {
				p.Next(frames[i&63][256:], now)
				i++
				now++
			}
		})
	}
}
