package rfc2544

import (
	"math"
	"time"
)

// costs estimates how long the rest of a run takes: what a test took with other sizes or, before there was one, what it would take if all
// went as it usually does.
type costs struct {
	pending map[work]bool
	took    map[work]time.Duration
	usual   map[Test]time.Duration
	tests   []Test
}

// work is a test with frames of a size.
type work struct {
	size Size
	test Test
}

func (c *costs) init(cfg *Config) {
	c.pending, c.took, c.usual = map[work]bool{}, map[work]time.Duration{}, map[Test]time.Duration{}
	c.tests = cfg.Tests
	for _, size := range cfg.Sizes {
		for _, test := range cfg.Tests {
			c.pending[work{size, test}] = true
		}
	}
	around := cfg.Wait + cfg.Settle
	trial := cfg.Trial + around
	const halvings = 12 // with a width of 0.005, from a result of a tenth of the highest rate
	c.usual[Throughput] = halvings * trial
	if cfg.Method == MLR {
		c.usual[Throughput] = 8*trial + 8*(cfg.Trial/4+around)
	}
	c.usual[Latency] = time.Duration(cfg.LatencyTrials) * (cfg.LatencyTrial + around)
	c.usual[Loss] = time.Duration(math.Ceil(0.7/cfg.LossStep)) * trial
	c.usual[BackToBack] = time.Duration(cfg.Bursts) * halvings * (cfg.Burst/8 + around)
}

// done notes that a test is over, spent how long a trial of it took, skip that a size is left out.
func (c *costs) done(s Size, t Test) { delete(c.pending, work{s, t}) }

func (c *costs) spent(s Size, t Test, d time.Duration) { c.took[work{s, t}] += d }

func (c *costs) skip(s Size) {
	for _, t := range c.tests {
		c.done(s, t)
	}
}

// later returns how long the tests take that come after one.
func (c *costs) later(s Size, t Test) (sum time.Duration) {
	for w := range c.pending {
		if w != (work{s, t}) {
			sum += c.of(w.test)
		}
	}
	return sum
}

// of returns the mean of what a test took with the sizes that are done.
func (c *costs) of(t Test) time.Duration {
	var sum, n time.Duration
	for w, d := range c.took {
		if w.test == t && !c.pending[w] {
			sum, n = sum+d, n+1
		}
	}
	if n == 0 {
		return c.usual[t]
	}
	return sum / n
}
