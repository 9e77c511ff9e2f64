package service

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Delay is how long a server takes for a request: a known distribution, to be found again in what a client measures. The zero Delay is
// none.
type Delay struct {
	parts []delayPart
	stall time.Duration // how long nothing is answered, once
	after time.Duration // how long after the first request that begins
}

// delayPart is a time that a share of the requests takes.
type delayPart struct {
	upTo float64 // the share of this part and those before it, of 1
	time time.Duration
}

// maxDelay bounds a delay and a stall.
const maxDelay = time.Hour

// ParseDelay reads a delay: "5ms" for all requests, or a share for each of several times, "90%:1ms,10%:50ms". Another part
// "stall:2s@10s" has nothing answered for 2 s, from 10 s after the first request on.
func ParseDelay(text string) (d Delay, err error) {
	total := 0.0
	for _, word := range strings.Split(text, ",") {
		word = strings.TrimSpace(word)
		left, right, ok := strings.Cut(word, ":")
		switch {
		case left == "stall" && ok && d.stall == 0:
			length, after, found := strings.Cut(right, "@")
			if d.stall, err = parseTime(length); err != nil || d.stall == 0 || !found {
				return Delay{}, fmt.Errorf("%q is no stall: want its length and its beginning after the first request, stall:2s@10s", word)
			}
			if d.after, err = parseTime(after); err != nil {
				return Delay{}, fmt.Errorf("%q begins at no time: %w", word, err)
			}
		case left == "stall":
			return Delay{}, fmt.Errorf("%q: there is one stall, with its length: stall:2s@10s", word)
		case !ok:
			left, right = "100%", word
			fallthrough
		default:
			part, err := parsePart(left, right)
			if err != nil {
				return Delay{}, fmt.Errorf("%q: %w", word, err)
			}
			total += part.upTo
			part.upTo = total
			d.parts = append(d.parts, part)
		}
	}
	if len(d.parts) > 0 && (total < 0.999999 || total > 1.000001) {
		return Delay{}, fmt.Errorf("the shares in %q make %.6g%%, not 100%%", text, total*100)
	}
	return d, nil
}

// UnmarshalText reads what ParseDelay does.
func (d *Delay) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDelay(string(text))
	return err
}

func parsePart(percent, length string) (p delayPart, err error) {
	number, ok := strings.CutSuffix(percent, "%")
	p.upTo, err = strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(p.upTo > 0 && p.upTo <= 100) {
		return p, fmt.Errorf("%q is no share: want a number above 0 up to 100 with %%, as in 90%%:1ms", percent)
	}
	p.upTo /= 100
	p.time, err = parseTime(length)
	return p, err
}

func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxDelay {
		return 0, fmt.Errorf("%q is no time up to an hour, such as 5ms", s)
	}
	return d, nil
}

// IsZero reports whether nothing is delayed.
func (d *Delay) IsZero() bool { return len(d.parts) == 0 && d.stall == 0 }

// pick returns a time for a number between 0 and 1.
func (d *Delay) pick(x float64) time.Duration {
	for i := range d.parts {
		if x < d.parts[i].upTo || i == len(d.parts)-1 {
			return d.parts[i].time
		}
	}
	return 0
}

// stallClock knows when the stall is. All shards share one.
type stallClock struct{ first atomic.Int64 } // clock.Time of the first request; 0: none has come

// due returns when a request that comes now is to be answered.
func (d *Delay) due(now clock.Time, x float64, s *stallClock) clock.Time {
	at := now.Add(d.pick(x))
	if d.stall == 0 {
		return at
	}
	first := s.first.Load()
	if first == 0 {
		s.first.CompareAndSwap(0, int64(now))
		first = s.first.Load()
	}
	begin := clock.Time(first).Add(d.after)
	if end := begin.Add(d.stall); !at.Before(begin) && at.Before(end) {
		return end
	}
	return at
}

// dice are the random numbers of one shard.
type dice struct{ r *rand.Rand }

func newDice(seed uint64, shard int) dice { return dice{rand.New(rand.NewPCG(seed, uint64(shard)))} }

func (d dice) roll() float64 { return d.r.Float64() }
