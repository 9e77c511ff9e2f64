package deferral

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// record is what the file of a changed setting has.
type record struct {
	Netns     uint64   `json:"netns"` // inode
	Interface string   `json:"interface"`
	Index     int      `json:"ifindex"`
	NAPI      uint32   `json:"napi"` // 0: of the interface
	Before    Settings `json:"before"`
	After     Settings `json:"after"`
	Owners    []owner  `json:"owners"` // who wants it like this
}

// owner is a process, once for each queue.
type owner struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in ticks since the system started: another process may get the same pid
	Queue int    `json:"queue"`
}

// self returns the owner that this process is for a queue.
func self(queue int) owner {
	start, _ := startOf(os.Getpid()) // 0 never matches, as if the process had ended: that only shortens the record's life
	return owner{os.Getpid(), start, queue}
}

// startOf returns when a process that runs started, the 22nd field of /proc/PID/stat. The second, its name, may have spaces and brackets.
func startOf(pid int) (uint64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const start = 22 - 3
	if len(fields) <= start {
		return 0, fmt.Errorf("%d fields", len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" { // its parent has not asked yet how it ended
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[start], 10, 64)
}

func (o owner) alive() bool {
	start, err := startOf(o.PID)
	return err == nil && start == o.Start
}

// living drops the owners that have ended, and a process that counts as one, if its pid is not 0.
func (r *record) living(ended int) {
	r.Owners = slices.DeleteFunc(r.Owners, func(o owner) bool { return o.PID == ended || !o.alive() })
}

// of reports whether the record is of this interface. Names and numbers come again, in other namespaces and after it was removed.
func (r *record) of(p *Place) bool {
	return r.Netns == p.netns && r.Interface == p.Interface && r.Index == p.Index
}

// path returns where the record of a setting is.
func (p *Place) path(napi uint32) string {
	if napi != 0 {
		return filepath.Join(p.dir, fmt.Sprintf("napi-%d.json", napi)) // numbers of NAPIs are the system's
	}
	return filepath.Join(p.dir, fmt.Sprintf("%s-%d-%d.json", p.Interface, p.Index, p.netns))
}

func readRecord(path string) (record, error) {
	var r record
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// write replaces the file as a whole, so that it is never half of one.
func (r *record) write(path string) error {
	b, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// lock has one process at a time look at the files and the settings. Where the directory cannot be made, nothing is kept beyond
// the life of the process, and kept is false.
func (p *Place) lock() (unlock func(), kept bool) {
	if os.MkdirAll(p.dir, 0o700) != nil {
		return func() {}, false
	}
	fd, err := unix.Open(filepath.Join(p.dir, "lock"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return func() {}, false
	}
	for errors.Is(unix.Flock(fd, unix.LOCK_EX), unix.EINTR) {
	}
	return func() { _ = unix.Close(fd) }, true
}
