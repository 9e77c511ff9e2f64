package privileges

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Mode says what the system call filter does with a call that is not on the list.
type Mode string

const (
	On   Mode = "on"   // it fails with EPERM
	Kill Mode = "kill" // the process is killed
	Log  Mode = "log"  // it is done, and the kernel logs it: to find what a filter lacks
	Off  Mode = "off"  // there is no filter
)

// Modes are all of them, in the order of the help.
var Modes = []Mode{On, Kill, Log, Off}

// Config says what a process keeps. The zero value of a field means the default that is given with it.
type Config struct {
	// User is who the process becomes: a name or number, a group after a colon if it is not the user's own. Default: nobody, if root
	// started the process and may change that; else who started it. "root" keeps root with all its capabilities.
	User    string
	Seccomp Mode // default On
	// KernelSockets lets the process make sockets of the kernel's own TCP and UDP after the drop.
	KernelSockets bool
}

// Validate finds mistakes without changing anything.
func (c Config) Validate() error {
	switch c.Seccomp {
	case "", On, Kill, Log, Off:
	default:
		return fmt.Errorf("no mode of the system call filter is called %q: there are on, kill, log and off", c.Seccomp)
	}
	if c.User == "" {
		return nil
	}
	_, err := lookup(c.User)
	return err
}

// KeepsAll reports whether root is to keep its privileges.
func (c Config) KeepsAll() bool {
	if c.User == "" {
		return false
	}
	id, err := lookup(c.User)
	return err == nil && id.uid == 0
}

// identity is a user with a group.
type identity struct {
	uid, gid int
	name     string
}

func (i identity) String() string { return fmt.Sprintf("%s (%d:%d)", i.name, i.uid, i.gid) }

// nobody is the kernel's overflow user, which has that name everywhere; an image without /etc/passwd knows no names.
var nobody = identity{65534, 65534, "nobody"}

// lookup finds a user by what Config.User says.
func lookup(s string) (identity, error) {
	name, group, withGroup := strings.Cut(s, ":")
	if name == "" {
		return identity{}, fmt.Errorf("user %q: want a name or a number, such as nobody or 65534:65534", s)
	}
	id, err := lookupUser(name)
	if err == nil && withGroup {
		id.gid, err = lookupGroup(group)
	}
	if err == nil && id.gid < 0 {
		err = fmt.Errorf("user %s is not known here, so its group is not: say it, as in %s:%s", name, name, name)
	}
	return id, err
}

func lookupUser(name string) (identity, error) {
	number, isNumber := parseID(name)
	u, err := user.Lookup(name)
	if err != nil && isNumber {
		if u, err = user.LookupId(name); err != nil {
			return identity{number, -1, name}, nil
		}
	}
	switch {
	case err != nil && name == nobody.name:
		return nobody, nil
	case err != nil:
		return identity{}, fmt.Errorf("%w: want one that exists, such as nobody, or a number", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return identity{uid, gid, u.Username}, errors.Join(err1, err2)
}

func lookupGroup(name string) (int, error) {
	if n, ok := parseID(name); ok {
		return n, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("%w: want one that exists, or a number", err)
	}
	return strconv.Atoi(g.Gid)
}

// parseID reads a user's or group's number. The largest is what system calls take for "as it is".
func parseID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n != 1<<32-1
}

// target returns who the process becomes, and whether that is a change.
func (c Config) target(may capSet) (id identity, change bool, err error) {
	now := identity{os.Geteuid(), os.Getegid(), "uid " + strconv.Itoa(os.Geteuid())}
	mayChange := may.has(capSetuid) && may.has(capSetgid)
	if c.User == "" {
		if now.uid == 0 && mayChange {
			return nobody, true, nil
		}
		return now, false, nil
	}
	if id, err = lookup(c.User); err != nil {
		return id, false, err
	}
	if id.uid == now.uid && id.gid == now.gid {
		return id, false, nil
	}
	if !mayChange {
		const cure = "start as root, give them, or leave out the user"
		return id, false, fmt.Errorf("%s to %s takes CAP_SETUID and CAP_SETGID, and %s missing: "+cure,
			now, id, missing(may, capSetuid, capSetgid))
	}
	return id, true, nil
}
