package privileges

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func lockThread() { runtime.LockOSThread() }

// attempt is something that code which an attacker brought in would try.
type attempt struct {
	what string
	try  func() error
}

// numbered makes an attempt of a bare system call, for which no library stands in between.
func numbered(what string, nr uintptr, args ...uintptr) attempt {
	return attempt{what, func() error {
		var a [6]uintptr
		copy(a[:], args)
		r, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return errno
		}
		return fmt.Errorf("succeeded with %d: %w", r, errSucceeded)
	}}
}

// kept is what only system calls have a pointer to.
var kept [][]byte

var errSucceeded = errors.New("it was done")

func succeeded(err error) error {
	if err == nil {
		return errSucceeded
	}
	return err
}

// attacks are all that is tried. parent is a process of root's.
func attacks(parent int) []attempt {
	text := func(s string) uintptr {
		b := append([]byte(s), 0)
		kept = append(kept, b)
		return uintptr(unsafe.Pointer(&b[0]))
	}
	// BPF_PROG_LOAD of "r0 = 2; exit", as an XDP program.
	instructions := [2]uint64{0x00000002_000000b7, 0x00000000_00000095}
	license := []byte("GPL\x00")
	load := struct {
		kind, count     uint32
		insns, license  uint64
		level, size     uint32
		log             uint64
		version, flags  uint32
		name            [16]byte
		ifindex, attach uint32
		btf, funcSize   uint32
	}{kind: unix.BPF_PROG_TYPE_XDP, count: 2, insns: uint64(uintptr(unsafe.Pointer(&instructions))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	socketFilter := load
	socketFilter.kind = unix.BPF_PROG_TYPE_SOCKET_FILTER
	createMap := [18]uint32{unix.BPF_MAP_TYPE_ARRAY, 4, 4, 1}
	link := [12]uint32{0, 1, 37} // program, interface, BPF_XDP
	bpf := func(what string, cmd uintptr, attr unsafe.Pointer, size uintptr) attempt {
		return numbered(what, unix.SYS_BPF, cmd, uintptr(attr), size)
	}
	word := uint64(0)
	local := [2]uintptr{uintptr(unsafe.Pointer(&word)), 8}
	remote := local
	return []attempt{
		bpf("load an XDP program", unix.BPF_PROG_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load)),
		bpf("load a socket filter", unix.BPF_PROG_LOAD, unsafe.Pointer(&socketFilter), unsafe.Sizeof(socketFilter)),
		bpf("make a map", unix.BPF_MAP_CREATE, unsafe.Pointer(&createMap), unsafe.Sizeof(createMap)),
		bpf("make a link", unix.BPF_LINK_CREATE, unsafe.Pointer(&link), unsafe.Sizeof(link)),
		numbered("packet socket", unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0x300),
		numbered("raw socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP),
		numbered("ping socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP),
		numbered("AF_XDP socket", unix.SYS_SOCKET, unix.AF_XDP, unix.SOCK_RAW, 0),
		numbered("netfilter's netlink", unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER),
		{"set a link down", setLinkDown},
		{"read /etc/shadow", func() error { _, err := os.ReadFile("/etc/shadow"); return succeeded(err) }},
		{"write a file", func() error { return succeeded(os.WriteFile("/tmp/xs-privileges-test", nil, 0o600)) }},
		{"run a program", func() error { return succeeded(exec.Command("/bin/true").Run()) }},
		numbered("execve", unix.SYS_EXECVE, text("/bin/true"), 0, 0),
		numbered("fork", unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		numbered("namespace of users", unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		numbered("setns", unix.SYS_SETNS, 0, 0),
		numbered("trace", unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(parent)),
		numbered("read memory of a process", unix.SYS_PROCESS_VM_READV, uintptr(parent), uintptr(unsafe.Pointer(&local)), 1,
			uintptr(unsafe.Pointer(&remote)), 1),
		{"read memory through /proc", func() error {
			_, err := os.Open("/proc/" + strconv.Itoa(parent) + "/mem")
			return succeeded(err)
		}},
		numbered("kill", unix.SYS_KILL, uintptr(parent), 0),
		numbered("become root", unix.SYS_SETUID, 0),
		numbered("become root by setresuid", unix.SYS_SETRESUID, 0, 0, 0),
		{"take capabilities", takeCapabilities},
		numbered("mount", unix.SYS_MOUNT, text("none"), text("/mnt"), text("tmpfs"), 0, 0),
		numbered("chroot", unix.SYS_CHROOT, text("/")),
		numbered("io_uring", unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&[30]uint64{}))),
		numbered("userfaultfd", unix.SYS_USERFAULTFD, 1),
		numbered("perf", unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&[16]uint64{})), 0, ^uintptr(0), ^uintptr(0), 0),
		numbered("load a module", unix.SYS_FINIT_MODULE, 0, text(""), 0),
		numbered("executable memory", unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0)),
		numbered("a filter that is wider", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, 0),
	}
}

// setLinkDown asks the kernel to set the loopback interface down, as ip link does.
func setLinkDown() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request := struct {
		unix.NlMsghdr
		unix.IfInfomsg
	}{
		unix.NlMsghdr{Len: unix.SizeofNlMsghdr + unix.SizeofIfInfomsg, Type: unix.RTM_NEWLINK, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK},
		unix.IfInfomsg{Index: 1, Change: unix.IFF_UP},
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseNetlinkMessage(answer[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != unix.NLMSG_ERROR {
		return fmt.Errorf("no answer to be understood: %w, %w", err, errSucceeded)
	}
	if code := *(*int32)(unsafe.Pointer(&messages[0].Data[0])); code != 0 {
		return syscall.Errno(-code)
	}
	return errSucceeded
}

func takeCapabilities() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_NET_ADMIN, Permitted: 1 << unix.CAP_NET_ADMIN}}
	return succeeded(unix.Capset(&hdr, &data[0]))
}

// withoutFilter are the attempts that are refused for want of a capability, where there is no filter. The others are no more than any
// process may do: but a process in a user namespace of its own reaches much of the kernel, so it is better that this one may not.
var withoutFilter = []string{"load an XDP program", "packet socket", "raw socket", "AF_XDP socket", "set a link down", "read /etc/shadow",
	"trace", "read memory of a process", "read memory through /proc", "kill", "become root", "become root by setresuid", "take capabilities",
	"mount", "chroot"}

// attempts drops with a mode of the filter, tries everything, and returns what became of it.
func attempts(arg string) (any, error) {
	mode, parent, _ := strings.Cut(arg, ",")
	pid, err := strconv.Atoi(parent)
	if err != nil {
		return nil, err
	}
	if _, err := Drop(Config{Seccomp: Mode(mode)}); err != nil {
		return nil, err
	}
	outcome := map[string]string{}
	for _, a := range attacks(pid) {
		if Mode(mode) == Off && !slices.Contains(withoutFilter, a.what) {
			continue
		}
		if err := a.try(); errors.Is(err, errSucceeded) {
			outcome[a.what] = "done"
		} else if outcome[a.what] = err.Error(); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			outcome[a.what] = "refused"
		}
	}
	return outcome, nil
}

// TestWhatAnAttackerTries has a process that dropped everything, as a server does, try what an attacker would.
func TestWhatAnAttackerTries(t *testing.T) {
	t.Run("filter on", func(t *testing.T) {
		var got map[string]string
		if err := child(t, "attempts:on,"+strconv.Itoa(os.Getpid()), nil, &got); err != nil {
			t.Fatal(err)
		}
		for _, a := range attacks(0) {
			if got[a.what] != "refused" {
				t.Errorf("%s: %q", a.what, got[a.what])
			}
		}
	})
	t.Run("filter off", func(t *testing.T) {
		var got map[string]string
		if err := child(t, "attempts:off,"+strconv.Itoa(os.Getpid()), nil, &got); err != nil {
			t.Fatal(err)
		}
		for _, what := range withoutFilter {
			if got[what] != "refused" {
				t.Errorf("%s: %q", what, got[what])
			}
		}
	})
}
