package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// write prints packets, or writes them to a file, and sends none. The interface is not needed; if it is given, its addresses are used.
func (g *genCommand) write() error {
	info := afxdp.Info{Name: g.iface, MAC: [6]byte{2, 0, 0, 0, 0, 1}, MTU: 1<<16 - 1}
	if g.iface != "" {
		var err error
		if info, err = afxdp.Discover(g.iface); err != nil {
			return err
		}
		g.source.address(&info)
	}
	if err := g.pace.check(&info); err != nil {
		return err
	}
	sources, err := g.source.programs(&info, 1)
	if err != nil {
		return err
	}
	if g.print > 0 {
		g.printPackets(sources[0])
	}
	if g.pcapOut == "" {
		return nil
	}
	return g.writeFile(sources[0])
}

func (g *genCommand) printPackets(source engine.Source) {
	b := make([]byte, source.MaxLen())
	for range g.print {
		n := source.Next(b, uint64(time.Now().UnixNano()))
		fmt.Fprint(g.out, gopacket.NewPacket(b[:n], layers.LayerTypeEthernet, gopacket.Default))
	}
}

// mostWritten bounds a file that has no other bound.
const mostWritten = 1_000_000

// schedule is when the packets that are written would leave.
func (g *genCommand) schedule(source engine.Source) (engine.Schedule, error) {
	if t, ok := source.(engine.Timed); ok {
		if g.source.replay.loop == 0 {
			return nil, usagef("--pcap-out: say how often, with --loop")
		}
		return rate.NewReplay(t, 0), nil
	}
	cfg := g.pace.config()
	cfg.Mean = source.MeanLen()
	if cfg.Count == 0 && cfg.Phases[len(cfg.Phases)-1].For == 0 {
		return nil, usagef("--pcap-out: say how much, with --count or --duration")
	}
	p, err := rate.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

// writeFile writes packets with the times of the schedule, one after the other without a rate.
func (g *genCommand) writeFile(source engine.Source) (err error) {
	pacer, err := g.schedule(source)
	if err != nil {
		return err
	}
	f, err := os.Create(g.pcapOut)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := pcapgo.NewWriterNanos(f)
	if err := w.WriteFileHeader(uint32(max(source.MaxLen(), 1<<16)), layers.LinkTypeEthernet); err != nil {
		return err
	}
	start, now, written := time.Now(), clock.Time(time.Second), 0
	pacer.Start(now)
	b := make([]byte, source.MaxLen())
	for begin := now; !pacer.Over(now) && written < mostWritten; now = max(pacer.Next(), now+1) {
		for n := min(pacer.Due(now), 1); n > 0 && written < mostWritten; n = min(pacer.Due(now), 1) {
			at := start.Add(now.Sub(begin))
			length := source.Next(b, uint64(at.UnixNano()))
			pacer.Sent(1, length)
			err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: length, Length: length}, b[:length])
			if err != nil {
				return err
			}
			written++
		}
	}
	fmt.Fprintf(g.out, "%s packets in %s\n", grouped(float64(written)), g.pcapOut)
	return nil
}
