// Package xdpowner finds the processes that hold an XDP program on an interface: through the descriptors of its BPF link, which
// /proc/PID/fdinfo describes.
package xdpowner

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Owner is a process that holds the link.
type Owner struct {
	PID     int
	Command string // the command line, words separated by spaces
}

func (o Owner) String() string { return fmt.Sprintf("process %d (%s)", o.PID, o.Command) }

// maxCommand bounds what is shown of a command line, in bytes.
const maxCommand = 200

// Find returns the processes that hold a link with a program, by its number in the kernel. Those of other users are seen by root only; a
// link that is pinned, and a program that was attached without one, need no process.
func Find(program uint32) (owners []Owner) {
	processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range processes {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && holds(dir, program) {
			owners = append(owners, Owner{PID: pid, Command: command(dir)})
		}
	}
	slices.SortFunc(owners, func(a, b Owner) int { return a.PID - b.PID })
	return owners
}

// holds reports whether a process has a descriptor of a link with the program.
func holds(dir string, program uint32) bool {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil { // the process has ended, or is another user's
		return false
	}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if err != nil || !strings.Contains(target, "bpf") { // anon_inode:bpf_link, on newer kernels [bpf_link]
			continue
		}
		info, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
		if err == nil && isLink(info, program) {
			return true
		}
	}
	return false
}

// isLink reports whether a descriptor is of an XDP link with the program.
func isLink(fdinfo []byte, program uint32) bool {
	xdp, same := false, false
	for line := range bytes.Lines(fdinfo) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		switch value = strings.TrimSpace(value); name {
		case "link_type":
			xdp = value == "xdp"
		case "prog_id":
			same = value == strconv.FormatUint(uint64(program), 10)
		}
	}
	return xdp && same
}

func command(dir string) string {
	words, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return "?"
	}
	if len(words) > maxCommand {
		words = append(words[:maxCommand], "…"...)
	}
	return string(bytes.TrimSpace(bytes.ReplaceAll(words, []byte{0}, []byte{' '})))
}
