package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// Program is something to run in a guest, with the files that it needs there.
type Program struct {
	Files []File
	Step  Step
}

// GoCommand is the go command: what the variable GO says, as in the Makefile, or go.
func GoCommand() string {
	if name := os.Getenv("GO"); name != "" {
		return name
	}
	return "go"
}

// Load makes a program of a package's directory, whose tests it builds, or of a static program's file.
func Load(ctx context.Context, name string, args []string) (*Program, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("vm: %w: say the directory of a package, or a static program", err)
	}
	if info.IsDir() {
		return loadTests(ctx, name, args)
	}
	code, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := checkStatic(code); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	inside := path.Join("/bin", filepath.Base(name))
	return &Program{
		Files: []File{{Path: inside, Mode: 0o755, Content: code}},
		Step:  Step{Step: guest.Step{Args: append([]string{inside}, args...), Dir: "/tmp"}},
	}, nil
}

// loadTests builds the tests of the package in dir, those for real network cards included, and takes its testdata along.
func loadTests(ctx context.Context, dir string, args []string) (*Program, error) {
	work, err := os.MkdirTemp("", "xdpstack-tests-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }() // a folder of temporary files
	file := filepath.Join(work, "tests")
	cmd := exec.CommandContext(ctx, GoCommand(), "test", "-c", "-tags", "nic", "-ldflags", "-s -w", "-o", file, ".")
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), "CGO_ENABLED=0"), time.Second
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("vm: build the tests of %s: %w\n%s", dir, err, text)
	}
	code, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("vm: %s has no tests", dir)
	}
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(absolute)
	inside := path.Join("/src", name)
	p := &Program{Files: []File{{Path: path.Join("/bin", name+".test"), Mode: 0o755, Content: code}}}
	if err := p.addTree(filepath.Join(dir, "testdata"), path.Join(inside, "testdata")); err != nil {
		return nil, err
	}
	// The directory must be there also if there is no testdata.
	p.Files = append(p.Files, File{Path: path.Join(inside, "go.mod"), Mode: 0o644})
	p.Step.Step = guest.Step{Args: append([]string{p.Files[0].Path}, TestFlags(args)...), Dir: inside}
	return p, nil
}

// addTree adds the files below a directory, if there is one.
func (p *Program) addTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == from {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, File{Path: path.Join(to, filepath.ToSlash(relative)), Mode: 0o644, Content: content})
		return nil
	})
}

// TestFlags makes flags of go test those of a test's binary: -run becomes -test.run. Without any it is -test.v.
func TestFlags(args []string) []string {
	if len(args) == 0 {
		return []string{"-test.v"}
	}
	var all []string
	for _, a := range args {
		bare := strings.TrimLeft(a, "-")
		name, _, _ := strings.Cut(bare, "=")
		if bare != a && bare != "" && testFlags[name] {
			a = "-test." + bare
		}
		all = append(all, a)
	}
	return all
}

// testFlags are the flags of go test that a test's binary has as well. Others, such as -sim.seed, are the package's own.
var testFlags = map[string]bool{
	"run": true, "skip": true, "v": true, "count": true, "short": true, "timeout": true, "bench": true, "benchtime": true, "benchmem": true,
	"cpu": true, "failfast": true, "list": true, "parallel": true, "shuffle": true, "fullpath": true,
}
