package privileges

import "golang.org/x/sys/unix"

// Broker returns the system calls of a process that opens interfaces for others: besides those of a server AF_XDP sockets, programs,
// maps and links of BPF, what it sets of interrupts and notes about that. It runs no program, parses no packet, and makes no other raw
// socket. With ports it may make sockets of the kernel's TCP and UDP, and bind them.
func Broker(ports bool) []Rule {
	const kind = 0xf // SOCK_TYPE_MASK
	more := map[string][]Args{
		"bpf": oneOf(0, []uint32{
			unix.BPF_MAP_CREATE, unix.BPF_PROG_LOAD, unix.BPF_LINK_CREATE, unix.BPF_LINK_UPDATE, unix.BPF_BTF_LOAD, unix.BPF_PROG_QUERY,
			unix.BPF_PROG_GET_FD_BY_ID, unix.BPF_PROG_GET_NEXT_ID, unix.BPF_BTF_GET_FD_BY_ID, unix.BPF_MAP_FREEZE, unix.BPF_PROG_BIND_MAP,
		}),
		"socket": {
			{is(0, unix.AF_XDP), masked(1, kind, unix.SOCK_RAW)},
			{is(0, unix.AF_NETLINK), is(2, unix.NETLINK_GENERIC)},
			{is(0, unix.AF_INET), masked(1, kind, unix.SOCK_DGRAM)}, // for ethtool's ioctl
		},
		"openat":    {{}}, // the notes, and what sysfs has of interrupts
		"prlimit64": {{is(0, 0), is(1, unix.RLIMIT_MEMLOCK)}},
	}
	rules := Server(ports)
	for i := range rules {
		rules[i].Any = append(rules[i].Any, more[rules[i].Name]...)
	}
	return append(rules, Rule{Name: "mkdirat", Nr: unix.SYS_MKDIRAT}, Rule{Name: "renameat", Nr: unix.SYS_RENAMEAT})
}

// Helper keeps some capabilities of a process that goes on to use them, and lays a filter on it: see Broker.
func Helper(rules []Rule, mode Mode, keep ...int) error {
	if err := Reduce(keep...); err != nil {
		return err
	}
	if mode == Off {
		return nil
	}
	if mode == "" {
		mode = On
	}
	return install(rules, mode)
}
