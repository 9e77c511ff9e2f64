package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// StatePath returns where it is kept what was before an interface was tuned: in /run, for the settings do not outlive the system either.
func StatePath(iface string) string { return filepath.Join("/run/xdpstack-tune", iface+".json") }

// state is what the state file has.
type state struct {
	Interface string   `json:"interface"`
	Changes   []change `json:"changes"` // in the order in which they were made

	path string
}

// change is one setting that was changed.
type change struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func readState(path, iface string) (*state, error) {
	s := &state{Interface: iface, path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tune: what was changed before: %w", err)
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("tune: %s is damaged (%w): set by hand what it says, and remove it", path, err)
	}
	if s.Interface != iface {
		return nil, fmt.Errorf("tune: %s is about %s, not %s: give another file for each interface", path, s.Interface, iface)
	}
	return s, nil
}

// record notes a change that is about to be made. What a setting was before the first one stays.
func (s *state) record(name, before, after string) error {
	if i := slices.IndexFunc(s.Changes, func(c change) bool { return c.Name == name }); i >= 0 {
		s.Changes[i].After = after
	} else {
		s.Changes = append(s.Changes, change{name, before, after})
	}
	return s.write()
}

// forget takes a change out that was made undone, and removes the file when it was the last.
func (s *state) forget(name string) error {
	s.Changes = slices.DeleteFunc(s.Changes, func(c change) bool { return c.Name == name })
	if len(s.Changes) > 0 {
		return s.write()
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tune: %w", err)
	}
	return nil
}

// write replaces the file as a whole, so that it is never half of one.
func (s *state) write() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(s.path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		return fmt.Errorf("tune: keep what was before: %w", err)
	}
	return nil
}
