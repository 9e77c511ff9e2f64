package tune

import "errors"

// knob is one setting of the system.
type knob struct {
	name  string                           // in the table and in the state file
	why   string                           // what it is good for
	read  func() (string, error)           // the value now
	want  func(now string) (string, error) // the value that is proposed; that of now if it is good
	write func(value string) error
}

// errLacks is why a setting is skipped: the device does not have it. What wraps it says what is missing.
var errLacks = errors.New("not there")

// State says what is, or was, done about a setting.
type State string

// The states of a setting.
const (
	Good    State = "ok"      // it is as proposed
	Change  State = "change"  // another value is proposed
	Skipped State = "skipped" // the device does not have it
	Applied State = "applied" // it was changed
	Undone  State = "undone"  // it was changed back
	Kept    State = "kept"    // somebody else has changed it since, so it was not changed back
	Failed  State = "failed"  // it could not be changed
)

// Setting is what is told about one.
type Setting struct {
	Name   string `json:"name"`
	Now    string `json:"now,omitempty"`
	Want   string `json:"want,omitempty"`
	State  State  `json:"state"`
	Why    string `json:"why,omitempty"`    // what it is good for
	Reason string `json:"reason,omitempty"` // why it was skipped, kept or failed
}

// look reads a knob and says what should be done about it.
func (k *knob) look() Setting {
	s := Setting{Name: k.name, Why: k.why, State: Good}
	now, err := k.read()
	if err == nil {
		s.Now = now
		s.Want, err = k.want(now)
	}
	switch {
	case errors.Is(err, errLacks):
		s.State, s.Reason = Skipped, err.Error()
	case err != nil:
		s.State, s.Reason = Failed, err.Error()
	case s.Want != s.Now:
		s.State = Change
	}
	return s
}
