package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safchain/ethtool"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/rate"
)

// genRate says how fast, and for how long.
type genRate struct {
	rate     rate.Rate
	ramp     string
	steps    string
	line     string
	duration time.Duration
	warmUp   time.Duration
	catchUp  time.Duration
	count    uint64
	burst    int

	changed func(flag string) bool
	phases  []rate.Phase
	bits    float64 // of the line, a second; 0: not known
}

func (r *genRate) register(cmd *cobra.Command) {
	r.rate = rate.PPS(1000)
	f := cmd.Flags()
	f.VarP(&r.rate, "rate", "r", "packets or bits a second: 10kpps, 2Gbit, 2Gbit-l1, 40% of the line, max")
	f.StringVar(&r.ramp, "ramp", "", "a rate that changes evenly: 10kpps..1Mpps/30s; then it stays, until --duration")
	f.StringVar(&r.steps, "step", "", "rates one after the other: 10kpps:5s,20kpps:5s")
	f.StringVar(&r.line, "line-rate", "", "the line's rate, for rates in percent: 10G (default the interface's speed)")
	f.DurationVarP(&r.duration, "duration", "t", 0, "how long to send, the warm-up not counted (default until interrupted)")
	f.Uint64VarP(&r.count, "count", "c", 0, "how many packets to send, those of the warm-up not counted (default no limit)")
	f.DurationVar(&r.warmUp, "warm-up", 0, "how long to send first what is not counted, at the first rate")
	f.IntVar(&r.burst, "burst", 1, "packets that leave back to back, at the same mean rate")
	f.DurationVar(&r.catchUp, "catch-up", rate.DefaultCatchUp, "how much of the schedule to make up for when packets are late")
}

// given reports whether a flag says how fast.
func (r *genRate) given() bool { return r.changed("rate") || r.changed("ramp") || r.changed("step") }

// adopt takes from a profile what no flag says.
func (r *genRate) adopt(p *gen.Profile) error {
	if p == nil {
		return nil
	}
	s := &p.Schedule
	if !r.changed("burst") && s.Burst != 0 {
		r.burst = s.Burst
	}
	if !r.changed("count") {
		r.count = s.Count
	}
	if !r.changed("warm-up") {
		r.warmUp = s.WarmUp
	}
	if !r.changed("catch-up") && s.CatchUp != 0 {
		r.catchUp = s.CatchUp
	}
	r.bits = s.Line
	if r.given() || len(s.Phases) == 0 {
		if !r.changed("duration") {
			r.duration = p.Duration
		}
		return nil
	}
	if r.phases = slices.Clone(s.Phases); r.changed("duration") {
		if len(r.phases) != 1 || r.phases[0].From != r.phases[0].To {
			return usagef("--duration %v: the profile's ramp or steps have times of their own", r.duration)
		}
		r.phases[0].For = r.duration
	}
	return nil
}

// check makes the phases, and finds the line's rate where it is needed.
func (r *genRate) check(info *afxdp.Info) (err error) {
	switch {
	case r.ramp != "" && r.steps != "" || (r.ramp != "" || r.steps != "") && r.changed("rate"):
		return usagef("--rate, --ramp and --step say the same: give one of them")
	case r.steps != "" && r.duration != 0:
		return usagef("--step has times of its own: leave out --duration")
	case r.duration < 0 || r.warmUp < 0 || r.catchUp <= 0:
		return usagef("--duration, --warm-up and --catch-up: want a time")
	case r.burst < 1:
		return usagef("--burst %d: want a number of packets", r.burst)
	}
	switch {
	case r.phases != nil: // the profile's
	case r.steps != "":
		r.phases, err = rate.ParseSteps(r.steps)
	case r.ramp != "":
		var p rate.Phase
		p, err = rate.ParseRamp(r.ramp)
		r.phases = []rate.Phase{p}
		if rest := r.duration - p.For; r.duration == 0 || rest > 0 {
			r.phases = append(r.phases, rate.Constant(p.To, max(rest, 0)))
		} else if rest < 0 {
			return usagef("--duration %v ends before the ramp does", r.duration)
		}
	default:
		r.phases = []rate.Phase{rate.Constant(r.rate, r.duration)}
	}
	if err != nil {
		return usageError{err}
	}
	return r.findLine(info)
}

// findLine finds the line's rate, as the flag or the interface says it.
func (r *genRate) findLine(info *afxdp.Info) error {
	if r.line != "" {
		var err error
		r.bits, err = parseLineRate(r.line)
		return err
	}
	if r.bits == 0 {
		r.bits = speed(info.Name)
	}
	for _, p := range r.phases {
		if (p.From.Unit == rate.Line || p.To.Unit == rate.Line) && r.bits == 0 {
			if info.Name == "" {
				return usagef("%v of which line? give --line-rate, 10G for example, or an interface", p.From)
			}
			return usagef("%v of the line: %s does not say how fast it is: give --line-rate, 10G for example", p.From, info.Name)
		}
	}
	return nil
}

// parseLineRate reads the value of --line-rate, in bits a second.
func parseLineRate(given string) (float64, error) {
	text := strings.ToLower(given)
	if !strings.Contains(text, "b") {
		text += "bit"
	}
	line, err := rate.Parse(text)
	if err != nil || line.Unit != rate.L2 || line.Value == 0 {
		return 0, usagef("--line-rate %s: want bits a second, such as 10G", given)
	}
	return line.Value, nil
}

// speed returns an interface's rate in bits a second, 0 if it does not say.
func speed(name string) float64 {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return 0
	}
	defer tool.Close()
	settings, err := tool.CmdGetMapped(name)
	if err != nil {
		return 0
	}
	mbit := uint32(settings["speed"])
	if mbit == math.MaxUint32 || mbit == math.MaxUint16 { // SPEED_UNKNOWN, as 16 and as 32 bits
		return 0
	}
	return float64(mbit) * 1e6
}

func (r *genRate) config() rate.Config {
	return rate.Config{
		Phases: r.phases, WarmUp: r.warmUp, Count: r.count, Burst: r.burst, CatchUp: r.catchUp, Line: r.bits,
	}
}

// describe says the schedule in a few words.
func (r *genRate) describe() string {
	switch {
	case r.steps != "":
		return r.steps
	case r.ramp != "":
		return r.ramp
	case r.given() || len(r.phases) == 0:
		return r.rate.String()
	}
	var all []string // a profile's
	for _, p := range r.phases {
		text := p.From.String()
		if p.From != p.To {
			text += ".." + p.To.String()
		}
		if p.For > 0 && len(r.phases) > 1 {
			text += ":" + p.For.String()
		}
		all = append(all, text)
	}
	return strings.Join(all, ",")
}

// parseShare reads a share such as 0.1%; of nothing it is negative.
func parseShare(text string) (float64, error) {
	if text == "" {
		return -1, nil
	}
	digits, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(digits, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, usagef("--tolerance %s: want a share such as 0.1%%", text)
	}
	return v, nil
}
