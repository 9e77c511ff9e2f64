package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// release says where a release of Debian finds what the guest needs: a QEMU that emulates igb (8 or newer), and a kernel whose
// virtio_net and igb do zero-copy (6.14 or newer).
type release struct {
	codename string
	qemu     string // suite
	kernel   string // suite
}

// releases are those that have packages for both. The kernel of a later release than the machine's own is only unpacked, for the
// guest.
var releases = []release{
	{codename: "bookworm", qemu: "bookworm-backports", kernel: "trixie-backports"}, // Debian 12
	{codename: "trixie", qemu: "trixie", kernel: "trixie-backports"},               // Debian 13
}

// mirrors are what the machine's own sources are made into.
type mirrors struct {
	release release
	qemu    []source // with the machine's own suites, for what QEMU depends on
	kernel  source
}

const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// findMirrors reads which Debian this is, and which mirror of it the machine uses, below root.
func findMirrors(root string) (mirrors, error) {
	text, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if err != nil {
		return mirrors{}, unavailable("this is no Debian (%v); the guest is made of Debian's packages", err)
	}
	id, codename := osRelease(string(text), "ID"), osRelease(string(text), "VERSION_CODENAME")
	i := slices.IndexFunc(releases, func(r release) bool { return id == "debian" && r.codename == codename })
	if i < 0 {
		return mirrors{}, unavailable("this is %s %s; where to get a kernel and QEMU is known for Debian %s only",
			id, codename, codenames())
	}
	m := mirrors{release: releases[i]}
	all, err := readSources(root)
	if err != nil {
		return m, err
	}
	var mirror *source
	for _, s := range all {
		if s.suite != codename && !strings.HasPrefix(s.suite, codename+"-") || !slices.Contains(s.components, "main") {
			continue
		}
		if s.options == "" && exists(filepath.Join(root, debianKeyring)) {
			s.options = "signed-by=" + debianKeyring
		}
		m.qemu = append(m.qemu, s.with(s.suite))
		if s.suite == codename && mirror == nil {
			mirror = &s
		}
	}
	if mirror == nil {
		return m, unavailable("apt's sources name no mirror with the suite %s", codename)
	}
	if !slices.ContainsFunc(m.qemu, func(s source) bool { return s.suite == m.release.qemu }) {
		m.qemu = append(m.qemu, mirror.with(m.release.qemu))
	}
	m.kernel = mirror.with(m.release.kernel)
	return m, nil
}

// osRelease is the value of a variable of os-release(5).
func osRelease(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}

func codenames() string {
	var all []string
	for _, r := range releases {
		all = append(all, r.codename)
	}
	return strings.Join(all, " and ")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ErrUnavailable is wrapped by every error that says why this machine cannot have a guest: it is about what is missing, not about
// what is tested.
var ErrUnavailable = errors.New("no guest can be had here")

func unavailable(format string, args ...any) error {
	return fmt.Errorf("vm: %w: %w", ErrUnavailable, fmt.Errorf(format, args...))
}
