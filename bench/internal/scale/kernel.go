package scale

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// perAddress is how many connections come from each address of the loopback interface: fewer than it has ephemeral ports.
const perAddress = 20000

// HoldKernel opens n connections of the kernel to itself, over the loopback interface of a network namespace of its own, and measures
// what its slabs grow by for each end of them. It needs root, and two descriptors for each connection: if the process may not have so
// many, there are fewer connections.
func HoldKernel(n int, begin func() error) (Held, error) {
	n, err := allowed(n)
	if err != nil {
		return Held{}, err
	}
	// The thread is not unlocked: it ends with the goroutine, and the namespace with it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return Held{}, fmt.Errorf("scale: make a network namespace: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return Held{}, err
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Held{}, fmt.Errorf("scale: make a socket: %w", err)
	}
	if err := errors.Join(
		unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}), unix.Listen(listener, 128)); err != nil {
		return Held{}, fmt.Errorf("scale: listen: %w", err)
	}
	k := kernelEnds{listener: listener}
	if err := k.open(100); err != nil {
		return Held{}, err
	}
	if err := begin(); err != nil {
		return Held{}, err
	}
	before, err := slabBytes()
	if err != nil {
		return Held{}, err
	}
	start := time.Now()
	if err := k.open(n); err != nil {
		return Held{}, err
	}
	took := time.Since(start)
	after, err := slabBytes()
	if err != nil {
		return Held{}, err
	}
	ends := float64(2 * (n - 100))
	return Held{Connections: 2 * n, Bytes: float64(after-before) / ends, Resident: float64(after), Seconds: took.Seconds()}, nil
}

// allowed raises the limit of descriptors for n connections, as far as that is possible, and returns how many there can be.
func allowed(n int) (int, error) {
	const spare = 1000
	want := uint64(2*n + spare)
	limit := unix.Rlimit{Cur: want, Max: want}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		return n, nil
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("scale: read the limit of descriptors: %w", err)
	}
	limit.Cur = min(limit.Max, want)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("scale: allow %d descriptors: %w", limit.Cur, err)
	}
	if limit.Cur < 2*spare {
		return 0, fmt.Errorf("scale: %d descriptors are too few: raise the hard limit (ulimit -Hn)", limit.Cur)
	}
	return int(limit.Cur-spare) / 2, nil
}

type kernelEnds struct{ listener, opened int }

// open opens connections until there are n. They are not closed: the descriptors go with the process.
func (k *kernelEnds) open(n int) error {
	for ; k.opened < n; k.opened++ {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("scale: make socket %d: %w", k.opened, err)
		}
		from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + k.opened/perAddress)}}
		if err := errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, from),
			unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})); err != nil {
			return fmt.Errorf("scale: connect socket %d: %w", k.opened, err)
		}
		if _, _, err := unix.Accept4(k.listener, unix.SOCK_CLOEXEC); err != nil {
			return fmt.Errorf("scale: accept connection %d: %w", k.opened, err)
		}
	}
	return nil
}

// loopbackUp makes the loopback interface of the thread's namespace work.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("scale: make a socket: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("scale: set lo up: %w", err)
	}
	return nil
}

// slabBytes returns what the objects in use in the kernel's slabs take.
func slabBytes() (int64, error) {
	f, err := os.Open("/proc/slabinfo")
	if err != nil {
		return 0, fmt.Errorf("scale: read the kernel's slabs: %w", err)
	}
	defer f.Close()
	var sum int64
	for s := bufio.NewScanner(f); s.Scan(); {
		var name string
		var active, all, size int64
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		if n, _ := fmt.Sscan(s.Text(), &name, &active, &all, &size); n == 4 {
			sum += active * size
		}
	}
	return sum, nil
}
