package filter

import (
	"errors"
	"fmt"
	"time"
)

// Carried is what a filter knows beside the program's maps: for the process that takes the program over, rules, rates and counts in it.
type Carried struct {
	List    []byte   `json:"list"`    // what Pack made: the rates, and the rules that end by themselves
	Applied Settings `json:"applied"` // what the configuration said when it was read last
}

// ErrLeft is the error of a change after Leave.
var ErrLeft = errors.New("another process takes the filter over: ask that")

// Leave says what another process must know to go on with the program's filter. From then on nothing is changed here, until Return.
func (f *Filter) Leave() (Carried, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := List{Rates: f.rates}
	all, err := f.rules()
	if err != nil {
		return Carried{}, err
	}
	for _, r := range all {
		if !r.Until.IsZero() {
			r.Until = r.Until.Add(time.Second - 1).Truncate(time.Second) // the text has whole seconds; none ends too early
			list.Rules = append(list.Rules, r)
		}
	}
	packed, err := Pack(&list)
	if err != nil {
		return Carried{}, fmt.Errorf("filter: hand over: %w", err)
	}
	f.left = true
	f.wait()
	return Carried{packed, f.applied}, nil
}

// Return undoes Leave.
func (f *Filter) Return() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = false
	f.wait()
}

// TakeOver goes on with the filter that another process has left.
func (f *Filter) TakeOver(c Carried) error {
	list, err := Unpack(c.List)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rates, f.applied = list.Rates, c.Applied
	f.keepEnds(table(list.Rules))
	return nil
}

// ApplyNew is Apply if the settings are others than those that were applied last, as far as that is known, and reports whether they were.
func (f *Filter) ApplyNew(s *Settings) (bool, error) {
	f.mu.Lock()
	same := f.applied.equal(s)
	f.mu.Unlock()
	if same {
		return false, nil
	}
	return true, f.Apply(s)
}
