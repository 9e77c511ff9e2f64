package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrNoFilter is wrapped by the errors of calls that need a filter, of a program that was loaded without.
var ErrNoFilter = errors.New("the program was loaded without a filter")

// Verdict is what a rule says of packets for the stack.
type Verdict uint32

const (
	// Deny: they are dropped.
	Deny Verdict = iota
	// Allow: they are let in, whatever the rule of a shorter prefix or the rates say.
	Allow
)

func (v Verdict) String() string {
	if v == Allow {
		return "allow"
	}
	return "deny"
}

// Rule says what becomes of the packets for the stack that come from an IPv4 prefix. Of the rules whose prefix has a source, the longest
// decides.
type Rule struct {
	Prefix  netip.Prefix
	Verdict Verdict
	Dropped uint64 // packets, by a rule that denies
}

// filter is what the loader keeps of a filter. The lock is held for each change.
type filter struct {
	mu       sync.Mutex
	replaced time.Time // when all rules were last replaced
}

// ruleValue is struct rule of xdp_steer.h.
type ruleValue struct {
	Verdict uint32
	Zero    uint32
	Dropped uint64
}

const (
	// offenderRatio is how many sources' rates are kept for each offender.
	offenderRatio = 8
	// grace is how long the program on another CPU may still use the rules that were replaced; it is over in microseconds.
	grace = 10 * time.Millisecond
	// ruleBatch is how many rules are read or removed by a system call.
	ruleBatch = 4096
)

// setFilter prepares the filter's maps. They are there without a filter too, as small as can be.
func setFilter(spec *ebpf.CollectionSpec, cfg *Config) error {
	if !cfg.Filter {
		return nil
	}
	spec.Maps[steerMapRulesFirst].MaxEntries = uint32(cfg.MaxRules)
	spec.Maps[steerMapRulesSecond].MaxEntries = uint32(cfg.MaxRules)
	spec.Maps[steerMapSources].MaxEntries = uint32(cfg.MaxSources)
	spec.Maps[steerMapOffenders].MaxEntries = uint32(max(cfg.MaxSources/offenderRatio, 1))
	if err := spec.Variables[steerVarFilters].Set(true); err != nil {
		return fmt.Errorf("bpf: set the filter: %w", err)
	}
	return nil
}

// Filtered reports whether the program was loaded with a filter.
func (p *Program) Filtered() bool { return p.cfg.Filter }

// SetRule adds a rule, or replaces the one of the same prefix. The next packet is judged by it.
func (p *Program) SetRule(r Rule) error {
	key, err := p.ruleKey(r.Prefix)
	if err != nil {
		return err
	}
	p.filter.mu.Lock()
	defer p.filter.mu.Unlock()
	s, rules, err := p.rulesInForce()
	if err != nil {
		return err
	}
	if err := rules.Put(key, r.value()); err != nil {
		return p.ruleError(r.Prefix, err)
	}
	if s.Rules != noRules {
		return nil
	}
	s.Rules = rulesFirst
	return p.setSettings(s)
}

// RemoveRule removes the rule of a prefix, and reports whether there was one.
func (p *Program) RemoveRule(prefix netip.Prefix) (bool, error) {
	key, err := p.ruleKey(prefix)
	if err != nil {
		return false, err
	}
	p.filter.mu.Lock()
	defer p.filter.mu.Unlock()
	_, rules, err := p.rulesInForce()
	if err != nil {
		return false, err
	}
	err = rules.Delete(key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	return err == nil, p.ruleError(prefix, err)
}

// ReplaceRules puts other rules in the place of all at once: each packet is judged by the old ones or the new. Of two with the same prefix
// the later holds. After an error the old rules are in force.
func (p *Program) ReplaceRules(all []Rule) error {
	if err := p.checkFilter(); err != nil {
		return err
	}
	keys, values := make([]prefix, len(all)), make([]ruleValue, len(all))
	for i, r := range all {
		key, err := p.ruleKey(r.Prefix)
		if err != nil {
			return err
		}
		keys[i], values[i] = key, r.value()
	}
	p.filter.mu.Lock()
	defer p.filter.mu.Unlock()
	s, _, err := p.rulesInForce()
	if err != nil {
		return err
	}
	fresh, next := p.objects.RulesFirst, uint32(rulesFirst)
	if s.Rules == rulesFirst {
		fresh, next = p.objects.RulesSecond, rulesSecond
	}
	time.Sleep(grace - time.Since(p.filter.replaced))
	if err := clearRules(fresh); err != nil {
		return err
	}
	if err := p.fillRules(fresh, keys, values); err != nil {
		return err
	}
	if s.Rules = next; len(all) == 0 {
		s.Rules = noRules
		if next == rulesSecond { // the first list is in force again as soon as there is a rule
			defer func() { time.Sleep(grace); _ = clearRules(p.objects.RulesFirst) }()
		}
	}
	p.filter.replaced = time.Now()
	return p.setSettings(s)
}

// fillRules puts rules into a list that is not in force.
func (p *Program) fillRules(m *ebpf.Map, keys []prefix, values []ruleValue) error {
	if len(keys) == 0 {
		return nil
	}
	done, err := m.BatchUpdate(keys, values, nil)
	if errors.Is(err, ebpf.ErrNotSupported) { // before Linux 5.13
		err = nil
		for done = 0; done < len(keys) && err == nil; done++ {
			err = m.Put(keys[done], values[done])
		}
	}
	if err == nil {
		return nil
	}
	at := keys[min(done, len(keys)-1)]
	return p.ruleError(netip.PrefixFrom(netip.AddrFrom4(at.Address), int(at.Length)), err)
}

// clearRules empties a list that is not in force.
func clearRules(m *ebpf.Map) error {
	keys, _, err := readRules(m)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(keys, ruleBatch) {
		if _, err := m.BatchDelete(part, nil); err == nil {
			continue
		}
		for _, key := range part { // before Linux 5.13
			if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("bpf: clear the filter's rules: %w", err)
			}
		}
	}
	return nil
}

// readRules returns what is in a list.
func readRules(m *ebpf.Map) ([]prefix, []ruleValue, error) {
	var keys []prefix
	var values []ruleValue
	var at ebpf.MapBatchCursor
	k, v := make([]prefix, ruleBatch), make([]ruleValue, ruleBatch)
	for {
		n, err := m.BatchLookup(&at, k, v, nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			return readEach(m)
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, nil, fmt.Errorf("bpf: read the filter's rules: %w", err)
		}
		keys, values = append(keys, k[:n]...), append(values, v[:n]...)
		if err != nil { // the end
			return keys, values, nil
		}
	}
}

// readEach reads a list where the kernel has no batches for it: before Linux 5.13.
func readEach(m *ebpf.Map) (keys []prefix, values []ruleValue, err error) {
	var key prefix
	var value ruleValue
	each := m.Iterate()
	for each.Next(&key, &value) {
		keys, values = append(keys, key), append(values, value)
	}
	if err := each.Err(); err != nil {
		return nil, nil, fmt.Errorf("bpf: read the filter's rules: %w", err)
	}
	return keys, values, nil
}

// rulesInForce returns the settings and the list that is in force, or will be with its first rule. The caller has the lock.
func (p *Program) rulesInForce() (s steerFilterSettings, rules *ebpf.Map, err error) {
	if err := p.objects.FilterSettings.Lookup(uint32(0), &s); err != nil {
		return s, nil, fmt.Errorf("bpf: read the filter's settings: %w", err)
	}
	if s.Rules == rulesSecond {
		return s, p.objects.RulesSecond, nil
	}
	return s, p.objects.RulesFirst, nil
}

func (p *Program) setSettings(s steerFilterSettings) error {
	if err := p.objects.FilterSettings.Put(uint32(0), &s); err != nil {
		return fmt.Errorf("bpf: set the filter: %w", err)
	}
	return nil
}

// Rules returns the filter's rules by prefix, with what each has dropped.
func (p *Program) Rules() ([]Rule, error) {
	if err := p.checkFilter(); err != nil {
		return nil, err
	}
	p.filter.mu.Lock()
	defer p.filter.mu.Unlock()
	_, rules, err := p.rulesInForce()
	if err != nil {
		return nil, err
	}
	keys, values, err := readRules(rules)
	if err != nil {
		return nil, err
	}
	all := make([]Rule, len(keys))
	for i, key := range keys {
		all[i] = Rule{
			Prefix:  netip.PrefixFrom(netip.AddrFrom4(key.Address), int(key.Length)),
			Verdict: Verdict(values[i].Verdict), Dropped: values[i].Dropped,
		}
	}
	slices.SortFunc(all, func(a, b Rule) int { return a.Prefix.Compare(b.Prefix) })
	return all, nil
}

func (r *Rule) value() ruleValue { return ruleValue{Verdict: uint32(r.Verdict), Dropped: r.Dropped} }

func (p *Program) checkFilter() error {
	if !p.cfg.Filter {
		return fmt.Errorf("bpf: %w", ErrNoFilter)
	}
	return nil
}

func (p *Program) ruleKey(a netip.Prefix) (prefix, error) {
	switch {
	case !p.cfg.Filter:
		return prefix{}, fmt.Errorf("bpf: rule for %v: %w", a, ErrNoFilter)
	case !a.IsValid() || !a.Addr().Is4():
		return prefix{}, fmt.Errorf("bpf: rule for %v: %w", a, ErrNotIPv4)
	}
	return prefix{Length: uint32(a.Bits()), Address: a.Masked().Addr().As4()}, nil
}

func (p *Program) ruleError(a netip.Prefix, err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("bpf: rule for %v: %w: the program was loaded with MaxRules %d", a, ErrTableFull, p.cfg.MaxRules)
	case err != nil:
		return fmt.Errorf("bpf: rule for %v: %w", a, err)
	}
	return nil
}

// The lists of rules, as enum rules_in_force of xdp_steer.h has them.
const (
	noRules = iota
	rulesFirst
	rulesSecond
)
