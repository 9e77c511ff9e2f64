package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
)

// Program is what a bpf.Program does for a filter.
type Program interface {
	SetRule(bpf.Rule) error
	RemoveRule(netip.Prefix) (bool, error)
	ReplaceRules([]bpf.Rule) error
	Rules() ([]bpf.Rule, error)
	SetRates(bpf.Rates) error
	Offenders(n int) ([]bpf.Offender, error)
}

// ErrCutsOff is wrapped by the error of a change that would cut off the operator.
var ErrCutsOff = errors.New("it would cut off your own session")

// Change is what to change. Rates and a list, if they are given, are in the place of what was.
type Change struct {
	Rules    []Rule         `json:"rules,omitempty"`  // to add, or to put in the place of those of the same prefixes
	Remove   []netip.Prefix `json:"remove,omitempty"` // rules to take away
	List     []byte         `json:"list,omitempty"`   // what Pack made: all rules and rates are replaced by it
	Rates    *Rates         `json:"rates,omitempty"`
	Clear    bool           `json:"clear,omitempty"`   // take away all rules and rates
	Operator netip.Addr     `json:"operator,omitzero"` // where the operator is connected from
	Force    bool           `json:"force,omitempty"`   // even if that cuts off the operator
}

// Outcome says what a change did.
type Outcome struct {
	Rules   int            `json:"rules"`             // in force now
	Cut     int            `json:"cut"`               // established connections of the stack whose peer is denied now and was not before
	Missing []netip.Prefix `json:"missing,omitempty"` // to remove, but there was no rule
}

// State is what the filter does.
type State struct {
	Rules   []Rule      `json:"rules"`
	Rates   Rates       `json:"rates"`
	Dropped bpf.Dropped `json:"dropped"`
}

// Filter keeps the filter of one stack. Its methods may be called from any goroutine.
type Filter struct {
	program Program
	// Peers returns the peers of the stack's established connections; KernelPeers those of the kernel's on this machine.
	peers, kernelPeers func() ([]netip.Addr, error)
	now                func() time.Time

	mu      sync.Mutex
	rates   Rates
	ends    map[netip.Prefix]time.Time // of the rules that end by themselves
	timer   *time.Timer                // for the next of them; nil: none does
	failed  error                      // of the last rule that should have ended
	applied Settings                   // the last that were
	left    bool                       // another process keeps the filter
	closed  bool
}

// New keeps the filter of a program, which has none yet, or one that is told by TakeOver.
func New(p Program, peers, kernelPeers func() ([]netip.Addr, error)) *Filter {
	return &Filter{program: p, peers: peers, kernelPeers: kernelPeers, now: time.Now, ends: map[netip.Prefix]time.Time{}}
}

// Close ends the timer. The rules stay as they are.
func (f *Filter) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
}

// State returns what the filter does, all but State.Dropped.
func (f *Filter) State() (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return State{}, fmt.Errorf("filter: a rule that should have ended did not: %w", f.failed)
	}
	rules, err := f.rules()
	return State{Rules: rules, Rates: f.rates}, err
}

// rules returns those in force. The caller has the lock.
func (f *Filter) rules() ([]Rule, error) {
	found, err := f.program.Rules()
	if err != nil {
		return nil, err
	}
	all := make([]Rule, len(found))
	for i, r := range found {
		all[i] = Rule{Prefix: r.Prefix, Verdict: Verdict(r.Verdict), Dropped: r.Dropped, Until: f.ends[r.Prefix]}
	}
	return all, nil
}

// Top returns the n sources of which most was dropped.
func (f *Filter) Top(n int) ([]bpf.Offender, error) { return f.program.Offenders(n) }

// Change makes a change, or nothing of it after an error in what was asked for. The error wraps ErrCutsOff if it is refused for the
// operator's sake.
func (f *Filter) Change(c Change) (Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left {
		return Outcome{}, fmt.Errorf("filter: %w", ErrLeft)
	}
	if err := c.check(); err != nil {
		return Outcome{}, err
	}
	old, err := f.rules()
	if err != nil {
		return Outcome{}, err
	}
	before, after := table(old), table(old)
	var out Outcome
	rates, replace := f.rates, c.Clear || c.List != nil
	if replace {
		clear(after)
		rates = Rates{}
	}
	if c.List != nil {
		list, err := Unpack(c.List)
		if err != nil {
			return Outcome{}, err
		}
		rates = list.Rates
		after.add(list.Rules)
	}
	for _, p := range c.Remove {
		p = p.Masked()
		if _, ok := after[p]; !ok {
			out.Missing = append(out.Missing, p)
		}
		delete(after, p)
	}
	after.add(c.Rules)
	if c.Rates != nil {
		rates = *c.Rates
	}
	if out.Cut, err = f.cut(&c, before, after); err != nil {
		return Outcome{}, err
	}
	if replace {
		err = f.replace(before, after)
	} else {
		err = f.adjust(&c, before)
	}
	if err == nil {
		err = f.program.SetRates(rates.program())
	}
	if err != nil {
		return Outcome{}, err
	}
	f.rates = rates
	out.Rules = len(after)
	f.keepEnds(after)
	return out, nil
}

// check finds mistakes in what is asked for.
func (c *Change) check() error {
	for _, r := range c.Rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, p := range c.Remove {
		if err := (&Rule{Prefix: p}).check(); err != nil {
			return err
		}
	}
	if c.Rates != nil {
		return c.Rates.check()
	}
	return nil
}

// replace puts a list in force at once. What is in the old one too keeps its count.
func (f *Filter) replace(before, after rules) error {
	list := make([]bpf.Rule, 0, len(after))
	for p, r := range after {
		list = append(list, bpf.Rule{Prefix: p, Verdict: bpf.Verdict(r.Verdict), Dropped: before.dropped(p, r.Verdict)})
	}
	return f.program.ReplaceRules(list)
}

// adjust changes single rules.
func (f *Filter) adjust(c *Change, before rules) error {
	for _, p := range c.Remove {
		if _, err := f.program.RemoveRule(p.Masked()); err != nil {
			return err
		}
	}
	for _, r := range c.Rules {
		p := r.Prefix.Masked()
		err := f.program.SetRule(bpf.Rule{Prefix: p, Verdict: bpf.Verdict(r.Verdict), Dropped: before.dropped(p, r.Verdict)})
		if err != nil {
			return err
		}
	}
	return nil
}

// cut says how many of the stack's connections a change cuts off, and refuses one that cuts off the operator.
func (f *Filter) cut(c *Change, before, after rules) (int, error) {
	newly := func(a netip.Addr) bool { return after.denies(a) && !before.denies(a) }
	if c.Operator.IsValid() && newly(c.Operator.Unmap()) && !c.Force {
		return 0, fmt.Errorf("filter: %w: you are connected from %v: give --force if that is meant", ErrCutsOff, c.Operator)
	}
	if !after.anyDeny() {
		return 0, nil
	}
	if !c.Force {
		peers, err := f.kernelPeers()
		if err != nil {
			return 0, fmt.Errorf("filter: who is connected to this machine is unknown: %w: give --force to do without", err)
		}
		var mine []string
		for _, a := range peers {
			if newly(a) && !slices.Contains(mine, a.String()) {
				mine = append(mine, a.String())
			}
		}
		if len(mine) > 0 {
			more := ""
			if len(mine) > 3 {
				mine, more = mine[:3], fmt.Sprintf(" and %d others", len(mine)-3)
			}
			return 0, fmt.Errorf("filter: %w: this machine has TCP connections with %s%s: give --force if that is meant", ErrCutsOff,
				strings.Join(mine, ", "), more)
		}
	}
	peers, err := f.peers()
	n := 0
	for _, a := range peers {
		if newly(a) {
			n++
		}
	}
	return n, err
}

// keepEnds remembers which rules end by themselves, and waits for the first of them. The caller has the lock.
func (f *Filter) keepEnds(all rules) {
	clear(f.ends)
	for p, r := range all {
		if !r.Until.IsZero() {
			f.ends[p] = r.Until
		}
	}
	f.wait()
}

func (f *Filter) wait() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if len(f.ends) == 0 || f.closed || f.left {
		return
	}
	var first time.Time
	for _, at := range f.ends {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	f.timer = time.AfterFunc(first.Sub(f.now()), f.expire)
}

// expire removes the rules whose time has come.
func (f *Filter) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.left {
		return
	}
	now := f.now()
	for p, at := range f.ends {
		if at.After(now) {
			continue
		}
		if _, err := f.program.RemoveRule(p); err != nil {
			f.failed = err
		}
		delete(f.ends, p)
	}
	f.wait()
}
