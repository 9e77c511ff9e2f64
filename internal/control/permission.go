package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// permission is who may ask.
type permission struct {
	mode  fs.FileMode
	group int // -1: none
}

func newPermission(cfg *Config) (permission, error) {
	p := permission{mode: cfg.Mode, group: -1}
	if p.mode&^0o777 != 0 {
		return p, fmt.Errorf("control: the socket's mode %#o: want permissions only, such as 0660", uint32(p.mode))
	}
	if cfg.Group != "" {
		id, err := strconv.Atoi(cfg.Group)
		if err != nil {
			g, err := user.LookupGroup(cfg.Group)
			if err != nil {
				return p, fmt.Errorf("control: the socket's group: %w", err)
			}
			if id, err = strconv.Atoi(g.Gid); err != nil {
				return p, fmt.Errorf("control: the socket's group %s has the number %q", cfg.Group, g.Gid)
			}
		}
		p.group = id
	}
	switch {
	case p.mode != 0:
	case p.group >= 0:
		p.mode = 0o660
	default:
		p.mode = 0o600
	}
	return p, nil
}

// apply sets the mode and the group of the socket.
func (p permission) apply(path string) error {
	if p.group >= 0 {
		if err := os.Chown(path, -1, p.group); err != nil {
			return fmt.Errorf("control: the socket's group: %w", err)
		}
	}
	if err := os.Chmod(path, p.mode); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// allows reports whether a peer may ask.
func (p permission) allows(peer *unix.Ucred) bool {
	if peer.Uid == 0 || int(peer.Uid) == os.Geteuid() {
		return true
	}
	if p.group < 0 {
		return false
	}
	if int(peer.Gid) == p.group {
		return true
	}
	u, err := user.LookupId(strconv.Itoa(int(peer.Uid)))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.Itoa(p.group))
}

// permitted is a listener that refuses all who may not ask: between the making of a socket and its chmod, and in a directory that others
// may enter, the file's mode is not enough.
type permitted struct {
	net.Listener
	may permission
}

func (l permitted) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if peer, err := credentials(c); err == nil && l.may.allows(peer) {
			return c, nil
		}
		c.Close()
	}
}

// credentials returns who is at the other end of a connection.
func credentials(c net.Conn) (*unix.Ucred, error) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cred, errors.Join(err, credErr)
}
