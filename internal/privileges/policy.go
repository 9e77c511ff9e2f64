package privileges

import "golang.org/x/sys/unix"

// Server returns the system calls of a process that serves, after everything is open: what Go's runtime does, packets, the control socket,
// files that are read, netlink that is asked. With kernelSockets it may make sockets of the kernel's own TCP and UDP.
//
// What is not in it, above all: execve, fork, ptrace, mount, setuid and its kind, memory that is executable, io_uring (whose operations no
// filter sees), raw and packet sockets, AF_XDP sockets, programs and links of BPF.
func Server(kernelSockets bool) []Rule {
	rules := []Rule{
		// The flags of a thread, and of no new namespace. A child would be a process without CLONE_THREAD.
		{Name: "clone", Nr: unix.SYS_CLONE, Any: []Args{{masked(0, newThread|newNamespace, newThread)}}},
		{Name: "clone3", Nr: unix.SYS_CLONE3, Any: never, Errno: unix.ENOSYS}, // flags are in memory; the C library falls back to clone
		{Name: "bpf", Nr: unix.SYS_BPF, Any: oneOf(0, mapCommands)},
		{Name: "socket", Nr: unix.SYS_SOCKET, Any: sockets(kernelSockets)},
		{Name: "socketpair", Nr: unix.SYS_SOCKETPAIR, Any: []Args{{is(0, unix.AF_UNIX)}}},
		{Name: "ioctl", Nr: unix.SYS_IOCTL, Any: oneOf(1, []uint32{unix.SIOCETHTOOL, unix.TCGETS, unix.TIOCGWINSZ})},
		{Name: "openat", Nr: unix.SYS_OPENAT, Any: []Args{{masked(2, unix.O_ACCMODE|unix.O_CREAT|unix.O_TRUNC, unix.O_RDONLY)}}},
		{Name: "mmap", Nr: unix.SYS_MMAP, Any: []Args{{masked(2, unix.PROT_EXEC, 0)}}},
		{Name: "mprotect", Nr: unix.SYS_MPROTECT, Any: []Args{{masked(2, unix.PROT_EXEC, 0)}}},
		{Name: "prctl", Nr: unix.SYS_PRCTL, Any: oneOf(0, []uint32{unix.PR_SET_VMA, unix.PR_SET_NAME, unix.PR_GET_NAME})},
		{Name: "prlimit64", Nr: unix.SYS_PRLIMIT64, Any: []Args{{null(2)}}}, // reads a limit
		{Name: "tgkill", Nr: unix.SYS_TGKILL, Any: []Args{{is(0, uint32(unix.Getpid()))}}},
	}
	for _, c := range [][]call{runtimeCalls, ioCalls, archCalls} {
		for _, c := range c {
			rules = append(rules, Rule{Name: c.name, Nr: c.nr})
		}
	}
	return rules
}

// call is a system call that is let through whatever its arguments are.
type call struct {
	name string
	nr   uint32
}

// never holds for no arguments: no argument is two things at once.
var never = []Args{{is(0, 0), is(0, 1)}}

// oneOf holds if an argument is one of some values.
func oneOf(index int, values []uint32) (any []Args) {
	for _, v := range values {
		any = append(any, Args{is(index, v)})
	}
	return any
}

// sockets are those that may be made. Of the type only what SOCK_NONBLOCK and SOCK_CLOEXEC leave counts.
func sockets(kernel bool) []Args {
	const kind = 0xf // SOCK_TYPE_MASK
	any := []Args{
		{is(0, unix.AF_NETLINK), is(2, unix.NETLINK_ROUTE)}, // asking is free; changing takes CAP_NET_ADMIN
		{is(0, unix.AF_UNIX), masked(1, kind, unix.SOCK_STREAM)},
	}
	if !kernel {
		return any
	}
	for _, domain := range []uint32{unix.AF_INET, unix.AF_INET6} {
		any = append(any,
			Args{is(0, domain), masked(1, kind, unix.SOCK_STREAM), is(2, 0)},
			Args{is(0, domain), masked(1, kind, unix.SOCK_STREAM), is(2, unix.IPPROTO_TCP)},
			Args{is(0, domain), masked(1, kind, unix.SOCK_DGRAM), is(2, 0)},
			Args{is(0, domain), masked(1, kind, unix.SOCK_DGRAM), is(2, unix.IPPROTO_UDP)})
	}
	return any
}

// mapCommands are the commands of bpf() on an open map. Nothing new comes into being by them.
var mapCommands = []uint32{
	unix.BPF_MAP_LOOKUP_ELEM, unix.BPF_MAP_UPDATE_ELEM, unix.BPF_MAP_DELETE_ELEM, unix.BPF_MAP_GET_NEXT_KEY,
	unix.BPF_MAP_LOOKUP_AND_DELETE_ELEM, unix.BPF_MAP_LOOKUP_BATCH, unix.BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	unix.BPF_MAP_UPDATE_BATCH, unix.BPF_MAP_DELETE_BATCH, unix.BPF_OBJ_GET_INFO_BY_FD,
}

const (
	newThread    = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	newNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
		unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_PTRACE
)

// runtimeCalls are those of Go's runtime, and of the C library beneath a program with cgo.
var runtimeCalls = []call{
	{"futex", unix.SYS_FUTEX}, {"sched_yield", unix.SYS_SCHED_YIELD}, {"nanosleep", unix.SYS_NANOSLEEP},
	{"clock_nanosleep", unix.SYS_CLOCK_NANOSLEEP}, {"clock_gettime", unix.SYS_CLOCK_GETTIME}, {"clock_getres", unix.SYS_CLOCK_GETRES},
	{"gettimeofday", unix.SYS_GETTIMEOFDAY}, {"restart_syscall", unix.SYS_RESTART_SYSCALL},
	{"munmap", unix.SYS_MUNMAP}, {"mremap", unix.SYS_MREMAP}, {"madvise", unix.SYS_MADVISE}, {"mincore", unix.SYS_MINCORE},
	{"brk", unix.SYS_BRK}, {"membarrier", unix.SYS_MEMBARRIER}, {"rseq", unix.SYS_RSEQ}, {"getrandom", unix.SYS_GETRANDOM},
	{"rt_sigaction", unix.SYS_RT_SIGACTION}, {"rt_sigprocmask", unix.SYS_RT_SIGPROCMASK}, {"rt_sigreturn", unix.SYS_RT_SIGRETURN},
	{"rt_sigtimedwait", unix.SYS_RT_SIGTIMEDWAIT}, {"sigaltstack", unix.SYS_SIGALTSTACK},
	{"set_robust_list", unix.SYS_SET_ROBUST_LIST}, {"set_tid_address", unix.SYS_SET_TID_ADDRESS},
	{"exit", unix.SYS_EXIT}, {"exit_group", unix.SYS_EXIT_GROUP}, {"gettid", unix.SYS_GETTID}, {"getpid", unix.SYS_GETPID},
	{"getppid", unix.SYS_GETPPID}, {"getuid", unix.SYS_GETUID}, {"geteuid", unix.SYS_GETEUID}, {"getgid", unix.SYS_GETGID},
	{"getegid", unix.SYS_GETEGID}, {"getcpu", unix.SYS_GETCPU}, {"getrusage", unix.SYS_GETRUSAGE}, {"sysinfo", unix.SYS_SYSINFO},
	{"uname", unix.SYS_UNAME}, {"sched_getaffinity", unix.SYS_SCHED_GETAFFINITY}, {"sched_setaffinity", unix.SYS_SCHED_SETAFFINITY},
	{"timer_create", unix.SYS_TIMER_CREATE}, {"timer_settime", unix.SYS_TIMER_SETTIME}, // the profiler's
	{"timer_delete", unix.SYS_TIMER_DELETE}, {"setitimer", unix.SYS_SETITIMER},
}

// ioCalls work on what is open, and on files that may be read.
var ioCalls = []call{
	{"read", unix.SYS_READ}, {"write", unix.SYS_WRITE}, {"readv", unix.SYS_READV}, {"writev", unix.SYS_WRITEV},
	{"pread64", unix.SYS_PREAD64}, {"pwrite64", unix.SYS_PWRITE64}, {"lseek", unix.SYS_LSEEK}, {"close", unix.SYS_CLOSE},
	{"fcntl", unix.SYS_FCNTL}, {"dup", unix.SYS_DUP}, {"dup3", unix.SYS_DUP3}, {"fstat", unix.SYS_FSTAT}, {"statx", unix.SYS_STATX},
	{"getdents64", unix.SYS_GETDENTS64}, {"readlinkat", unix.SYS_READLINKAT}, {"faccessat", unix.SYS_FACCESSAT},
	{"faccessat2", unix.SYS_FACCESSAT2}, {"getcwd", unix.SYS_GETCWD}, {"statfs", unix.SYS_STATFS}, {"fstatfs", unix.SYS_FSTATFS},
	{"flock", unix.SYS_FLOCK},
	{"fsync", unix.SYS_FSYNC}, {"unlinkat", unix.SYS_UNLINKAT}, {"pipe2", unix.SYS_PIPE2}, {"eventfd2", unix.SYS_EVENTFD2},
	{"ppoll", unix.SYS_PPOLL}, {"epoll_create1", unix.SYS_EPOLL_CREATE1}, {"epoll_ctl", unix.SYS_EPOLL_CTL},
	{"epoll_pwait", unix.SYS_EPOLL_PWAIT}, {"splice", unix.SYS_SPLICE}, {"sendfile", unix.SYS_SENDFILE},
	{"copy_file_range", unix.SYS_COPY_FILE_RANGE}, {"memfd_create", unix.SYS_MEMFD_CREATE}, {"ftruncate", unix.SYS_FTRUNCATE},
	{"sendto", unix.SYS_SENDTO}, {"recvfrom", unix.SYS_RECVFROM}, {"sendmsg", unix.SYS_SENDMSG}, {"recvmsg", unix.SYS_RECVMSG},
	{"sendmmsg", unix.SYS_SENDMMSG}, {"recvmmsg", unix.SYS_RECVMMSG}, {"bind", unix.SYS_BIND}, {"listen", unix.SYS_LISTEN},
	{"accept4", unix.SYS_ACCEPT4}, {"connect", unix.SYS_CONNECT}, {"shutdown", unix.SYS_SHUTDOWN},
	{"getsockname", unix.SYS_GETSOCKNAME}, {"getpeername", unix.SYS_GETPEERNAME}, {"getsockopt", unix.SYS_GETSOCKOPT},
	{"setsockopt", unix.SYS_SETSOCKOPT},
}
