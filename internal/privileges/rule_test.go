package privileges

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// decide runs a filter on a call. The machine of package bpf reads in network byte order, so that is how the call is laid out; where the
// halves of an argument are is as on this machine.
func decide(t *testing.T, program []bpf.Instruction, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, offArgs+6*8)
	binary.BigEndian.PutUint32(data[offNr:], nr)
	binary.BigEndian.PutUint32(data[offArch:], arch)
	for i, a := range args {
		low, high := halves(i)
		binary.BigEndian.PutUint32(data[low:], uint32(a))
		binary.BigEndian.PutUint32(data[high:], uint32(a>>32))
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

const (
	allowed = uint32(unix.SECCOMP_RET_ALLOW)
	refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
)

func server(t *testing.T, kernelSockets bool) []bpf.Instruction {
	t.Helper()
	if auditArch == 0 {
		t.Skip("this architecture has no list of system calls")
	}
	program, err := assemble(Server(kernelSockets), refused)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestOnlyTheList tries every number of a system call that there is and will be for long. Arguments are all ones: those that have
// conditions are refused by them.
func TestOnlyTheList(t *testing.T) {
	program := server(t, true)
	var free []uint32
	for _, r := range Server(true) {
		if len(r.Any) == 0 {
			free = append(free, r.Nr)
		}
	}
	ones := slices.Repeat([]uint64{^uint64(0)}, 6)
	for nr := range uint32(2000) {
		want := refused
		switch {
		case slices.Contains(free, nr):
			want = allowed
		case nr == unix.SYS_CLONE3:
			want = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
		}
		if got := decide(t, program, auditArch, nr, ones...); got != want {
			t.Errorf("call %d: %#x, want %#x", nr, got, want)
		}
	}
	const x32 = 0x40000000
	if got := decide(t, program, auditArch, x32|unix.SYS_READ); got != refused {
		t.Errorf("x32's read: %#x", got)
	}
	if got := decide(t, program, unix.AUDIT_ARCH_I386, unix.SYS_READ); got != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("i386's read: %#x", got)
	}
}

func TestNoRuleTwice(t *testing.T) {
	seen := map[uint32]string{}
	for _, r := range Server(true) {
		if other, ok := seen[r.Nr]; ok {
			t.Errorf("%s has the number of %s: the second is never looked at", r.Name, other)
		}
		seen[r.Nr] = r.Name
	}
}

func TestArguments(t *testing.T) {
	const anyPID, nonblock = 1 << 20, unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	own, anything := uint64(unix.Getpid()), uint64(1)<<63
	for _, c := range []struct {
		what   string
		nr     uint32
		args   []uint64
		plain  bool // let through
		kernel bool // let through where kernel sockets are
	}{
		{"bpf look up", unix.SYS_BPF, []uint64{unix.BPF_MAP_LOOKUP_ELEM, anything}, true, true},
		{"bpf update, with rubbish that the kernel drops", unix.SYS_BPF, []uint64{anything | unix.BPF_MAP_UPDATE_ELEM}, true, true},
		{"bpf make a map", unix.SYS_BPF, []uint64{unix.BPF_MAP_CREATE}, false, false},
		{"bpf load a program", unix.SYS_BPF, []uint64{unix.BPF_PROG_LOAD}, false, false},
		{"bpf attach a program", unix.SYS_BPF, []uint64{unix.BPF_PROG_ATTACH}, false, false},
		{"bpf make a link", unix.SYS_BPF, []uint64{unix.BPF_LINK_CREATE}, false, false},
		{"bpf change a link", unix.SYS_BPF, []uint64{unix.BPF_LINK_UPDATE}, false, false},
		{"bpf get by id", unix.SYS_BPF, []uint64{unix.BPF_MAP_GET_FD_BY_ID}, false, false},
		{"unix socket", unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM | nonblock, 0}, true, true},
		{"route netlink", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, true, true},
		{"netfilter", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, false, false},
		{"tcp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | nonblock, unix.IPPROTO_TCP}, false, true},
		{"udp over IPv6", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_DGRAM | nonblock, 0}, false, true},
		{"sctp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, false, false},
		{"ping", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, false, false},
		{"raw", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP}, false, false},
		{"packet", unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_RAW, 0x300}, false, false},
		{"AF_XDP", unix.SYS_SOCKET, []uint64{unix.AF_XDP, unix.SOCK_RAW, 0}, false, false},
		{"vsock", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, false, false},
		{"a number of a call as domain", unix.SYS_SOCKET, []uint64{unix.SYS_READ, unix.SYS_READ, unix.SYS_READ}, false, false},
		{"thread", unix.SYS_CLONE, []uint64{newThread | unix.CLONE_SYSVSEM | unix.CLONE_SETTLS}, true, true},
		{"fork", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, false, false},
		{"vfork", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, false, false},
		{"thread in a new user namespace", unix.SYS_CLONE, []uint64{newThread | unix.CLONE_NEWUSER}, false, false},
		{"read a file", unix.SYS_OPENAT, []uint64{anything, anything, unix.O_RDONLY | unix.O_CLOEXEC, 0}, true, true},
		{"write a file", unix.SYS_OPENAT, []uint64{anything, anything, unix.O_WRONLY}, false, false},
		{"make a file", unix.SYS_OPENAT, []uint64{anything, anything, unix.O_RDONLY | unix.O_CREAT}, false, false},
		{"memory", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, true, true},
		{"code", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, false, false},
		{"memory to code", unix.SYS_MPROTECT, []uint64{4096, 4096, unix.PROT_EXEC}, false, false},
		{"ethtool", unix.SYS_IOCTL, []uint64{3, unix.SIOCETHTOOL, anything}, true, true},
		{"type into a terminal", unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI, anything}, false, false},
		{"signal to itself", unix.SYS_TGKILL, []uint64{own, anyPID, 1}, true, true},
		{"signal to another", unix.SYS_TGKILL, []uint64{1, 1, 9}, false, false},
		{"read a limit", unix.SYS_PRLIMIT64, []uint64{0, unix.RLIMIT_NOFILE, 0, anything}, true, true},
		{"set a limit", unix.SYS_PRLIMIT64, []uint64{0, unix.RLIMIT_NOFILE, 1 << 40, 0}, false, false}, // lower half is 0
		{"name a thread", unix.SYS_PRCTL, []uint64{unix.PR_SET_NAME, anything}, true, true},
		{"be traced", unix.SYS_PRCTL, []uint64{unix.PR_SET_PTRACER, anyPID}, false, false},
		{"ptrace", unix.SYS_PTRACE, []uint64{unix.PTRACE_ATTACH, anyPID}, false, false},
		{"execve", unix.SYS_EXECVE, []uint64{anything, anything, anything}, false, false},
		{"io_uring", unix.SYS_IO_URING_SETUP, []uint64{8, anything}, false, false},
		{"another filter", unix.SYS_SECCOMP, []uint64{unix.SECCOMP_SET_MODE_FILTER, 0, anything}, false, false},
	} {
		for kernelSockets, pass := range map[bool]bool{false: c.plain, true: c.kernel} {
			want := refused
			if pass {
				want = allowed
			}
			if got := decide(t, server(t, kernelSockets), auditArch, c.nr, c.args...); got != want {
				t.Errorf("%s (kernel sockets %v): %#x, want %#x", c.what, kernelSockets, got, want)
			}
		}
	}
}

// TestRuleAfterRule has a call whose arguments do not hold look like another call: its argument is that one's number.
func TestRuleAfterRule(t *testing.T) {
	if auditArch == 0 {
		t.Skip("this architecture has no list of system calls")
	}
	program, err := assemble([]Rule{
		{Name: "socket", Nr: unix.SYS_SOCKET, Any: []Args{{is(0, 1)}, {is(0, 2), is(1, 3)}}},
		{Name: "execve", Nr: unix.SYS_EXECVE},
	}, refused)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []uint64
		want uint32
	}{
		{[]uint64{1, 0}, allowed}, {[]uint64{2, 3}, allowed}, {[]uint64{2, 4}, refused}, {[]uint64{0, 3}, refused},
		{[]uint64{unix.SYS_EXECVE, unix.SYS_EXECVE}, refused}, {[]uint64{2, unix.SYS_EXECVE}, refused},
	} {
		if got := decide(t, program, auditArch, unix.SYS_SOCKET, c.args...); got != c.want {
			t.Errorf("%v: %#x, want %#x", c.args, got, c.want)
		}
	}
}
