package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// prepareTimeout bounds Prepare, the waiting for another process that does the same included.
const prepareTimeout = 20 * time.Minute

// Guest is what every boot needs: a kernel, a QEMU, and an archive with the drivers. It may be used from several goroutines.
type Guest struct {
	kernel *kernel
	qemu   *qemu
	base   string // the archive
	init   []byte // this program
}

// Prepare finds or fetches what the guest is made of; say, which may be nil, hears of what takes long. Where that is impossible
// the error wraps [ErrUnavailable] and says what is missing. More modules than the usual ones can be asked for by name.
func Prepare(ctx context.Context, say func(string), modules ...string) (*Guest, error) {
	if say == nil {
		say = func(string) {}
	}
	if runtime.GOARCH != "amd64" {
		return nil, unavailable("the guest is an amd64 machine, this one is %s", runtime.GOARCH)
	}
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	g := new(Guest)
	if g.init, err = readInit(); err != nil {
		return nil, err
	}
	err = c.locked(ctx, func() error {
		from := sync.OnceValues(func() (mirrors, error) { return findMirrors("/") })
		if g.qemu, err = findQEMU(ctx, c, from, say); err != nil {
			return err
		}
		if g.kernel, err = findKernel(ctx, c, from, say); err != nil {
			return err
		}
		g.base, err = baseArchive(ctx, c, g.kernel, slices.Concat(guestModules, modules))
		return err
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Kernel is the release of the guest's kernel.
func (g *Guest) Kernel() string { return g.kernel.release }

// findKernel is the kernel in the cache, whatever newer one there is by now, or else the mirror's.
func findKernel(ctx context.Context, c cache, m func() (mirrors, error), say func(string)) (*kernel, error) {
	if k, err := readKernel(c.path("kernel")); err == nil {
		return k, nil
	}
	from, err := m()
	if err != nil {
		return nil, err
	}
	say(fmt.Sprintf("fetching a kernel from %s, into %s", from.release.kernel, string(c)))
	dir, err := c.once("kernel", func(dir string) error { return fetchKernel(ctx, dir, from.kernel) })
	if err != nil {
		return nil, err
	}
	return readKernel(dir)
}

// readInit reads this program, which is the guest's first process too.
func readInit() ([]byte, error) {
	code, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("vm: this program: %w", err)
	}
	return code, checkStatic(code)
}

// checkStatic says why a program cannot run in the guest, which has no shared libraries.
func checkStatic(code []byte) error {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return fmt.Errorf("vm: not a program for the guest: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("vm: the program needs shared libraries, which the guest does not have: build it with CGO_ENABLED=0")
		}
	}
	return nil
}

// baseArchive is the archive with the drivers, made once for a kernel and a list of modules.
func baseArchive(ctx context.Context, c cache, k *kernel, names []string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(names, " ")))
	path := c.path(fmt.Sprintf("base-%s-%x.cpio", k.release, sum[:4]))
	if exists(path) {
		return path, nil
	}
	modules, err := collectModules(ctx, k.modules, names)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := writeBase(newArchive(&b), modules); err != nil {
		return "", err
	}
	work := path + ".part"
	if err := os.WriteFile(work, b.Bytes(), 0o644); err != nil {
		return "", err
	}
	return path, os.Rename(work, path)
}

// writeBase writes the archive: the nodes that a first process needs before it has mounted anything, places to mount, and modules
// whose names are in the order in which they can be loaded.
func writeBase(a *archive, modules []module) error {
	a.directory("dev")
	a.character("dev/console", 5, 1)
	a.character("dev/null", 1, 3)
	for _, d := range []string{"proc", "sys", "tmp", "run", "etc", "bin"} {
		a.directory(d)
	}
	a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/tmp:/bin/none\n"))
	a.file("etc/group", 0o644, []byte("root:x:0:\n"))
	a.file("etc/hosts", 0o644, []byte("127.0.0.1 localhost\n"))
	a.symlink("var/run", "/run")
	for i, m := range modules {
		a.file(filepath.Join(guest.ModuleDir[1:], fmt.Sprintf("%02d-%s.ko", i, m.name)), 0o644, m.code)
	}
	return a.close()
}
