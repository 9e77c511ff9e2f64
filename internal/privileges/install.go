package privileges

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ErrUnsupported is returned where there is no filter for the architecture, or the kernel has none.
var ErrUnsupported = errors.New("no system call filter here: run with the filter off")

// install lays a filter on every thread of the process. no_new_privs has to be set.
func install(rules []Rule, mode Mode) error {
	if auditArch == 0 {
		return fmt.Errorf("%w: %s has no list of system calls", ErrUnsupported, runtime.GOARCH)
	}
	refuse := map[Mode]uint32{
		On: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), Kill: unix.SECCOMP_RET_KILL_PROCESS, Log: unix.SECCOMP_RET_LOG,
	}[mode]
	program, err := assemble(rules, refuse)
	if err != nil {
		return err
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("system call filter: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))} // the same fields
	// Before Linux 5.16 a filter turned off speculation around stores for the process, which costs it a good part of its speed. That is
	// for programs that run code of others, which this one does not.
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	switch {
	case errno == unix.ENOSYS || errno == unix.EINVAL:
		return fmt.Errorf("%w: the kernel says %w (it wants Linux 4.17, with CONFIG_SECCOMP_FILTER)", ErrUnsupported, errno)
	case errno != 0:
		return fmt.Errorf("install the system call filter: %w", errno)
	case r != 0:
		return fmt.Errorf("install the system call filter: thread %d has one of its own", r)
	}
	return nil
}
