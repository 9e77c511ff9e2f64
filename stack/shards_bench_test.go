package stack

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// pinger sends a request as soon as the last one is answered.
type pinger struct {
	size  int
	rest  int
	count *atomic.Uint64 // of its shard
	stop  *atomic.Bool
}

var pingText [1024]byte

func (p *pinger) Opened(c *Conn) { p.rest = p.size; c.Write(pingText[:p.size]) }
func (p *pinger) Received(c *Conn, b []byte) {
	if p.rest -= len(b); p.rest == 0 {
		p.count.Add(1)
		p.rest = p.size
		if !p.stop.Load() {
			c.Write(pingText[:p.size])
		}
	}
}
func (p *pinger) Writable(*Conn)      {}
func (p *pinger) PeerClosed(*Conn)    {}
func (p *pinger) Closed(*Conn, error) {}

// BenchmarkShards is requests and responses of 64 bytes over a veth with one queue or two, 64 connections for each queue, between two stacks
// of this process that have a shard for each: what one of them costs in processor time of both ends, softirqs within system calls
// included. Shards that share nothing cost as much each as one alone.
func BenchmarkShards(b *testing.B) {
	for _, queues := range []int{1, 2} {
		b.Run(fmt.Sprint("shards=", queues), func(b *testing.B) {
			s, l := openOnVeth(b, netlab.Config{Queues: queues}, Config{})
			var client *Stack
			cfg := Config{Interface: l.Kernel.Interface, Address: netip.MustParsePrefix("10.77.0.3/24")}
			if err := l.Kernel.Do(func() (err error) { client, err = Open(cfg); return err }); err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			if _, err := s.Handle(":7", echoes{}); err != nil {
				b.Fatal(err)
			}
			counts := make([]struct {
				atomic.Uint64
				_ [56]byte
			}, queues)
			var stop atomic.Bool
			defer stop.Store(true)
			for i := range 64 * queues {
				h := &pinger{size: 64, count: &counts[i%queues].Uint64, stop: &stop}
				if err := client.Connect(netip.AddrPortFrom(s.Address().Addr(), 7), h); err != nil {
					b.Fatal(err)
				}
			}
			total := func() (n uint64) {
				for i := range counts {
					n += counts[i].Load()
				}
				return n
			}
			time.Sleep(100 * time.Millisecond)
			var before, after unix.Rusage
			for b.Loop() {
				n, start := total(), time.Now()
				unix.Getrusage(unix.RUSAGE_SELF, &before)
				time.Sleep(time.Second)
				unix.Getrusage(unix.RUSAGE_SELF, &after)
				cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
				n = total() - n
				b.ReportMetric(float64(cpu.Nanoseconds())/float64(n), "cpu-ns/request")
				b.ReportMetric(float64(n)/time.Since(start).Seconds(), "requests/s")
				b.ReportMetric(cpu.Seconds()/time.Since(start).Seconds(), "cpus")
			}
			reports, err := s.Report()
			if err != nil {
				b.Fatal(err)
			}
			passed := uint64(0)
			for _, r := range reports {
				passed += r.Stats.PassedOn
			}
			b.ReportMetric(float64(passed), "passed")
		})
	}
}

// BenchmarkAstrayBulk is bulk from the kernel to eight connections that the stack has dialed, over a veth with one queue or two. Of two, the
// kernel chooses one by a hash that veth does not tell, so half of the segments come to the wrong shard and are passed on.
func BenchmarkAstrayBulk(b *testing.B) {
	for _, queues := range []int{1, 2} {
		b.Run(fmt.Sprint("shards=", queues), func(b *testing.B) {
			s, l := openOnVeth(b, netlab.Config{Queues: queues, Qdisc: "pfifo"}, Config{})
			ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			go serveEach(ln, func(c net.Conn) {
				var err error
				for buf := make([]byte, 1<<16); err == nil; {
					_, err = c.Write(buf)
				}
			})
			for range 8 {
				c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				go func() {
					var err error
					for buf := make([]byte, 1<<16); err == nil; {
						_, err = c.Read(buf)
					}
				}()
			}
			time.Sleep(300 * time.Millisecond)
			total := func() (sum ShardStats) {
				reports, err := s.Report()
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range reports {
					sum.Rx.Bytes += r.Stats.Rx.Bytes
					sum.Rx.Frames += r.Stats.Rx.Frames
					sum.PassedOn += r.Stats.PassedOn
					sum.Drop.PassOn += r.Stats.Drop.PassOn
				}
				return sum
			}
			var cpu [2]unix.Rusage
			for b.Loop() {
				before, start := total(), time.Now()
				unix.Getrusage(unix.RUSAGE_SELF, &cpu[0])
				time.Sleep(time.Second)
				unix.Getrusage(unix.RUSAGE_SELF, &cpu[1])
				after := total()
				bytes := float64(after.Rx.Bytes - before.Rx.Bytes)
				ns := float64(cpu[1].Utime.Nano() + cpu[1].Stime.Nano() - cpu[0].Utime.Nano() - cpu[0].Stime.Nano())
				b.ReportMetric(bytes*8/1e9/time.Since(start).Seconds(), "Gbit/s")
				b.ReportMetric(ns/bytes, "cpu-ns/byte")
				b.ReportMetric(100*float64(after.PassedOn-before.PassedOn)/float64(after.Rx.Frames-before.Rx.Frames), "%passed")
				b.ReportMetric(float64(after.Drop.PassOn-before.Drop.PassOn), "dropped")
			}
		})
	}
}
