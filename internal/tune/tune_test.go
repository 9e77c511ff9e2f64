package tune

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machine has settings that are variables.
type machine struct {
	values map[string]string
	wants  map[string]string
	order  []string
	broken string // what cannot be written
	writes []string
}

func (m *machine) list() (all []knob, err error) {
	for _, name := range m.order {
		all = append(all, knob{
			name: name,
			read: func() (string, error) {
				if v, ok := m.values[name]; ok {
					return v, nil
				}
				return "", fmt.Errorf("%w: no %s", errLacks, name)
			},
			want: func(now string) (string, error) {
				if w, ok := m.wants[name]; ok {
					return w, nil
				}
				return now, nil
			},
			write: func(value string) error {
				m.writes = append(m.writes, name+"="+value)
				if name == m.broken {
					return errors.New("refused")
				}
				m.values[name] = value
				return nil
			},
		})
	}
	return all, nil
}

func newMachine() *machine {
	return &machine{
		order:  []string{queuesName, "good", "lacking", "timer"},
		values: map[string]string{queuesName: "1", "good": "7", "timer": "0"},
		wants:  map[string]string{queuesName: "2", "good": "7", "timer": "20"},
	}
}

// states says in short what became of the settings.
func states(settings []Setting) string {
	var all []string
	for _, s := range settings {
		all = append(all, s.Name+" "+string(s.State))
	}
	return strings.Join(all, ", ")
}

func open(t *testing.T, path string) *state {
	t.Helper()
	s, err := readState(path, "x0")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestApplyAndUndo(t *testing.T) {
	m := newMachine()
	path := filepath.Join(t.TempDir(), "dir", "x0.json")
	got, err := apply(m.list, open(t, path))
	if want := "queues applied, good ok, lacking skipped, timer applied"; err != nil || states(got) != want {
		t.Fatalf("%s, %v; want %s", states(got), err, want)
	}
	m.wants["timer"] = "30" // another proposal: what was first stays
	if got, err = apply(m.list, open(t, path)); err != nil || states(got) != "queues ok, good ok, lacking skipped, timer applied" {
		t.Fatalf("again: %s, %v", states(got), err)
	}
	got, err = undo(m.list, open(t, path))
	if want := "timer undone, queues undone"; err != nil || states(got) != want {
		t.Fatalf("%s, %v; want %s", states(got), err, want)
	}
	if m.values["timer"] != "0" || m.values[queuesName] != "1" {
		t.Errorf("afterwards: %v", m.values)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file is still there: %v", err)
	}
	if got, err = undo(m.list, open(t, path)); err != nil || len(got) != 0 {
		t.Errorf("nothing to undo: %s, %v", states(got), err)
	}
}

// TestUndoKeepsWhatOthersSet leaves alone what was changed after apply, and what is not there any more.
func TestUndoKeepsWhatOthersSet(t *testing.T) {
	m := newMachine()
	path := filepath.Join(t.TempDir(), "x0.json")
	if _, err := apply(m.list, open(t, path)); err != nil {
		t.Fatal(err)
	}
	m.values["timer"] = "99"
	m.order = m.order[1:]
	got, err := undo(m.list, open(t, path))
	if want := "timer kept, queues kept"; err != nil || states(got) != want || m.values["timer"] != "99" || !Worked(got) {
		t.Errorf("%s, %v, %v; want %s", states(got), m.values, err, want)
	}
}

// TestFailures has a setting that cannot be written: the others are, and what failed to be undone can be tried again.
func TestFailures(t *testing.T) {
	m := newMachine()
	path := filepath.Join(t.TempDir(), "x0.json")
	m.broken = queuesName
	got, err := apply(m.list, open(t, path))
	if want := "queues failed, good ok, lacking skipped, timer applied"; err != nil || states(got) != want || Worked(got) {
		t.Fatalf("%s, %v; want %s", states(got), err, want)
	}
	m.broken = "timer"
	if got, err = undo(m.list, open(t, path)); err != nil || states(got) != "timer failed, queues undone" {
		t.Fatalf("%s, %v", states(got), err)
	}
	m.broken = ""
	if got, err = undo(m.list, open(t, path)); err != nil || states(got) != "timer undone" || m.values["timer"] != "0" {
		t.Fatalf("%s, %v, %v", states(got), m.values, err)
	}
}

// TestStateBeforeWrite has what was before in the file when a setting is written, for whoever is killed then.
func TestStateBeforeWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x0.json")
	m := newMachine()
	list := func() ([]knob, error) {
		all, err := m.list()
		for i, k := range all {
			all[i].write = func(value string) error {
				if s := open(t, path); !slices.Contains(s.Changes, change{k.name, m.values[k.name], value}) {
					t.Errorf("%s is written, and the file has %v", k.name, s.Changes)
				}
				return k.write(value)
			}
		}
		return all, err
	}
	if _, err := apply(list, open(t, path)); err != nil {
		t.Fatal(err)
	}
}

func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, c := range []struct{ text, says string }{
		{`{"interface":"x0","changes":`, "damaged"},
		{`{"interface":"x1","changes":[]}`, "about x1"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readState(path, "x0"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.text, err, c.says)
		}
	}
	s := &state{Interface: "x0", path: filepath.Join(path, "below", "a", "file")}
	m := newMachine()
	if _, err := apply(m.list, s); err == nil || len(m.writes) > 0 {
		t.Errorf("settings were changed (%v) although what was before could not be kept: %v", m.writes, err)
	}
}

func TestNoSuchInterface(t *testing.T) {
	tuner := Tuner{Interface: "xs-none", Path: filepath.Join(t.TempDir(), "s")}
	for _, f := range []func() ([]Setting, error){tuner.Propose, tuner.Apply} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), "xs-none") {
			t.Errorf("%v, want an error that names the interface", err)
		}
	}
}
