package privileges

import (
	"fmt"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// capSet is a set of capabilities, by number.
type capSet uint64

const (
	capSetgid  = unix.CAP_SETGID
	capSetuid  = unix.CAP_SETUID
	capSetpcap = unix.CAP_SETPCAP
)

func (s capSet) has(n int) bool { return s&(1<<n) != 0 }

// capNames are the names of the capabilities that this program has to do with.
var capNames = map[int]string{
	unix.CAP_SETGID: "CAP_SETGID", unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SETPCAP: "CAP_SETPCAP",
	unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_NET_RAW: "CAP_NET_RAW", unix.CAP_BPF: "CAP_BPF",
	unix.CAP_NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE", unix.CAP_IPC_LOCK: "CAP_IPC_LOCK",
}

// missing names those of the capabilities that a set lacks, with the verb: "CAP_SETUID is".
func missing(s capSet, want ...int) string {
	var names []string
	for _, n := range want {
		if !s.has(n) {
			names = append(names, capNames[n])
		}
	}
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, " and ") + " are"
}

// effective returns what this thread may do.
func effective() (capSet, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, fmt.Errorf("read the capabilities: %w", err)
	}
	return capSet(data[1].Effective)<<32 | capSet(data[0].Effective), nil
}

// setCaps makes a set the permitted and effective one of every thread, and the inheritable one empty.
func setCaps(s capSet) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3} // pid 0: the thread that calls
	data := [2]unix.CapUserData{
		{Effective: uint32(s), Permitted: uint32(s)},
		{Effective: uint32(s >> 32), Permitted: uint32(s >> 32)},
	}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data)), 0)
	if errno != 0 {
		return fmt.Errorf("set the capabilities: %w", errno)
	}
	return nil
}

// dropBounding empties the bounding set of every thread but for what is kept: no program that is executed can get more.
func dropBounding(keep capSet) error {
	for n := 0; n < 64; n++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil { // EINVAL: the kernel has no more
			return nil
		}
		if held == 0 || keep.has(n) {
			continue
		}
		if err := prctlAll(unix.PR_CAPBSET_DROP, uintptr(n)); err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", n, err)
		}
	}
	return nil
}

// clearAmbient empties the ambient set of every thread.
func clearAmbient() error {
	if err := prctlAll(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	return nil
}

// prctlAll calls prctl on every thread.
func prctlAll(option int, arg uintptr) error {
	_, _, errno := psx.Syscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// become makes another user and group of every thread's, with no supplementary groups.
func become(id identity) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("leave the supplementary groups: %w", err)
	}
	if err := syscall.Setresgid(id.gid, id.gid, id.gid); err != nil {
		return fmt.Errorf("become group %d: %w", id.gid, err)
	}
	if err := syscall.Setresuid(id.uid, id.uid, id.uid); err != nil {
		return fmt.Errorf("become user %d: %w", id.uid, err)
	}
	return nil
}
