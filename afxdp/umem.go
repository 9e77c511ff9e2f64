package afxdp

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePageSize = 2 << 20
	releasePause = 5 * time.Millisecond // between two looks whether the kernel has released memory
)

// umem is the memory that a queue's frames lie in. It is not the garbage collector's.
type umem struct {
	mapping []byte
	file    *os.File // that it is the contents of, with Options.Transferable; else nil
	frames  []byte   // the part of the mapping that is used
	kind    string   // how it was got, for people
	node    int      // the NUMA node that its pages come from if that has free ones; -1: whatever the kernel takes
}

// newUMEM maps memory for the frames of one queue, on a NUMA node if that is not below 0.
func newUMEM(at place, o *Options, node int) (*umem, error) {
	size := o.Frames * o.FrameSize
	if o.HugePages != HugePagesNever {
		whole := (size + hugePageSize - 1) &^ (hugePageSize - 1)
		// Without MAP_NORESERVE the kernel sets the pages aside now, so a shortage is an error here and not a SIGBUS later.
		m, f, err := mapPages(whole, true, o.Transferable)
		if err == nil {
			return &umem{mapping: m, file: f, frames: m[:size], kind: "huge pages", node: prefer(m, node)}, nil
		}
		if o.HugePages == HugePagesMust {
			return nil, at.fail("map UMEM in huge pages", ErrMemory, err,
				fmt.Sprintf("reserve %d more with: sysctl vm.nr_hugepages", whole/hugePageSize))
		}
	}
	m, f, err := mapPages(size, false, o.Transferable)
	if err != nil {
		return nil, at.fail("map UMEM", ErrMemory, err, fmt.Sprintf("%d MiB are needed: use fewer frames", size>>20))
	}
	u := &umem{mapping: m, file: f, frames: m, kind: "pages", node: prefer(m, node)}
	if o.HugePages != HugePagesNever && unix.Madvise(m, unix.MADV_HUGEPAGE) == nil && f == nil {
		u.kind = "transparent huge pages" // asked for; the kernel gives what it can: of files only where shmem_enabled says so
	}
	return u, nil
}

// mapPages maps memory: this process's alone, or that of a file without a name, which another process can map too.
func mapPages(size int, huge, transferable bool) ([]byte, *os.File, error) {
	const prot = unix.PROT_READ | unix.PROT_WRITE
	if !transferable {
		flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
		if huge {
			flags |= unix.MAP_HUGETLB | unix.MAP_HUGE_2MB
		}
		m, err := unix.Mmap(-1, 0, size, prot, flags)
		return m, nil, err
	}
	// The kernel refuses private memory that it does not have, or that the process may not have (RLIMIT_DATA). Of a file it would find out
	// when the pages are pinned, and kill somebody for want of memory.
	if !huge {
		m, err := unix.Mmap(-1, 0, size, prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil, nil, err
		}
		_ = unix.Munmap(m) // nobody has touched it: there was nothing to give back
	}
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	if huge {
		flags |= unix.MFD_HUGETLB | unix.MFD_HUGE_2MB
	}
	fd, err := unix.MemfdCreate("xdpstack", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("xdpstack", flags)
	}
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), "UMEM")
	err = unix.Ftruncate(fd, int64(size))
	if err == nil { // Nobody who is given the file can take pages away from under the others.
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	var m []byte
	if err == nil {
		m, err = unix.Mmap(fd, 0, size, prot, unix.MAP_SHARED)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return m, f, nil
}

// prefer has the pages of a mapping, which no one has touched yet, come from a NUMA node as long as that has free ones. It returns the
// node, or -1 where there is none, and on a kernel without NUMA.
func prefer(mapping []byte, node int) int {
	var mask [16]uint64 // a bit for each node
	if node < 0 || node >= 64*len(mask) {
		return -1
	}
	mask[node/64] = 1 << (node % 64)
	const mode = 1 // MPOL_PREFERRED
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(unsafe.SliceData(mapping))), uintptr(len(mapping)), mode,
		uintptr(unsafe.Pointer(&mask)), 64*uintptr(len(mask))+1, 0)
	if errno != 0 {
		return -1
	}
	return node
}

// register makes the memory the socket's UMEM, with meta bytes in front of each packet that is sent: the kernel pins every page of it,
// and counts it. When another socket has just been
// closed, which had the same memory, the kernel counts it twice for a moment; that is waited out, up to a bound.
func (u *umem) register(at place, fd int, o *Options, meta uint32, again bool) error {
	raiseMemlock()
	reg := unix.XDPUmemReg{
		Addr:     uint64(uintptr(unsafe.Pointer(unsafe.SliceData(u.frames)))),
		Len:      uint64(len(u.frames)),
		Size:     uint32(o.FrameSize),
		Headroom: uint32(o.Headroom),
	}
	if meta != 0 {
		reg.Flags, reg.Tx_metadata_len = unix.XDP_UMEM_TX_METADATA_LEN, meta
	}
	for waited := time.Duration(0); ; waited += releasePause {
		err := setsockopt(fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
		if err == nil {
			return nil
		}
		if !again || !errors.Is(err, unix.ENOBUFS) || waited >= o.BindTimeout {
			return at.errno("register UMEM", err)
		}
		time.Sleep(releasePause)
	}
}

// close unmaps the memory. The kernel keeps the pages until the last socket with this UMEM is gone.
func (u *umem) close() error {
	m, f := u.mapping, u.file
	u.mapping, u.frames, u.file = nil, nil, nil
	if f != nil {
		_ = f.Close()
	}
	return unix.Munmap(m)
}

// raiseMemlock lifts the bound on pinned memory as far as this process may. A failure shows later, as ENOBUFS, if the bound
// matters at all: with CAP_IPC_LOCK it does not.
func raiseMemlock() {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unlimited, nil) == nil {
		return
	}
	var have unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_MEMLOCK, nil, &have) == nil && have.Cur < have.Max {
		have.Cur = have.Max
		_ = unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &have, nil)
	}
}
