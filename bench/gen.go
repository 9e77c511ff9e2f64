package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// Kinds of the sides that generate packets, beside our own and programC.
const (
	programPacket = "packet"
	trafgen       = "trafgen"
	tcpreplay     = "tcpreplay"
)

// packetGroup is packets whose addresses and ports vary, sent as fast as it goes, by us and by others.
func packetGroup() *group {
	g := &group{
		sides: []side{
			{name: ourName, setup: "gen/engine and a template; GOMAXPROCS 2, bound to one processor", kind: afxdp.DriverNative},
			{name: "C", setup: "libxdp, the same rings and variation, batches of 64", kind: programC, need: rawlink.CanCompile},
			{name: "AF_PACKET, C", setup: "TX ring, no queueing discipline, the same variation", kind: programPacket,
				need: rawlink.CanCompilePacket},
			{name: trafgen, setup: "netsniff-ng's, one process, ports vary, checksums", kind: trafgen, need: needs(trafgen, "netsniff-ng")},
			{name: tcpreplay, setup: "a capture of 50,000 such packets, --topspeed, preloaded", kind: tcpreplay,
				need: needs(tcpreplay, tcpreplay)},
		},
		need:    needLab,
		repeats: func(t *times) int { return t.repeats },
		takes:   func(t *times, n int) time.Duration { return time.Duration(n) * (t.warmup + t.rawWindow + time.Second) },
	}
	works := make(map[string]rawlink.Config)
	for _, size := range []int{64, 1514} {
		b := benchmark{
			name: fmt.Sprintf("gen-%d", size), row: "14", unit: "Mpps", extra: true,
			title: fmt.Sprintf("generated frames of %d bytes, ports and addresses vary", size),
			targets: []result.Target{
				{Figure: veth.PerSenderCPU, Against: "C", AtLeast: 0.97},
				{Figure: veth.PerSenderCPU, Against: trafgen, AtLeast: 5, Bound: boundByCopy},
				{Figure: veth.PerSenderCPU, Against: "AF_PACKET", AtLeast: 2, Bound: boundByCopy},
			},
		}
		works[b.name] = rawlink.Config{Size: size}
		g.benchmarks = append(g.benchmarks, b)
	}
	g.run = func(ctx context.Context, s *session, t turn) map[string]result.Run {
		runs := make(map[string]result.Run)
		for _, n := range t.names {
			runs[n] = generated(ctx, s, t.side.kind, works[n])
		}
		return runs
	}
	return g
}

const boundByCopy = "in copy mode the kernel makes an sk_buff of each frame, as it does for packet sockets: that is nearly all of the " +
	"time of both"

func needs(program, pkg string) func() error {
	return func() error {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed (Debian's package %s)", program, pkg)
		}
		return nil
	}
}

// generated has one side send frames of one size.
func generated(ctx context.Context, s *session, kind string, cfg rawlink.Config) result.Run {
	dir, err := os.MkdirTemp("", "bench-gen-")
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cfg.Role = rawlink.Generate
	switch kind {
	case programC:
		cfg.Program, err = rawlink.Compile(dir, rawlink.XDP)
	case programPacket:
		cfg.Program, err = rawlink.Compile(dir, rawlink.Packet)
	case trafgen, tcpreplay:
		cfg.Role = rawlink.Foreign
		cfg.Command, err = foreign(kind, dir, cfg.Size)
	default:
		cfg.Driver = kind
	}
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	return s.runner().Raw(ctx, cfg)
}

// foreign is the command line of somebody else's generator, and the files that it needs. The hardware address does not matter: the other
// end drops what comes.
func foreign(kind, dir string, size int) ([]string, error) {
	const mac = "02:00:00:00:00:01"
	if kind == tcpreplay {
		file := filepath.Join(dir, "in.pcap")
		err := rawlink.WriteCapture(file, size, 50_000)
		return []string{tcpreplay, "--intf1=" + rawlink.AnInterface, "--topspeed", "--preload-pcap", "--loop=0", file}, err
	}
	file := filepath.Join(dir, "trafgen.cfg")
	packet := fmt.Sprintf("{ eth(da=%s, sa=%[1]s), ipv4(sa=10.77.0.2, da=10.77.0.1), udp(sp=dinc(1024, 65535), dp=9), fill(0, %d) }\n",
		mac, size-42)
	err := os.WriteFile(file, []byte(packet), 0o600)
	return []string{trafgen, "--out", rawlink.AnInterface, "--cpus", "1", "--num", "0", "--no-sock-mem", "--in", file}, err
}

// packetName is the side without AF_XDP.
const packetName = "AF_PACKET"

// zeroCopyGenerated is generated packets on two network cards: with zero-copy, copied, and through a packet socket.
func zeroCopyGenerated() *group {
	g := &group{
		sides: []side{
			{name: ourName, setup: "zero-copy, gen/engine and a template", kind: afxdp.ModeZeroCopy.String()},
			{name: copyName, setup: "gen/engine and a template", kind: afxdp.ModeCopy.String()},
			{name: packetName, setup: "TX ring, no queueing discipline, the same template", kind: rawlink.DriverPacket},
		},
		need:    needCards,
		repeats: func(t *times) int { return t.repeats },
		takes: func(t *times, n int) time.Duration {
			return time.Duration(n) * (t.warmup + t.rawWindow + 5*time.Second)
		},
	}
	works := make(map[string]rawlink.Config)
	for _, size := range []int{64, 1514} {
		b := benchmark{
			name: fmt.Sprintf("zerocopy-generate-%d", size), row: "14", unit: "Mpps", extra: true,
			title:   fmt.Sprintf("generated frames of %d bytes, ports and addresses vary", size),
			targets: []result.Target{{Against: packetName, AtLeast: 2}, {Against: copyName, Aim: 2}},
		}
		works[b.name] = rawlink.Config{Role: rawlink.Generate, Size: size}
		g.benchmarks = append(g.benchmarks, b)
	}
	g.run = func(ctx context.Context, s *session, t turn) map[string]result.Run {
		runs := make(map[string]result.Run)
		for _, n := range t.names {
			r, cfg := s.runner(), works[n]
			s.useCards(r)
			cfg.Driver, cfg.ZeroCopy = afxdp.DriverNative, t.side.kind == afxdp.ModeZeroCopy.String()
			if t.side.kind == rawlink.DriverPacket {
				cfg.Driver = rawlink.DriverPacket
			}
			runs[n] = r.Raw(ctx, cfg)
		}
		return runs
	}
	return g
}

// rateGroups are packets at a rate: how exact it is, and what it costs.
func rateGroups() []*group {
	var all []*group
	for _, r := range []struct {
		name string
		pps  float64
	}{{"1k", 1e3}, {"10k", 10e3}, {"100k", 100e3}, {"500k", 500e3}} {
		cfg := rawlink.Config{Role: rawlink.Generate, Driver: afxdp.DriverNative, Size: 64, Rate: r.pps}
		all = append(all, &group{
			benchmarks: []benchmark{{
				name: "gen-rate-" + r.name, row: "15", unit: "Mpps", limit: true, extra: true,
				title:   "generated frames of 64 bytes, " + r.name + " a second",
				targets: []result.Target{{Side: ourName, Figure: rawlink.RateError, AtMost: 0.1}},
			}},
			sides:   []side{{name: ourName, setup: "gen/engine, signed packets; GOMAXPROCS 2, bound to one processor"}},
			need:    needLab,
			repeats: func(t *times) int { return (t.repeats + 1) / 2 },
			takes:   func(t *times, _ int) time.Duration { return t.warmup + 2*t.rawWindow + time.Second },
			run: alone(func(ctx context.Context, s *session, _ turn) result.Run {
				runner := s.runner()
				runner.RawWindow *= 2
				return runner.Raw(ctx, cfg)
			}),
		})
	}
	return all
}
