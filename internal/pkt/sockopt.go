package pkt

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/sock"
)

// setsockopt sets an option to a number, [number], {onoff=…, linger=…} or a text.
func (r *runner) setsockopt(c *call, s *socket) (attempt, error) {
	name, v := c.arg(2), c.arg(3)
	if len(name.names) != 1 {
		return nil, fmt.Errorf("the third argument of setsockopt must be the name of an option")
	}
	return complete(result(0, s.SetOption(name.names[0], v.option()))), nil
}

// option returns the value of an option.
func (v value) option() sock.Value {
	if v.kind == valueStruct {
		return sock.Value{N: int(v.fields["onoff"].n), Linger: int(v.fields["linger"].n)}
	}
	return sock.Value{N: int(v.number()), Text: v.text}
}

// getsockopt compares the value with the one in the script and returns 0 if it is the same.
func (r *runner) getsockopt(c *call, s *socket) (attempt, error) {
	name, want := c.arg(2), c.arg(3)
	if len(name.names) != 1 {
		return nil, fmt.Errorf("the third argument of getsockopt must be the name of an option")
	}
	got, e := s.Option(name.names[0])
	if e != 0 || want.kind == valueAny {
		return complete(result(0, e)), nil
	}
	if want.kind == valueList && len(want.list) == 1 && want.list[0].kind == valueNames {
		if name := unix.ErrnoName(syscall.Errno(got.N)); name != want.list[0].names[0] {
			return nil, fmt.Errorf("%s: the value is %d %s", c.text, got.N, name)
		}
	} else if got != want.option() {
		return nil, fmt.Errorf("%s: the value is %s", c.text, describe(got))
	}
	return complete(outcome{}), nil
}

// describe returns the value of an option as scripts have it.
func describe(v sock.Value) string {
	switch {
	case v.Text != "":
		return fmt.Sprintf("%q", v.Text)
	case v.Linger != 0:
		return fmt.Sprintf("{onoff=%d, linger=%d}", v.N, v.Linger)
	}
	return fmt.Sprint(v.N)
}
