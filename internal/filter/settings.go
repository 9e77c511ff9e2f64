package filter

import (
	"fmt"
	"slices"
)

// Settings are the filter that a process begins with, as its configuration says it. The zero value lets everything in.
type Settings struct {
	Deny    []string // prefixes and addresses
	Allow   []string // the same, even within denied ones
	SYNRate string   // SYNs of each source, such as 100/s; default off
	Rate    string   // packets of each source, such as 10k/s; default off

	SYNBurst, Burst uint64 // how many may come at once; default what the rate has in a second
}

// Validate finds mistakes.
func (s *Settings) Validate() error {
	_, err := s.change()
	return err
}

// change is what makes a filter do what the settings say.
func (s *Settings) change() (Change, error) {
	c := Change{Clear: true, Force: true, Rates: &Rates{}}
	for _, list := range []struct {
		verdict  Verdict
		prefixes []string
	}{{Deny, s.Deny}, {Allow, s.Allow}} {
		for _, text := range list.prefixes {
			p, err := ParsePrefix(text)
			if err != nil {
				return c, err
			}
			c.Rules = append(c.Rules, Rule{Prefix: p, Verdict: list.verdict})
		}
	}
	for _, r := range []struct {
		name  string
		text  string
		burst uint64
		to    *Rate
	}{{"SYN", s.SYNRate, s.SYNBurst, &c.Rates.SYNs}, {"packet", s.Rate, s.Burst, &c.Rates.Packets}} {
		if r.text == "" {
			if r.burst != 0 {
				return c, fmt.Errorf("filter: a %s burst of %d needs a rate", r.name, r.burst)
			}
			continue
		}
		var err error
		if *r.to, err = ParseRate(r.text); err != nil {
			return c, err
		}
		r.to.Burst = r.burst
	}
	return c, c.check()
}

// Apply replaces everything by what the settings say. It asks nobody's leave: who writes a configuration is not surprised by it.
func (f *Filter) Apply(s *Settings) error {
	c, err := s.change()
	if err == nil {
		_, err = f.Change(c)
	}
	if err == nil {
		f.mu.Lock()
		f.applied = *s
		f.mu.Unlock()
	}
	return err
}

func (s *Settings) equal(t *Settings) bool {
	return slices.Equal(s.Deny, t.Deny) && slices.Equal(s.Allow, t.Allow) && s.SYNRate == t.SYNRate && s.Rate == t.Rate &&
		s.SYNBurst == t.SYNBurst && s.Burst == t.Burst
}
