package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of what is fetched. A mirror that is down fails in seconds; one that is slow has minutes.
const (
	updateTimeout   = 3 * time.Minute
	downloadTimeout = 10 * time.Minute
)

// apt is apt-get with a state of its own: it reads the machine's configuration (proxies, and keys by the sources' options), and
// changes nothing of the machine.
type apt struct {
	dir    string // lists, caches, sources.list
	status string // what it takes for installed
}

func newApt(dir, status string, sources []source) (*apt, error) {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	var list strings.Builder
	for _, s := range sources {
		fmt.Fprintln(&list, s)
	}
	return &apt{dir: dir, status: status}, os.WriteFile(filepath.Join(dir, "sources.list"), []byte(list.String()), 0o644)
}

func (a *apt) options() []string {
	in := func(path string) string { return filepath.Join(a.dir, path) }
	var args []string
	for _, o := range []string{
		"Dir::Etc::sourcelist=" + in("sources.list"), "Dir::Etc::sourceparts=/dev/null",
		"Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
		"Dir::State=" + in("state"), "Dir::State::status=" + a.status, "Dir::Cache=" + in("cache"),
		"APT::Sandbox::User=root", "Debug::NoLocking=1",
		"Acquire::Languages=none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::Retries=2", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20",
		// A list that could not be fetched is an error, not a warning.
		"APT::Update::Error-Mode=any",
	} {
		args = append(args, "-o", o)
	}
	return args
}

// run runs a command of apt's, bounded in time.
func (a *apt) run(ctx context.Context, timeout time.Duration, dir, command string, args ...string) (string, error) {
	return output(ctx, timeout, dir, command, append(append([]string{"-qq"}, a.options()...), args...)...)
}

// update fetches the lists.
func (a *apt) update(ctx context.Context) error {
	if _, err := a.run(ctx, updateTimeout, "", "apt-get", "update"); err != nil {
		return unavailable("the package lists could not be fetched: %w", err)
	}
	return nil
}

// output runs a command and returns what it prints. An error has the last lines of what the command said.
func output(ctx context.Context, timeout time.Duration, dir, command string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return out.String(), nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%s took more than %v", filepath.Base(command), timeout)
	default:
		err = fmt.Errorf("%s: %w", filepath.Base(command), err)
	}
	if text := lastLines(said.String(), 3); text != "" {
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(text, "\n", "; "))
	}
	return "", err
}

// lastLines are the last n lines of text that are not empty.
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// decompress is the content of a file whose name ends in .xz, .zst or .gz, by apt's own means: the guest needs no library and no
// program that a machine may not have.
func decompress(ctx context.Context, path string) ([]byte, error) {
	text, err := output(ctx, time.Minute, "", "/usr/lib/apt/apt-helper", "cat-file", path)
	return []byte(text), err
}

// unpack unpacks all packages of a directory into root and removes them.
func unpack(ctx context.Context, dir, root string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := output(ctx, downloadTimeout, "", "dpkg-deb", "-x", f, root); err != nil {
			return unavailable("%s could not be unpacked: %w", filepath.Base(f), err)
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}
