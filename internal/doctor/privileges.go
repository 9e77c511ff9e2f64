package doctor

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// What the stack asks of the process, in the order in which it asks.
var needed = []struct {
	bit  uint
	name string
}{
	{unix.CAP_NET_RAW, "CAP_NET_RAW"},
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{unix.CAP_BPF, "CAP_BPF"},
}

func has(caps uint64, bit uint) bool { return caps&(1<<bit) != 0 }

// effectiveCapabilities returns the set of this thread.
func effectiveCapabilities() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

func judgeCapabilities(caps uint64, err error) Finding {
	f := Finding{Subject: "capabilities", Level: OK, Fact: "CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF"}
	if err != nil {
		f.Level, f.Fact, f.Cure = Warn, "could not be read: "+err.Error(), "run as root"
		return f
	}
	var missing, want []string
	for _, n := range needed {
		want = append(want, strings.ToLower(n.name))
		if has(caps, n.bit) || n.bit == unix.CAP_BPF && has(caps, unix.CAP_SYS_ADMIN) {
			continue
		}
		missing = append(missing, n.name)
	}
	if len(missing) > 0 {
		f.Level, f.Fact = Fail, "lacks "+strings.Join(missing, ", ")
		f.Cure = "run as root, or setcap " + strings.Join(want, ",") + ",cap_ipc_lock+ep $(command -v xdpstack)"
	}
	return f
}

// PerQueue is the packet memory that the default configuration takes for each queue, in bytes: 16,384 frames of 2 KiB.
const PerQueue = 16384 * 2048

// memlockLimit returns how far the process may raise its limit: it does so when it opens a queue.
func memlockLimit() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &r) != nil {
		return unix.RLIM_INFINITY
	}
	return r.Max
}

func judgeMemlock(limit, caps uint64) Finding {
	f := Finding{Subject: "locked memory", Level: OK}
	switch {
	case has(caps, unix.CAP_IPC_LOCK):
		f.Fact = "not limited (CAP_IPC_LOCK)"
	case has(caps, unix.CAP_SYS_RESOURCE):
		f.Fact = "not limited: the limit can be lifted (CAP_SYS_RESOURCE)"
	case limit == unix.RLIM_INFINITY:
		f.Fact = "not limited"
	case limit < PerQueue:
		f.Level, f.Fact = Fail, fmt.Sprintf("limited to %d KiB; packet memory takes %d MiB a queue", limit>>10, PerQueue>>20)
		f.Cure = "ulimit -l unlimited, LimitMEMLOCK=infinity in a systemd unit, or CAP_IPC_LOCK"
	default:
		f.Level, f.Fact = Note, fmt.Sprintf("limited to %d MiB, enough for %d queues", limit>>20, limit/PerQueue)
		f.Cure = "ulimit -l unlimited if that is too few"
	}
	return f
}

// meminfo is the part of /proc/meminfo that matters.
type meminfo struct {
	available uint64 // bytes
	known     bool
}

func readMeminfo() meminfo {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return meminfo{}
	}
	return parseMeminfo(string(b))
}

func parseMeminfo(s string) meminfo {
	m := meminfo{known: true}
	for line := range strings.Lines(s) {
		var name string
		var n uint64
		if _, err := fmt.Sscanf(line, "%s %d", &name, &n); err != nil {
			continue
		}
		if name == "MemAvailable:" {
			m.available = n << 10
		}
	}
	return m
}

func judgeMemory(m meminfo) Finding {
	f := Finding{Subject: "memory", Level: OK, Fact: fmt.Sprintf("%d MiB available", m.available>>20)}
	switch {
	case !m.known:
		f.Level, f.Fact = Note, "/proc/meminfo cannot be read here"
		f.Cure = fmt.Sprintf("see that %d MiB a queue are free", PerQueue>>20)
	case m.available < 4*PerQueue:
		f.Level, f.Cure = Warn, fmt.Sprintf("free some: packet memory takes %d MiB a queue, connections' buffers come on top", PerQueue>>20)
	}
	return f
}

// hugePage is the size of those that packet memory is put in, whatever the system's default size.
const hugePage = 2 << 20

// freeHugePages returns how many huge pages of that size nobody uses; -1 if the kernel has none of that size.
func freeHugePages() int {
	b, err := os.ReadFile("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
	n := -1
	if err == nil {
		_, err = fmt.Sscan(string(b), &n)
	}
	if err != nil {
		return -1
	}
	return n
}

func judgeHugePages(free int) Finding {
	f := Finding{Subject: "huge pages", Level: OK, Fact: fmt.Sprintf("%d of 2 MiB free", free)}
	switch {
	case free < 0:
		f.Fact = "none of 2 MiB in this kernel; ordinary pages are used"
	case free*hugePage < PerQueue:
		f.Fact += "; ordinary pages are used"
		f.Level, f.Cure = Note, fmt.Sprintf("sysctl -w vm.nr_hugepages=%d, as many for each queue: it saves TLB misses", PerQueue/hugePage)
	}
	return f
}
