package doctor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Kernel releases that matter: see judgeKernel.
type release struct{ major, minor int }

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func judgeKernel(s string) Finding {
	f := Finding{Subject: "kernel", Level: OK, Fact: "Linux " + s}
	var r release
	if _, err := fmt.Sscanf(s, "%d.%d", &r.major, &r.minor); err != nil {
		f.Level, f.Fact, f.Cure = Warn, fmt.Sprintf("Linux of an unknown release %q", s), "check that it is 5.9 or newer"
		return f
	}
	switch {
	case r.before(release{5, 9}):
		f.Level, f.Cure = Fail, "upgrade to 5.9 or newer (6.1 or newer is better): XDP programs are attached through BPF links"
	case r.before(release{5, 11}):
		f.Level, f.Cure = Note, "5.11 or newer can poll busily and does not count BPF memory against the memlock limit"
	case r.before(release{6, 3}):
		f.Level, f.Cure = Note, "6.3 or newer tells which XDP features a driver has"
	}
	return f
}

// openXDPSocket tries to make a socket of the AF_XDP family.
func openXDPSocket() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func judgeSocket(err error) Finding {
	f := Finding{Subject: "AF_XDP sockets", Level: OK, Fact: "available"}
	switch {
	case err == nil:
	case errors.Is(err, unix.EAFNOSUPPORT):
		f.Level, f.Fact, f.Cure = Fail, "not in this kernel", "use a kernel with CONFIG_XDP_SOCKETS=y"
	case errors.Is(err, unix.EPERM):
		f.Level, f.Fact, f.Cure = Fail, "not permitted", "run as root, or with CAP_NET_RAW"
	default:
		f.Level, f.Fact, f.Cure = Fail, err.Error(), "see whether a container or a seccomp filter forbids AF_XDP"
	}
	return f
}

// probeBPF asks the kernel for the two BPF features that steering needs.
func probeBPF() error {
	if err := features.HaveProgramType(ebpf.XDP); err != nil {
		return fmt.Errorf("XDP programs: %w", err)
	}
	if err := features.HaveMapType(ebpf.XSKMap); err != nil {
		return fmt.Errorf("XSKMAP maps: %w", err)
	}
	return nil
}

func judgeBPF(err error) Finding {
	f := Finding{Subject: "BPF", Level: OK, Fact: "XDP programs and XSKMAP maps can be loaded"}
	switch {
	case err == nil:
	case errors.Is(err, unix.EPERM), errors.Is(err, os.ErrPermission):
		f.Level, f.Fact, f.Cure = Fail, "loading is not permitted", "run as root, or with CAP_BPF and CAP_NET_ADMIN"
	case errors.Is(err, ebpf.ErrNotSupported):
		f.Level, f.Fact, f.Cure = Fail, err.Error(), "use a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_XDP_SOCKETS=y"
	default:
		f.Level, f.Fact, f.Cure = Warn, "could not be probed: "+err.Error(), "try as root"
	}
	return f
}

// readJIT returns net.core.bpf_jit_enable, or "" when it cannot be read.
func readJIT() string {
	b, _ := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	return strings.TrimSpace(string(b))
}

func judgeJIT(v string) Finding {
	f := Finding{Subject: "BPF JIT", Level: OK, Fact: "on"}
	switch v {
	case "":
		f.Level, f.Fact = Note, "net.core.bpf_jit_enable cannot be read here"
		f.Cure = "if it is 0, sysctl -w net.core.bpf_jit_enable=1"
	case "0":
		f.Level, f.Fact, f.Cure = Warn, "off: the steering program is interpreted", "sysctl -w net.core.bpf_jit_enable=1"
	}
	return f
}

func cpus() int { return runtime.NumCPU() }

func judgeCPUs(n int) Finding {
	f := Finding{Subject: "CPUs", Level: OK, Fact: fmt.Sprintf("%d usable", n)}
	if n < 2 {
		f.Level, f.Cure = Warn, "give it two or more: the kernel's receive processing and the stack's shard then run at the same time"
	}
	return f
}
