package rfc2544

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// backToBack searches the longest burst that gets through without loss, several times (section 26.4 and RFC 9004).
func (r *runner) backToBack() error {
	b := &Bursts{}
	most := uint64(max(r.top*r.Burst.Seconds(), 1))
	var lengths []float64
	var guess uint64
	for i := range r.Bursts {
		s := bursts{runner: r, most: most, into: b, step: fmt.Sprintf("%d of %d", i+1, r.Bursts), later: r.Bursts - 1 - i}
		length, err := s.search(guess)
		if err != nil {
			return err
		}
		guess = length
		lengths = append(lengths, float64(length))
		b.add(lengths, most)
		r.row.Burst = b
		if length == most {
			break // no need to see it fifty times (RFC 9004 section 6.1: the test is for what has a limit)
		}
	}
	if b.Max == 0 {
		b.Note = "not even one frame gets through"
		return nil
	}
	r.buffer(b)
	return nil
}

// add sums up the searches so far.
func (b *Bursts) add(lengths []float64, most uint64) {
	b.Searches = len(lengths)
	var sum, squares float64
	b.Min, b.Max = math.MaxUint64, 0
	for _, n := range lengths {
		sum += n
		b.Min, b.Max = min(b.Min, uint64(n)), max(b.Max, uint64(n))
	}
	b.Mean = sum / float64(len(lengths))
	for _, n := range lengths {
		squares += (n - b.Mean) * (n - b.Mean)
	}
	b.Deviation = math.Sqrt(squares / float64(len(lengths)))
	b.Unlimited = b.Min == most
}

// buffer computes how much time the device's buffer holds (RFC 9004 section 6.4). The rate is that at which the bursts were sent: a
// sender in software does not reach the medium's.
func (r *runner) buffer(b *Bursts) {
	rate := r.row.Line
	if b.Offered > 0 && b.Offered < rate*(1-r.Shortfall) {
		rate = b.Offered
		b.Note = fmt.Sprintf("bursts were sent at %.3g %% of the medium's rate: one at full rate would be shorter", 100*rate/r.row.Line)
	}
	if b.Unlimited {
		notes := []error{errors.New("no limit up to the longest burst")}
		if b.Note != "" {
			notes = append(notes, errors.New(b.Note))
		}
		b.Note = join(notes)
		return
	}
	implied := b.Mean / rate
	b.Implied = time.Duration(implied * float64(time.Second))
	if through, err := r.borne(); err == nil && through < rate {
		b.Corrected = time.Duration(implied * (1 - through/rate) * float64(time.Second))
	}
}

// bursts is one search.
type bursts struct {
	*runner
	most  uint64 // the longest that is tried
	into  *Bursts
	step  string
	later int // searches that follow
}

// search returns the longest burst without loss, 0 if there is none. The guess, if not 0, is where to begin.
func (s *bursts) search(guess uint64) (uint64, error) {
	lower, upper := uint64(0), s.most+1 // lower gets through, upper does not
	try := s.most
	if guess > 0 {
		try = guess
	}
	galloping, stride := guess > 0, max(guess/16, 1)
	for first, up := true, false; upper-lower > max(1, uint64(float64(upper)*s.Width)); {
		through, err := s.burst(try, lower, upper)
		if err != nil {
			return 0, err
		}
		if through {
			lower = try
		} else {
			upper = try
		}
		if galloping = galloping && (first || through == up); galloping {
			first, up = false, through
			if try = min(lower+stride, s.most); !through {
				try = upper - min(stride, upper-1)
			}
			if stride *= 4; try > lower && try < upper {
				continue
			}
		}
		try = lower + (upper-lower)/2
	}
	return lower, nil
}

// burst tries one.
func (s *bursts) burst(n, lower, upper uint64) (through bool, err error) {
	e := Event{Step: s.step, Lower: float64(lower)}
	if upper <= s.most {
		e.Upper = float64(upper)
	}
	around := s.Wait + s.Settle
	halvings := time.Duration(math.Log2(float64(upper-lower)/max(1, float64(upper)*s.Width)) + 1)
	e.Remaining = (halvings + time.Duration(s.later)*6) * around
	t := Trial{Burst: n}
	o, err := s.trial(t, e)
	if err != nil {
		return false, err
	}
	if rate := o.offered(&t); n > 1 && rate > 0 {
		s.into.Offered = max(s.into.Offered, rate)
	}
	return o.loss() == 0 && o.Sent >= n, nil
}
