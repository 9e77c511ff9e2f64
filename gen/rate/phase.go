package rate

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Phase is a part of a schedule: a rate that stays, or goes evenly from one to another.
type Phase struct {
	From, To Rate          // of the same unit; neither Max if they differ
	For      time.Duration // 0: for ever
}

// Constant is a phase of one rate.
func Constant(r Rate, d time.Duration) Phase { return Phase{From: r, To: r, For: d} }

// ParseRamp reads "10kpps..1Mpps/30s".
func ParseRamp(s string) (Phase, error) {
	from, rest, ok := strings.Cut(s, "..")
	// The unit may have a slash itself, in bit/s.
	slash := strings.LastIndexByte(rest, '/')
	if !ok || slash < 0 {
		return Phase{}, fmt.Errorf("%w: ramp %q: want FROM..TO/TIME, such as 10kpps..1Mpps/30s", ErrRate, s)
	}
	var p Phase
	var err error
	if p.From, err = Parse(from); err != nil {
		return p, err
	}
	if p.To, err = Parse(rest[:slash]); err != nil {
		return p, err
	}
	if p.For, err = time.ParseDuration(rest[slash+1:]); err != nil || p.For <= 0 {
		return p, fmt.Errorf("%w: ramp %q: %q is no time: want 30s, for example", ErrRate, s, rest[slash+1:])
	}
	return p, p.check()
}

// ParseSteps reads "10kpps:5s,20kpps:5s".
func ParseSteps(s string) ([]Phase, error) {
	var all []Phase
	for _, step := range strings.Split(s, ",") {
		r, d, ok := strings.Cut(step, ":")
		if !ok {
			return nil, fmt.Errorf("%w: step %q: want RATE:TIME, such as 10kpps:5s", ErrRate, step)
		}
		parsed, err := Parse(r)
		if err != nil {
			return nil, err
		}
		length, err := time.ParseDuration(d)
		if err != nil || length <= 0 {
			return nil, fmt.Errorf("%w: step %q: %q is no time: want 5s, for example", ErrRate, step, d)
		}
		all = append(all, Constant(parsed, length))
	}
	return all, nil
}

func (p *Phase) check() error {
	switch {
	case p.From.Unit != p.To.Unit:
		return fmt.Errorf("%w: from %v to %v: want one unit", ErrRate, p.From, p.To)
	case p.From != p.To && p.From.Unit == Unlimited:
		return fmt.Errorf("%w: a ramp has no %v", ErrRate, Max)
	case p.From != p.To && p.For == 0:
		return fmt.Errorf("%w: a ramp from %v to %v needs a time", ErrRate, p.From, p.To)
	case p.For < 0:
		return fmt.Errorf("%w: a phase of %v", ErrRate, p.For)
	}
	return nil
}

// course is how the units of a phase, those of one worker, add up over its time.
type course struct {
	from, growth    float64 // units a second at its start, and half of what a second adds to them
	length          float64 // seconds, +Inf if it does not end
	total           float64 // units in all
	packet, perByte float64 // what a packet costs
	mean            float64 // and that of the mean length
	unlimited       bool
}

func (p *Phase) course(line, mean float64, workers int) (c course, err error) {
	if err := p.check(); err != nil {
		return c, err
	}
	from, err := p.From.Resolve(line)
	if err != nil {
		return c, err
	}
	to, err := p.To.Resolve(line)
	if err != nil {
		return c, err
	}
	c.packet, c.perByte = from.Unit.Costs()
	c.mean = c.packet + c.perByte*mean
	c.length, c.unlimited = math.Inf(1), from.Unit == Unlimited
	c.from = from.Value / float64(workers)
	if p.For > 0 {
		c.length = p.For.Seconds()
		c.growth = (to.Value - from.Value) / float64(workers) / (2 * c.length)
	}
	c.total = c.units(c.length)
	if c.unlimited || p.For == 0 && c.from > 0 {
		c.total = math.Inf(1)
	}
	return c, nil
}

// units returns how many there are after so many seconds.
func (c *course) units(t float64) float64 {
	if c.from == 0 && c.growth == 0 {
		return 0
	}
	return t * (c.from + c.growth*t)
}

// reached returns after how many seconds there are so many units, +Inf if never.
func (c *course) reached(units float64) float64 {
	if units <= 0 {
		return 0
	}
	under := c.from*c.from + 4*c.growth*units
	if under < 0 {
		return math.Inf(1)
	}
	return 2 * units / (c.from + math.Sqrt(under)) // +Inf without a rate
}

// tolerance is by how many units a packet may be early: what the numbers' rounding may hide.
func (c *course) tolerance() float64 { return c.mean * 1e-6 }
