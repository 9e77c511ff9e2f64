package rawlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/gen/rate"
)

// Figures of an end that generates at a rate.
const (
	RateError = "rate error %"  // by which the mean is not what was asked for
	Missed    = "missed %"      // of the schedule
	LateP50   = "late p50 µs"   // handed over after its time
	LateP99   = "late p99 µs"   //
	LateP999  = "late p99.9 µs" //
	Sleeps    = "sleeps/packet" // of the worker
)

// template is what package gen sends: what the programs in C do. Whoever the frames are from is one of the 256 addresses beside our own.
func (c *Config) template() string {
	from := c.Src.As4()
	return fmt.Sprintf("udp,src=%d.%d.%d.0-%[1]d.%[2]d.%[3]d.255,dst=%[4]v,sport=1024-65535,dport=9,size=%[5]d", from[0], from[1], from[2],
		c.Dst, c.Size+gen.FCSLen)
}

func (c *Config) program(from ethernet.Addr) (*gen.Program, error) {
	stream, err := gen.ParseStream(c.template())
	if err != nil {
		return nil, err
	}
	if c.Rate == 0 {
		stream.Sign = gen.SignNever // the others have none
	}
	return gen.Compile([]gen.Stream{stream}, gen.Options{Source: from, Target: ethernet.Addr(c.To)})
}

func (c *Config) engine(q afxdp.Queue) (*engine.Engine, error) {
	program, err := c.program(ethernet.Addr(q.HardwareAddr()))
	if err != nil {
		return nil, err
	}
	cfg := engine.Config{Queues: []afxdp.Queue{q}, Sources: []engine.Source{program}}
	if c.Rate > 0 {
		cfg.Rate.Phases = []rate.Phase{rate.Constant(rate.PPS(c.Rate), c.Window)}
		cfg.Rate.WarmUp = c.Warmup
	}
	return engine.New(cfg)
}

// WriteCapture writes a file with so many of the packets that are generated.
func WriteCapture(name string, size, packets int) (err error) {
	c := Config{Src: netip.AddrFrom4([4]byte{10, 77, 0, 2}), Dst: netip.AddrFrom4([4]byte{10, 77, 0, 1}), Size: size}
	stream, err := gen.ParseStream(c.template())
	if err != nil {
		return err
	}
	stream.Sign = gen.SignNever
	mac := ethernet.Addr{2, 0, 0, 0, 0, 1} // nobody's: the other end drops what comes
	program, err := gen.Compile([]gen.Stream{stream}, gen.Options{Source: mac, Target: mac})
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		return err
	}
	b := make([]byte, size)
	for n := range packets {
		program.Next(b, 0)
		info := gopacket.CaptureInfo{Timestamp: time.Unix(0, int64(n)*1000), CaptureLength: size, Length: size}
		if err := w.WritePacket(info, b); err != nil {
			return err
		}
	}
	return nil
}

// generate sends as xdpstack gen does: at a rate for the time of the window, or as fast as it goes until that is over.
func generate(ctx context.Context, cfg *Config, mark func(string)) (res Result, err error) {
	if cfg.Driver == DriverPacket {
		return generatePacket(ctx, cfg, mark)
	}
	o := afxdp.Options{Driver: cfg.Driver, Mode: afxdp.ModeCopy, KeepProcessor: true, SendOnly: true}
	if cfg.ZeroCopy {
		o.Mode = afxdp.ModeZeroCopy
	}
	iface, err := afxdp.Open(cfg.Interface, o, bpf.Config{})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, iface.Close()) }()
	e, err := cfg.engine(iface.Queues()[0])
	if err != nil {
		return res, err
	}
	res.Mode = iface.Describe()
	mark("ready")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		*engine.Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := e.Run(ctx)
		done <- outcome{r, err}
	}()
	for s := e.Snapshot(); s.Packets == 0 && ctx.Err() == nil; s = e.Snapshot() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(cfg.Warmup)
	begin, before := time.Now(), e.Snapshot()
	mark("start")
	var r outcome
	if cfg.Rate == 0 {
		time.Sleep(cfg.Window)
		res.Seconds = time.Since(begin).Seconds()
		after := e.Snapshot()
		res.Frames, res.Kicks = after.Packets-before.Packets, after.Kicks-before.Kicks
		mark("stop")
		cancel()
		r = <-done
		return res, r.error
	}
	r = <-done
	mark("stop")
	if r.error != nil {
		return res, r.error
	}
	res.Seconds, res.Frames, res.Kicks = r.Elapsed.Seconds(), r.Packets, r.Kicks
	res.Extra = cfg.accuracy(r.Result)
	return res, nil
}

// accuracy are the figures of a run at a rate.
func (c *Config) accuracy(r *engine.Result) map[string]float64 {
	late := func(p float64) float64 { return float64(r.Lateness.ValueAtPercentile(p)) / 1e3 }
	off := 100 * (r.PPS()/c.Rate - 1)
	return map[string]float64{
		RateError: max(off, -off), Missed: 100 * float64(r.Lost) / float64(max(r.Lost+r.Packets, 1)),
		LateP50: late(50), LateP99: late(99), LateP999: late(99.9), Sleeps: float64(r.Sleeps) / float64(max(r.Packets, 1)),
	}
}
