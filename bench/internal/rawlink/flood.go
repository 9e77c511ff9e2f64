package rawlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
)

// FloodSources is where a flood's SYNs claim to be from: RFC 2544's networks for benchmarks, in which nobody answers.
var FloodSources = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 15)

// FloodConfig describes a flood of SYNs.
type FloodConfig struct {
	Interface string
	To        net.HardwareAddr
	Target    netip.AddrPort
	Rate      float64 // SYNs a second; 0: as many as go
}

// Flooded is what was sent until the context ended.
type Flooded struct {
	SYNs    float64 `json:"syns"`
	Seconds float64 `json:"seconds"`
}

func (c *FloodConfig) program(from ethernet.Addr) (*gen.Program, error) {
	stream, err := gen.ParseStream(fmt.Sprintf("tcp,src=random:%v,dst=%v,sport=random:1024-65535,dport=%d,seq=random,flags=syn,mss=1460",
		FloodSources, c.Target.Addr(), c.Target.Port()))
	if err != nil {
		return nil, err
	}
	stream.Sign = gen.SignNever
	return gen.Compile([]gen.Stream{stream}, gen.Options{Source: from, Target: ethernet.Addr(c.To)})
}

// Flood sends SYNs through the ring of a packet socket until the context ends.
func Flood(ctx context.Context, cfg FloodConfig, ready func()) (f Flooded, err error) {
	iface, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return f, err
	}
	program, err := cfg.program(ethernet.Addr(iface.HardwareAddr))
	if err != nil {
		return f, err
	}
	r, err := openPacket(cfg.Interface)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	ready()
	for begun := time.Now(); ctx.Err() == nil; f.Seconds = time.Since(begun).Seconds() {
		if cfg.Rate > 0 && f.SYNs+batch > cfg.Rate*time.Since(begun).Seconds() {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		n := 0
		// Not a whole ring at once: where the kernel is not preempted, the processor's other threads would wait for a millisecond.
		if r.waiting() {
			err = r.kick()
		} else {
			n, err = r.send(program)
		}
		if err != nil {
			return f, err
		}
		f.SYNs += float64(n)
	}
	return f, nil
}
