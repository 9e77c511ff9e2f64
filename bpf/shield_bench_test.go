package bpf_test

import (
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/tcp"
)

// BenchmarkShield reports as ns/frame what the program takes for a frame under a flood, by the kernel's own count, which has 30 ns or so of
// its own in it (see "kernel's"). Test runs cannot repeat a frame that the program answers: ns/op is mostly the call.
func BenchmarkShield(b *testing.B) {
	usual := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 19, 136, 0, 0, 0, 0, 1, 3, 3, 7}
	for _, c := range []struct {
		name    string
		flags   tcp.Flags
		options []byte
		to      byte // the last of the address; 2 is the stack's
	}{
		{"SYN with MSS", tcp.FlagSYN, usual[:4], 2}, {"SYN with all options", tcp.FlagSYN, usual, 2}, {"bad cookie", tcp.FlagACK, nil, 2},
		{"kernel's", tcp.FlagSYN, nil, 3},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newShieldLab(b, bpf.Config{Filter: true, ShieldFlows: 1 << 20}, tcp.Config{})
			random := rand.New(rand.NewPCG(1, 2))
			frames := make([][]byte, 1<<16)
			for i := range frames {
				f := shieldFlow
				f.LocalAddr[3] = c.to
				f.RemoteAddr = [4]byte{198, byte(18 + random.IntN(2)), byte(random.Uint32()), byte(random.Uint32())}
				f.RemotePort = uint16(1024 + random.IntN(64512))
				frames[i] = packet{flow: f, flags: c.flags, seq: tcp.Seq(random.Uint32()), options: c.options}.bytes()
			}
			off, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
			if err != nil {
				b.Fatal(err)
			}
			defer off.Close()
			before, err := s.program.Steer().Stats()
			if err != nil {
				b.Fatal(err)
			}
			out := ebpf.RunOptions{DataOut: make([]byte, 256)}
			for i := 0; b.Loop(); i++ {
				out.Data, out.DataOut = frames[i%len(frames)], out.DataOut[:256]
				if _, err := s.program.Steer().Run(&out); err != nil {
					b.Fatal(err)
				}
			}
			after, err := s.program.Steer().Stats()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(after.Runtime-before.Runtime)/float64(after.RunCount-before.RunCount), "ns/frame")
		})
	}
}
