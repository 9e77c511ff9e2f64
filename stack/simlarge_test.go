package stack_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/tcp"
)

// largeMTUs need several frames for a packet: that of network cards, one that fills its last frame badly, and the largest of all.
var largeMTUs = []int{9000, 12_345, 65535}

// TestLargeExchange sends segments of several frames over a link that does nothing to them.
func TestLargeExchange(t *testing.T) {
	for _, mtu := range largeMTUs {
		for _, size := range []int{1, mtu - 52, mtu, 3*mtu + 17, 16 << 20} {
			t.Run(fmt.Sprintf("mtu=%d/size=%d", mtu, size), func(t *testing.T) {
				dev := sim.Config{MTU: mtu, FrameSize: 4096, Frames: 4096}
				w := newWorld(t, 1, settings{clientDev: dev, serverDev: dev})
				exchange(w, 1, size, size/3, time.Minute)
				r, _ := w.client.Report()
				s := r[0].Stats
				if s.TCP.Retransmits+s.TCP.Timeouts != 0 {
					t.Errorf("retransmissions on a link that loses nothing: %+v", s.TCP)
				}
				if segments := uint64(size / (mtu - 52)); size > 1<<20 && s.TCP.SegmentsOut > 2*segments+50 {
					t.Errorf("%d segments for %d full ones' bytes", s.TCP.SegmentsOut, segments)
				}
			})
		}
	}
}

// largeDevices is devices for packets of several frames.
func largeDevices(r *rand.Rand) sim.Config {
	cfg := sim.Config{MTU: 1500 + r.IntN(64_036), FrameSize: 4096, Frames: 1024 << r.IntN(3)}
	if r.IntN(3) != 0 {
		cfg.MTU = largeMTUs[r.IntN(len(largeMTUs))]
	}
	if r.IntN(2) == 0 {
		cfg.CompletionDelay = time.Duration(1+r.IntN(20_000)) * time.Microsecond
	}
	if r.IntN(4) == 0 {
		cfg.TxRing = 32 << r.IntN(4)
	}
	if r.IntN(4) == 0 {
		cfg.RxRing = 64 << r.IntN(4)
	}
	return cfg
}

// TestLargeExchangeOverBadLinks loses, reorders, doubles and damages segments of several frames, between ends that may have different
// MTUs, little memory and small rings.
func TestLargeExchangeOverBadLinks(t *testing.T) {
	forSeeds(t, 60, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 9))
		set := settings{link: impairments(r), clientDev: largeDevices(r), serverDev: largeDevices(r)}
		if set.link.Rate != 0 {
			set.link.Rate *= 10 // bits per second, of packets that are so much larger
		}
		set.clientDev.CompleteSums, set.serverDev.CompleteSums = seed%2 == 0, seed%3 == 0
		set.config.BatchSize = 1 << r.IntN(7)
		set.config.TCP = tcp.Config{
			NoTimestamps: r.IntN(4) == 0, NoSACK: r.IntN(4) == 0, NoWindowScale: r.IntN(4) == 0, NoDelay: r.IntN(2) == 0,
		}
		if r.IntN(2) == 0 {
			set.config.TCP.RecvBuffer, set.config.TCP.SendBuffer = 1<<(13+r.IntN(9)), 1<<(13+r.IntN(9))
		}
		if r.IntN(4) == 0 {
			set.config.TCP.MTUProbing = tcp.MTUProbingAlways
		}
		if r.IntN(4) == 0 {
			set.config.TCP.Congestion = []string{"newreno", "bbr", "dctcp"}[r.IntN(3)]
		}
		w := newWorld(t, seed, set)
		exchange(w, seed, r.IntN(1<<(14+r.IntN(9))), r.IntN(1<<(14+r.IntN(9))), 2*time.Hour)
	})
}
