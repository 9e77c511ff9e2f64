package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/internal/permit"
)

// genReplay has the packets of a capture sent in place of those of templates.
type genReplay struct {
	file  string
	speed string
	loop  int
	moved []string

	scale   float64 // of the captured times; 0: they do not count
	moves   []gen.Move
	capture *gen.Capture
	goals   []netip.Prefix
}

func (r *genReplay) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.file, "replay", "", "send the packets of this file, in pcap or pcapng, in place of templates")
	f.StringVar(&r.speed, "speed", "1x", "with --replay: captured times scaled, or max; --rate overrides it")
	f.IntVar(&r.loop, "loop", 1, "with --replay: how many times; 0: until interrupted")
	f.StringArrayVar(&r.moved, "move", nil, "with --replay: replace addresses, 10.0.0.0/24=192.0.2.0/24; may be given again")
}

// parse reads the flags and the file. byRate says that there is a rate, so that the captured times do not count.
func (r *genReplay) parse(mac ethernet.Addr, byRate bool) (err error) {
	factor, ok := strings.CutSuffix(strings.ToLower(r.speed), "x")
	switch {
	case r.speed == "max" || byRate:
		r.scale = 0
	default:
		if r.scale, err = strconv.ParseFloat(factor, 64); err != nil || !ok || !(r.scale > 0 && r.scale <= 1e6) {
			return usagef("--speed %s: want 1x, 0.5x or max, for example", r.speed)
		}
	}
	if r.loop < 0 {
		return usagef("--loop %d: want a number, or 0 for no end", r.loop)
	}
	for _, text := range r.moved {
		from, to, _ := strings.Cut(text, "=")
		var m gen.Move
		if m.From, err = netip.ParsePrefix(from); err == nil {
			m.To, err = netip.ParsePrefix(to)
		}
		if err != nil || m.From.Bits() != m.To.Bits() {
			return usagef("--move %s: want two networks of one size, such as 10.0.0.0/24=192.0.2.0/24", text)
		}
		r.moves = append(r.moves, m)
	}
	if r.capture, err = gen.LoadCapture(r.file, gen.CaptureOptions{Target: mac, Move: r.moves}); err != nil {
		return err
	}
	r.goals, err = r.find()
	return err
}

// mostGoals is how many targets of a capture are looked at one by one.
const mostGoals = 1 << 16

// find returns where the packets go: the targets of their outermost IPv4 headers.
func (r *genReplay) find() ([]netip.Prefix, error) {
	packets, err := r.capture.Replay(gen.ReplayOptions{})
	if err != nil {
		return nil, err
	}
	b := make([]byte, packets.MaxLen())
	seen := make(map[[4]byte]bool)
	var all []netip.Prefix
	for range r.capture.Packets() {
		var h ethernet.Header
		n := packets.Next(b, 0)
		off, err := ethernet.Parse(b[:n], &h)
		if err != nil || h.Type != ethernet.TypeIPv4 || n < off+20 {
			continue // it goes no further than the link
		}
		to := [4]byte(b[off+16:])
		if seen[to] {
			continue
		}
		seen[to] = true
		all = append(all, permit.Address(netip.AddrFrom4(to)))
		if len(all) == mostGoals {
			return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}, nil
		}
	}
	return all, nil
}

// untimed is a Source of which nobody asks when its packets were captured.
type untimed struct{ engine.Source }

// sources makes what sends the packets, for each of some workers.
func (r *genReplay) sources(info *afxdp.Info, workers int) ([]engine.Source, error) {
	var all []engine.Source
	for w := range workers {
		loops := r.loop
		if loops == 0 {
			loops = -1
		}
		p, err := r.capture.Replay(gen.ReplayOptions{Worker: w, Workers: workers, Loops: loops, Speed: max(r.scale, 1e-6)})
		if err != nil {
			return nil, err
		}
		if most := info.MTU + ethernet.MaxHeaderLen; p.MaxLen() > most {
			return nil, fmt.Errorf("%s has packets of %d bytes, and %s takes %d", r.file, p.MaxLen(), info.Name, most)
		}
		if r.scale == 0 {
			all = append(all, untimed{p})
		} else {
			all = append(all, p)
		}
	}
	return all, nil
}

// packets is how many packets are replayed; 0 if there is no end.
func (r *genReplay) packets() uint64 { return uint64(r.loop) * uint64(r.capture.Packets()) }

// describe says at what times the packets leave, "" if as the rate says.
func (r *genReplay) describe() string {
	if r.scale == 0 {
		return ""
	}
	return fmt.Sprintf("%gx the speed of the capture", r.scale)
}
