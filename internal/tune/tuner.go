package tune

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/irq"
)

// Tuner tunes for one interface of the calling thread's network namespace. Proc and sys must be of that too.
type Tuner struct {
	Interface string
	Queues    int      // receive and transmit queues to have; 0: one for each two CPUs, as far as the device has them
	BusyPoll  bool     // the stack will run with busy polling
	Only      []string // parts of the names of the settings to look at; none: all
	Path      string   // of the state file; default StatePath

	info   afxdp.Info
	usable []int // CPUs of this process
	system irq.System
}

// open learns what the knobs need to know.
func (t *Tuner) open() (err error) {
	if t.info, err = afxdp.Discover(t.Interface); err != nil {
		return err
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return fmt.Errorf("tune: which CPUs there are: %w", err)
	}
	t.usable = nil
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			t.usable = append(t.usable, cpu)
		}
	}
	return nil
}

// knobs returns all settings, those first that others depend on: another number of queues brings other interrupts and rings.
func (t *Tuner) knobs() ([]knob, error) {
	interrupts, err := t.interruptKnobs()
	if err != nil {
		return nil, err
	}
	all := []knob{t.queuesKnob(), t.ringsKnob(), t.coalescingKnob(), t.lroKnob(), t.deferKnob(), t.flushKnob()}
	return append(append(all, interrupts...), t.hugePagesKnob()), nil
}

// Propose looks at every setting and changes nothing.
func (t *Tuner) Propose() ([]Setting, error) {
	knobs, err := t.list()
	var out []Setting
	for i := range knobs {
		out = append(out, knobs[i].look())
	}
	return out, err
}

// Apply changes what Propose would, and says of each setting what became of it. The state file keeps what was first, however often it is
// called.
func (t *Tuner) Apply() ([]Setting, error) {
	saved, err := readState(t.path(), t.Interface)
	if err != nil {
		return nil, err
	}
	return apply(t.list, saved)
}

// Undo changes back what Apply has changed, the last first, and forgets it. Without a state file there is nothing to do.
func (t *Tuner) Undo() ([]Setting, error) {
	saved, err := readState(t.path(), t.Interface)
	if err != nil {
		return nil, err
	}
	return undo(t.list, saved)
}

func (t *Tuner) path() string {
	if t.Path == "" {
		return StatePath(t.Interface)
	}
	return t.Path
}

// list returns the knobs as the interface is now.
func (t *Tuner) list() ([]knob, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	all, err := t.knobs()
	if err != nil || len(t.Only) == 0 {
		return all, err
	}
	var names []string
	chosen := slices.DeleteFunc(slices.Clone(all), func(k knob) bool {
		names = append(names, k.name)
		return !slices.ContainsFunc(t.Only, func(word string) bool { return strings.Contains(k.name, word) })
	})
	if len(chosen) == 0 {
		return nil, fmt.Errorf("tune: no setting is called %s: there are %s", strings.Join(t.Only, " or "), strings.Join(names, ", "))
	}
	return chosen, nil
}

// apply sets what is proposed. After the number of queues has changed, the list is made anew: the knobs that follow are others then.
func apply(list func() ([]knob, error), saved *state) (out []Setting, err error) {
	knobs, err := list()
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(knobs); i++ {
		k := &knobs[i]
		s := k.look()
		if s.State == Change {
			if err := saved.record(k.name, s.Now, s.Want); err != nil {
				return out, err
			}
			s.State = Applied
			if err := k.write(s.Want); err != nil {
				s.State, s.Reason = Failed, err.Error()
			}
		}
		out = append(out, s)
		if k.name == queuesName && s.State == Applied {
			if knobs, err = list(); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func undo(list func() ([]knob, error), saved *state) (out []Setting, err error) {
	for _, c := range slices.Backward(slices.Clone(saved.Changes)) {
		knobs, err := list() // anew: what was changed back before may have brought others
		if err != nil {
			return out, err
		}
		s := Setting{Name: c.Name, Want: c.Before, State: Kept, Reason: "the interface does not have it any more"}
		if i := slices.IndexFunc(knobs, func(k knob) bool { return k.name == c.Name }); i >= 0 {
			s = knobs[i].undo(c)
		}
		out = append(out, s)
		if s.State == Failed {
			continue // what stays in the file can be tried again
		}
		if err := saved.forget(c.Name); err != nil {
			return out, err
		}
	}
	return out, nil
}

// undo changes a setting back, unless it is not what Apply made it.
func (k *knob) undo(c change) Setting {
	s := Setting{Name: k.name, Want: c.Before, State: Undone}
	var err error
	if s.Now, err = k.read(); err != nil {
		s.State, s.Reason = Failed, err.Error()
		return s
	}
	switch s.Now {
	case c.Before:
	case c.After:
		if err := k.write(c.Before); err != nil {
			s.State, s.Reason = Failed, err.Error()
		}
	default:
		s.State, s.Reason = Kept, fmt.Sprintf("it was set to %s, and somebody has changed it since", c.After)
	}
	return s
}

// Worked reports whether none of the settings failed.
func Worked(settings []Setting) bool {
	return !slices.ContainsFunc(settings, func(s Setting) bool { return s.State == Failed })
}
