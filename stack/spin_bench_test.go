package stack

import (
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// BenchmarkSpin is request and response of 64 bytes over veth, with a client of the kernel's in the same process, at once or after a
// pause: the time of a round, and the processor time that the process took for it, by how long the shard may poll.
func BenchmarkSpin(b *testing.B) {
	for _, pause := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond} {
		for _, spin := range []time.Duration{-1, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond} {
			b.Run(fmt.Sprintf("pause=%v/spin=%v", pause, max(spin, 0)), func(b *testing.B) {
				s, l := openOnVeth(b, netlab.Config{}, Config{SpinTime: spin})
				if _, err := s.Handle(":7", echoes{}); err != nil {
					b.Fatal(err)
				}
				c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				buf := make([]byte, 64)
				took := time.Duration(0)
				var before, after unix.Rusage
				unix.Getrusage(unix.RUSAGE_SELF, &before)
				for b.Loop() {
					time.Sleep(pause)
					start := time.Now()
					if _, err := c.Write(buf); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c, buf); err != nil {
						b.Fatal(err)
					}
					took += time.Since(start)
				}
				unix.Getrusage(unix.RUSAGE_SELF, &after)
				cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
				b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "round-ns")
				b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns")
				if r, err := s.Report(); err == nil {
					st := &r[0].Stats
					b.ReportMetric(float64(st.SpinHits)/float64(b.N), "spins")
					b.ReportMetric(float64(st.Sleeps)/float64(b.N), "sleeps")
				}
			})
		}
	}
}
