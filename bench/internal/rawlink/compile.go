package rawlink

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed c/*.c
var sources embed.FS

// The programs in C.
const (
	XDP    = "raw"    // on libxdp
	Packet = "packet" // on the ring of a packet socket
)

// Compile makes a program in C in a directory and returns its path.
func Compile(dir, name string) (string, error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return "", errors.New("there is no C compiler (Debian's package gcc)")
	}
	source, err := sources.ReadFile("c/" + name + ".c")
	if err != nil {
		return "", err
	}
	src, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
	if err := os.WriteFile(src, source, 0o600); err != nil {
		return "", err
	}
	args := []string{"-O2", "-o", out, src}
	if name == XDP {
		args = append(args, "-lxdp", "-lbpf")
	}
	b, err := exec.Command(compiler, args...).CombinedOutput()
	if err != nil {
		line, _, _ := strings.Cut(string(b), "\n")
		return "", fmt.Errorf("compiling the program in C failed (Debian's packages libxdp-dev and libbpf-dev): %w: %s", err, line)
	}
	return out, nil
}

// CanCompile says why the program in C on libxdp cannot be made, if so.
func CanCompile() error { return canCompile(XDP) }

// CanCompilePacket says so of the one on packet sockets.
func CanCompilePacket() error { return canCompile(Packet) }

func canCompile(name string) error {
	dir, err := os.MkdirTemp("", "bench-raw-")
	if err != nil {
		return err
	}
	_, err = Compile(dir, name)
	return errors.Join(err, os.RemoveAll(dir))
}

// Arguments are the command line of the program in C for a measured end, or of a foreign program.
func (c *Config) Arguments() []string {
	if c.Role == Foreign {
		return c.Command
	}
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return []string{
		c.Program, string(c.Role), c.Interface, strconv.Itoa(c.Size), ms(c.Warmup), ms(c.Window), c.To.String(),
		c.Src.String(), c.Dst.String(),
	}
}
