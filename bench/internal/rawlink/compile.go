package rawlink

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed c/raw.c
var source []byte

// Compile makes the program in C in a directory and returns its path.
func Compile(dir string) (string, error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return "", errors.New("there is no C compiler (Debian's package gcc)")
	}
	src, out := filepath.Join(dir, "raw.c"), filepath.Join(dir, "raw")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		return "", err
	}
	b, err := exec.Command(compiler, "-O2", "-o", out, src, "-lxdp", "-lbpf").CombinedOutput()
	if err != nil {
		line, _, _ := strings.Cut(string(b), "\n")
		return "", fmt.Errorf("compiling the program in C failed (Debian's packages libxdp-dev and libbpf-dev): %w: %s", err, line)
	}
	return out, nil
}

// CanCompile says why the program in C cannot be made, if so.
func CanCompile() error {
	dir, err := os.MkdirTemp("", "bench-raw-")
	if err != nil {
		return err
	}
	_, err = Compile(dir)
	return errors.Join(err, os.RemoveAll(dir))
}

// Arguments are the command line of the program in C for a measured end.
func (c *Config) Arguments() []string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return []string{
		c.Program, string(c.Role), c.Interface, strconv.Itoa(c.Size), ms(c.Warmup), ms(c.Window), c.To.String(),
		c.Src.String(), c.Dst.String(),
	}
}
