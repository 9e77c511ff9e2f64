package privileges

import "golang.org/x/sys/unix"

// auditArch is the architecture in struct seccomp_data.
const auditArch = unix.AUDIT_ARCH_X86_64

// archCalls are calls that newer architectures left out.
var archCalls = []call{
	{"poll", unix.SYS_POLL}, {"epoll_wait", unix.SYS_EPOLL_WAIT}, {"newfstatat", unix.SYS_NEWFSTATAT}, {"readlink", unix.SYS_READLINK},
	{"access", unix.SYS_ACCESS}, {"stat", unix.SYS_STAT}, {"lstat", unix.SYS_LSTAT}, {"unlink", unix.SYS_UNLINK},
	{"arch_prctl", unix.SYS_ARCH_PRCTL},
}
