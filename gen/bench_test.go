package gen

import (
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
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

// newPool returns a pool of frames, and descriptors for n packets.
func newPool(t testing.TB, frames, n int) (*frame.Pool, []frame.Desc) {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, frames*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	d := make([]frame.Desc, n)
	for i := range d {
		d[i].Off = 256
	}
	return pool, d
}

const varied = "udp,src=10.0.0.1-10.0.0.254,dst=10.1.0.1-10.1.255.254,sport=1024-65535,dport=9-5000"

var benchSpecs = []struct{ name, spec string }{
	{"64/fixed", "udp,size=64,signature=off"},
	{"64/signed", "udp,size=64"},
	{"64/varied", varied + ",size=64,signature=off"},
	{"64/varied,signed", varied + ",size=64"},
	{"64/nested,signed", varied + ",size=64,vary=nested"},
	{"64/random,signed", "udp,src=random:10.0.0.0/8,dst=10.1.0.1,sport=random:1024-65535,size=64"},
	{"64/syn", "tcp,src=10.0.0.1-10.0.0.254,sport=1024-65535,seq=random,flags=syn"},
	{"128/vxlan", "vxlan=1-1000/udp,src=10.0.0.1-10.0.0.254,sport=1024-65535,size=128"},
	{"512/varied,signed", varied + ",size=512"},
	{"1518/varied,signed", varied + ",size=1518"},
	{"IMIX/varied,signed", varied + ",size=imix"},
	{"random/varied,signed", varied + ",size=random:64-1518"},
}

// BenchmarkWrite writes packets into frames that hold the template of an earlier packet, as those of a pool do after a while.
func BenchmarkWrite(b *testing.B) { benchmarkWrite(b, (*frame.Pool).AllocHolding) }

// BenchmarkWriteAnew writes the template each time.
func BenchmarkWriteAnew(b *testing.B) { benchmarkWrite(b, (*frame.Pool).Alloc) }

func benchmarkWrite(b *testing.B, alloc func(*frame.Pool) frame.Index) {
	for _, c := range benchSpecs {
		b.Run(c.name, func(b *testing.B) {
			p := compile(b, c.spec, testOptions)
			pool, frames := newPool(b, 256, 64)
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(frames) {
				for i := range frames {
					frames[i].Frame = alloc(pool)
				}
				p.Write(pool, frames, uint64(n))
				for i := range frames {
					pool.Release(frames[i].Frame)
				}
			}
		})
	}
}

// BenchmarkFrames takes frames from a pool and gives them back, which is part of BenchmarkWrite.
func BenchmarkFrames(b *testing.B) {
	pool, frames := newPool(b, 256, 64)
	for n := 0; n < b.N; n += len(frames) {
		for i := range frames {
			frames[i].Frame = pool.AllocHolding()
		}
		for i := range frames {
			pool.Release(frames[i].Frame)
		}
	}
}

// BenchmarkNext writes packets one by one, to memory that was written lately.
func BenchmarkNext(b *testing.B) {
	for _, c := range benchSpecs {
		b.Run(c.name, func(b *testing.B) {
			p := compile(b, c.spec, testOptions)
			memory := make([]byte, 64*2048)
			b.ReportAllocs()
			for n := range b.N {
				p.Next(memory[n%64*2048:], uint64(n))
			}
		})
	}
}
