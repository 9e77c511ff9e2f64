package config

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// Mode is the permissions of a file, written in octal. 0 means the default.
type Mode fs.FileMode

// UnmarshalText reads an octal number.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf(`want permissions in octal, such as "0660"`)
	}
	*m = Mode(n)
	return nil
}

// Patience is a time that may be chosen to be none, which is another thing than leaving it to the default.
type Patience struct {
	given bool
	time  time.Duration
}

// DefaultDrain is how long open connections may take to end.
const DefaultDrain = 10 * time.Second

// maxPatience bounds a Patience: a service manager's own is shorter.
const maxPatience = 24 * time.Hour

// UnmarshalText reads a duration.
func (p *Patience) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > maxPatience {
		return fmt.Errorf("want a time of 0s to 24h, such as 30s")
	}
	*p = Patience{given: true, time: d}
	return nil
}

// Or returns the time, or another if none was given.
func (p Patience) Or(other time.Duration) time.Duration {
	if p.given {
		return p.time
	}
	return other
}

// Crash says what becomes of the interface when the process is killed.
type Crash bool

// The choices.
const (
	CrashClean Crash = false // the XDP program is removed
	CrashPin   Crash = true  // it stays, pinned, and passes everything to the kernel: see afxdp.Options.Pin
)

// UnmarshalText reads a choice.
func (c *Crash) UnmarshalText(text []byte) error {
	switch string(text) {
	case "clean":
		*c = CrashClean
	case "pin":
		*c = CrashPin
	default:
		return fmt.Errorf("want clean or pin")
	}
	return nil
}
