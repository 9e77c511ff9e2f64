package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// oldestQEMU is the first major version that emulates igb.
const oldestQEMU = 8

const qemuProgram = "qemu-system-x86_64"

// qemu is a QEMU that can be run: the machine's own, or one that was unpacked and brings its libraries and firmware.
type qemu struct {
	program string
	args    []string // where its firmware is
	env     []string // where its libraries are
}

var qemuVersion = regexp.MustCompile(`version ([0-9]+)\.`)

// version runs the program.
func (q *qemu) version(ctx context.Context) (int, error) {
	cmd := exec.CommandContext(ctx, q.program, "--version")
	cmd.Env, cmd.WaitDelay = append(os.Environ(), q.env...), time.Second
	text, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", q.program, err, lastLines(string(text), 1))
	}
	m := qemuVersion.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s says no version: %q", q.program, text)
	}
	return strconv.Atoi(string(m[1]))
}

// usable says why the program cannot be used.
func (q *qemu) usable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	v, err := q.version(ctx)
	if err == nil && v < oldestQEMU {
		err = fmt.Errorf("%s is version %d, older than %d", q.program, v, oldestQEMU)
	}
	return err
}

// installedQEMU is the machine's own.
func installedQEMU(ctx context.Context) (*qemu, error) {
	path, err := exec.LookPath(qemuProgram)
	if err != nil {
		return nil, err
	}
	q := &qemu{program: path}
	return q, q.usable(ctx)
}

// unpackedQEMU is the one in root, where fetchQEMU left it.
func unpackedQEMU(root string) *qemu {
	q := &qemu{program: filepath.Join(root, "usr/bin", qemuProgram)}
	for _, d := range []string{"usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"} {
		q.args = append(q.args, "-L", filepath.Join(root, d))
	}
	libraries := filepath.Join(root, "usr/lib/x86_64-linux-gnu") + ":" + filepath.Join(root, "lib/x86_64-linux-gnu")
	q.env = []string{"LD_LIBRARY_PATH=" + libraries, "QEMU_MODULE_DIR=" + filepath.Join(root, "usr/lib/x86_64-linux-gnu/qemu")}
	return q
}

// fetchQEMU downloads QEMU, and of the packages that it depends on those that this machine lacks, into dir.
func fetchQEMU(ctx context.Context, dir string, m mirrors) error {
	a, err := newApt(filepath.Join(dir, "apt"), dpkgStatus, m.qemu)
	if err != nil {
		return err
	}
	if err := a.update(ctx); err != nil {
		return err
	}
	if _, err := a.run(ctx, downloadTimeout, "", "apt-get", "install", "-y", "--download-only", "--no-install-recommends",
		"-t", m.release.qemu, "qemu-system-x86"); err != nil {
		return unavailable("QEMU could not be downloaded: %w", err)
	}
	if err := unpack(ctx, filepath.Join(a.dir, "cache/archives"), dir); err != nil {
		return err
	}
	if err := os.RemoveAll(a.dir); err != nil {
		return err
	}
	if err := unpackedQEMU(dir).usable(ctx); err != nil {
		return unavailable("the QEMU that was fetched does not run: %w", err)
	}
	return nil
}

const dpkgStatus = "/var/lib/dpkg/status"

// findQEMU is the machine's own QEMU if it will do, else one from the cache or the mirror.
func findQEMU(ctx context.Context, c cache, m func() (mirrors, error), say func(string)) (*qemu, error) {
	q, own := installedQEMU(ctx)
	if own == nil {
		return q, nil
	}
	// What was unpacked earlier needs libraries that the machine had then.
	if q = unpackedQEMU(c.path("qemu")); q.usable(ctx) == nil {
		return q, nil
	}
	if err := os.RemoveAll(c.path("qemu")); err != nil {
		return nil, err
	}
	from, err := m()
	if err != nil {
		return nil, errors.Join(own, err)
	}
	say(fmt.Sprintf("fetching QEMU from %s, into %s", from.release.qemu, string(c)))
	dir, err := c.once("qemu", func(dir string) error { return fetchQEMU(ctx, dir, from) })
	if err != nil {
		return nil, err
	}
	return unpackedQEMU(dir), nil
}
