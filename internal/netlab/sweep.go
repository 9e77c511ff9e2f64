package netlab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	namespaceDir = "/run/netns"
	namePrefix   = "xs-"
)

// Sweep removes the namespaces of labs whose process is dead, and returns their names. Their interfaces go with them.
func Sweep() ([]string, error) {
	entries, err := os.ReadDir(namespaceDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("netlab: sweep: %w", err)
	}
	var removed []string
	var failures error
	for _, e := range entries {
		pid, ok := ownerOf(e.Name())
		if !ok || alive(pid) {
			continue
		}
		err := netns.DeleteNamed(e.Name())
		if errors.Is(err, unix.EINVAL) { // not a mount: its maker died between making the file and mounting on it
			err = os.Remove(filepath.Join(namespaceDir, e.Name()))
		}
		switch {
		case err == nil:
			removed = append(removed, e.Name())
		case errors.Is(err, fs.ErrNotExist): // another process sweeps too
		default:
			failures = errors.Join(failures, fmt.Errorf("netlab: sweep %s: %w", e.Name(), err))
		}
	}
	return removed, failures
}

// ownerOf reads the process id out of the namespace name xs-NAME-PID-RANDOM-SIDE; NAME may contain dashes.
func ownerOf(name string) (pid int, ok bool) {
	if !strings.HasPrefix(name, namePrefix) {
		return 0, false
	}
	parts := strings.Split(name, "-")
	if len(parts) < 5 {
		return 0, false
	}
	side := parts[len(parts)-1]
	switch side {
	case "stack", "kernel", "hop":
	default:
		return 0, false
	}
	pid, err := strconv.Atoi(parts[len(parts)-3])
	return pid, err == nil && pid > 0
}

func alive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }
