package rfc2544

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/search"
)

// Test is one of the benchmarks.
type Test string

// The benchmarks, in the order in which they are done.
const (
	Throughput Test = "throughput"   // section 26.1
	Latency    Test = "latency"      // section 26.2
	Loss       Test = "loss"         // section 26.3
	BackToBack Test = "back-to-back" // section 26.4, as RFC 9004 has it
)

// Tests are all benchmarks.
var Tests = []Test{Throughput, Latency, Loss, BackToBack}

// ParseTests reads a list such as "throughput,latency"; "all" is Tests.
func ParseTests(text string) ([]Test, error) {
	if text == "all" {
		return Tests, nil
	}
	var tests []Test
	for _, t := range Tests { // in their order
		for _, word := range strings.Split(text, ",") {
			if word == string(t) {
				tests = append(tests, t)
			}
		}
	}
	if n := strings.Count(text, ",") + 1; n != len(tests) {
		return nil, fmt.Errorf("tests %q: want throughput, latency, loss and back-to-back, each once, or all", text)
	}
	return tests, nil
}

// Method is how throughput is searched.
type Method string

// The methods.
const (
	Binary Method = "binary" // all trials of full length, halving: what everybody does
	MLR    Method = "mlr"    // Multiple Loss Ratio search, RFC 9971: several goals, short trials first
)

// Config says what to do, and for how long. Zero fields mean those of Quick.
type Config struct {
	Tests  []Test
	Sizes  []Size
	Method Method
	// NDR and PDR are what MLR searches: the rate at which nothing is lost, by a vote of three trials, and that at which a share is lost
	// at most. Without either it searches RFC 2544's throughput, for which a single loss is too much.
	NDR bool
	PDR float64
	// MaxRate and MinRate bound the rates, frames a second. Defaults: that of the medium, and a thousandth of the highest one. MaxBits
	// bounds them too, in bits a second with all that a frame takes on the medium.
	MaxRate, MinRate, MaxBits float64
	Width                     float64 // how close the bounds of a throughput are in the end, relative to the upper one; default 0.005

	Trial         time.Duration // of the frames of a trial
	Wait          time.Duration // for frames that are late
	Settle        time.Duration // between trials
	LatencyTrials int
	LatencyTrial  time.Duration // of each of them
	LossStep      float64       // between the rates of the frame loss test, as a share of the highest; default 0.1
	Bursts        int           // searches for the longest burst
	Burst         time.Duration // of the longest burst that is tried

	Shortfall float64       // share of a rate by which the sender may fall short; default 0.01
	Limits    search.Limits // of each search for a throughput
	Progress  func(Event)   // called before and after each trial
}

// Standard returns the RFC's times and numbers: trials of 60 s (section 24), 2 s for frames that are late and 5 s to come to rest
// (section 23), latency by 20 trials of 120 s (26.2), and 50 bursts of up to 2 s (26.4).
func Standard() Config {
	return Config{Trial: time.Minute, Wait: 2 * time.Second, Settle: 5 * time.Second, LatencyTrials: 20, LatencyTrial: 2 * time.Minute,
		Bursts: 50, Burst: 2 * time.Second}
}

// Quick returns times for a first look, which do not conform.
func Quick() Config {
	return Config{Trial: 5 * time.Second, Wait: 200 * time.Millisecond, Settle: 100 * time.Millisecond, LatencyTrials: 3,
		LatencyTrial: 5 * time.Second, Bursts: 3, Burst: time.Second}
}

func or[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// defaults fills in the defaults.
func (c *Config) defaults() {
	if len(c.Tests) == 0 {
		c.Tests = Tests
	}
	if len(c.Sizes) == 0 {
		c.Sizes = Sizes
	}
	q := Quick()
	or(&c.Method, Binary)
	or(&c.Width, 0.005)
	or(&c.Trial, q.Trial)
	or(&c.Wait, q.Wait)
	or(&c.Settle, q.Settle)
	or(&c.LatencyTrials, q.LatencyTrials)
	or(&c.LatencyTrial, c.Trial)
	or(&c.LossStep, 0.1)
	or(&c.Bursts, q.Bursts)
	or(&c.Burst, q.Burst)
	or(&c.Shortfall, 0.01)
}

// ErrConfig is in every error about a Config.
var ErrConfig = errors.New("unusable configuration")

// Check finds what cannot be done.
func (c Config) Check() error {
	c.defaults()
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
	}
	switch {
	case c.Method != Binary && c.Method != MLR:
		return bad("search %q: want binary or mlr", c.Method)
	case c.Method == Binary && (c.NDR || c.PDR != 0):
		return bad("several goals at once take the search mlr")
	case !(c.PDR >= 0 && c.PDR < 1):
		return bad("a loss of %v: want 0 to 1", c.PDR)
	case !(c.Width >= 1e-6 && c.Width < 1):
		return bad("a width of %v: want 0.000001 to 1", c.Width)
	case c.Trial < time.Millisecond || c.LatencyTrial < time.Millisecond || c.Burst < time.Millisecond:
		return bad("trials of %v, %v for latency and %v for bursts: want 1ms or more", c.Trial, c.LatencyTrial, c.Burst)
	case c.Wait < 0 || c.Settle < 0:
		return bad("waiting %v and %v: want no less than 0", c.Wait, c.Settle)
	case c.LatencyTrials < 1 || c.Bursts < 1:
		return bad("%d trials of latency and %d bursts: want 1 or more", c.LatencyTrials, c.Bursts)
	case !(c.LossStep > 0 && c.LossStep <= 1):
		return bad("rates %v apart: want more than 0, and at most 1", c.LossStep)
	case !(c.Shortfall >= 0 && c.Shortfall < 1):
		return bad("a shortfall of %v: want 0 to 1", c.Shortfall)
	case c.MaxRate < 0 || c.MinRate < 0 || c.MaxBits < 0 || c.MaxRate > 0 && c.MinRate > c.MaxRate:
		return bad("rates from %v to %v", c.MinRate, c.MaxRate)
	}
	return nil
}

// Deviations says in what a benchmark with this configuration is not the RFC's.
func (c Config) Deviations() []string {
	c.defaults()
	var d []string
	add := func(format string, args ...any) { d = append(d, fmt.Sprintf(format, args...)) }
	short := func(is, want time.Duration, what string) {
		if is < want {
			add("%s %v, not %v", what, is, want)
		}
	}
	std := Standard()
	short(c.Wait, std.Wait, "section 23: late frames are waited for")
	short(c.Settle, std.Settle, "section 23: the pause between trials is")
	for _, t := range c.Tests {
		switch t {
		case Throughput:
			short(c.Trial, std.Trial, "section 24: the trials of the throughput test last")
			if c.NDR {
				add("section 26.1: most of three trials without loss are enough for NDR, not one that is all")
			}
		case Loss:
			short(c.Trial, std.Trial, "section 24: the trials of the loss test last")
			if c.LossStep > 0.1 {
				add("section 26.3: rates are %.0f %% apart, not 10 %%", c.LossStep*100)
			}
		case Latency:
			short(c.LatencyTrial, std.LatencyTrial, "section 26.2: the trials of latency last")
			if c.LatencyTrials < std.LatencyTrials {
				add("section 26.2: %d trials of latency, not 20", c.LatencyTrials)
			}
		case BackToBack:
			short(c.Burst, std.Burst, "section 26.4: bursts are of up to")
			if c.Bursts < std.Bursts {
				add("section 26.4: %d searches for the longest burst, not 50", c.Bursts)
			}
		}
	}
	return d
}
