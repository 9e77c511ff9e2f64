package privileges

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// verify looks at every thread of the process: a thread that was left out would be the way back to everything.
func verify(id identity, r Result) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("verify: %w: /proc has to be mounted", err)
	}
	for _, t := range tasks {
		status, err := os.ReadFile(filepath.Join("/proc/self/task", t.Name(), "status"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrProcessDone) {
			continue // the thread has ended
		}
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if err := judge(string(status), id, r); err != nil {
			return fmt.Errorf("thread %s: %w", t.Name(), err)
		}
	}
	return nil
}

// judge compares a thread's status in /proc with what it should be.
func judge(status string, id identity, r Result) error {
	four := func(n int) string { return strings.TrimSuffix(strings.Repeat(strconv.Itoa(n)+"\t", 4), "\t") }
	want := map[string]string{"NoNewPrivs": "1", "Seccomp": "2"}
	if r.Seccomp == Off {
		delete(want, "Seccomp")
	}
	if !r.Kept {
		want["Uid"], want["Gid"] = four(id.uid), four(id.gid)
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			want[set] = "0000000000000000"
		}
		if r.Bounded {
			want["CapBnd"] = "0000000000000000"
		}
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		if w, ok := want[key]; ok && strings.TrimSpace(value) != w {
			return fmt.Errorf("%s is %q and should be %q", key, strings.TrimSpace(value), w)
		}
		delete(want, key)
	}
	for key := range want {
		if key != "CapAmb" { // before Linux 4.3 there was none
			return fmt.Errorf("the kernel does not tell %s", key)
		}
	}
	return nil
}
