package control

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir returns the directory of the control sockets of this user's processes: /run/xdpstack for root, xdpstack in
// $XDG_RUNTIME_DIR for others, or xdpstack-UID in the directory for temporary files where that is not set.
func Dir() string {
	uid := os.Geteuid()
	if uid == 0 {
		return "/run/xdpstack"
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		return filepath.Join(run, "xdpstack")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("xdpstack-%d", uid))
}

// Path returns where the process with a pid has its socket.
func Path(pid int) string { return filepath.Join(Dir(), strconv.Itoa(pid)+".sock") }

// makeDir makes the directory of sockets. One that exists must be this user's and closed to others: in a directory for temporary
// files anybody could have made it.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("control: the directory of the control sockets: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("control: %s: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("control: %s is not a directory: remove it", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("control: %s belongs to user %d: remove it, or set XDG_RUNTIME_DIR to a directory of your own",
			dir, st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("control: %s can be written to by others: chmod 700 it", dir)
	}
	return nil
}

// sockets returns the sockets in Dir by pid. A directory that is not there has none.
func sockets() (map[int]string, error) {
	entries, err := os.ReadDir(Dir())
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	found := make(map[int]string)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".sock")
		pid, err := strconv.Atoi(name)
		if ok && err == nil && pid > 0 && e.Type() == os.ModeSocket {
			found[pid] = filepath.Join(Dir(), e.Name())
		}
	}
	return found, nil
}
