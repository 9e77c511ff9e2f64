package rss

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reader asks the kernel for a card's settings. Any goroutine may use it, on a thread in whatever network namespace: it stays with that
// of the thread that opened it.
type Reader struct {
	name string
	fd   int
}

// Open makes a reader for an interface of the calling thread's network namespace.
func Open(name string) (*Reader, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("rss: %s: make a socket to ask the driver: %w", name, err)
	}
	return &Reader{name: name, fd: fd}, nil
}

// Close closes the reader. It must not be used at the same time.
func (r *Reader) Close() error { return unix.Close(r.fd) }

// Table reads the settings and makes a table of them. The error wraps ErrUnknown if there is none to be had.
func (r *Reader) Table() (*Table, error) {
	s, err := r.Settings()
	if err != nil {
		return nil, err
	}
	return NewTable(s)
}

// The commands of linux/ethtool.h.
const (
	getFields   = 0x29 // ETHTOOL_GRXFH
	getSettings = 0x46 // ETHTOOL_GRSSH
	flowTCPv4   = 1    // TCP_V4_FLOW
)

// settingsHeader is the length of struct ethtool_rxfh: command, context, entries of the table, bytes of the key, function, transform,
// reserved. The table and the key follow.
const settingsHeader = 4*4 + 4 + 4

// Settings reads what the card says.
func (r *Reader) Settings() (*Settings, error) { return read(r.name, r.ioctl) }

// readTries is how often the settings are asked for while their lengths change.
const readTries = 5

// read asks a driver through ioctl: first for the lengths, then with room for both. When the kernel has other lengths by then, it writes
// them, fails with EINVAL, and is asked again.
func read(name string, ioctl func(request []byte) error) (*Settings, error) {
	entries, key := 0, 0
	for range readTries {
		b := make([]byte, settingsHeader+4*entries+key)
		binary.NativeEndian.PutUint32(b, getSettings)
		binary.NativeEndian.PutUint32(b[8:], uint32(entries))
		binary.NativeEndian.PutUint32(b[12:], uint32(key))
		err := ioctl(b)
		n, k := int(binary.NativeEndian.Uint32(b[8:])), int(binary.NativeEndian.Uint32(b[12:]))
		changed := n != entries || k != key
		if err != nil && (!errors.Is(err, unix.EINVAL) || !changed) {
			return nil, fmt.Errorf("%w: the driver of %s does not tell its hash (%w)", ErrUnknown, name, err)
		}
		if n < 0 || k < 0 || n > 1<<16 || k > 1<<16 {
			return nil, fmt.Errorf("%w: %s has a table of %d entries and a key of %d bytes", ErrUnknown, name, n, k)
		}
		if !changed {
			s := &Settings{Function: b[16], Transform: b[17], Key: b[settingsHeader+4*entries:], Fields: fields(ioctl)}
			for i := range entries {
				s.Queues = append(s.Queues, binary.NativeEndian.Uint32(b[settingsHeader+4*i:]))
			}
			return s, nil
		}
		entries, key = n, k
	}
	return nil, fmt.Errorf("%w: the hash of %s changes all the time", ErrUnknown, name)
}

// fields asks which fields of TCP over IPv4 are hashed; 0 if the driver does not say.
func fields(ioctl func(request []byte) error) uint64 {
	b := make([]byte, 256) // struct ethtool_rxnfc, of which this command uses the beginning
	binary.NativeEndian.PutUint32(b, getFields)
	binary.NativeEndian.PutUint32(b[4:], flowTCPv4)
	if ioctl(b) != nil {
		return 0
	}
	return binary.NativeEndian.Uint64(b[8:])
}

// ioctl has the driver answer a request in its own memory.
func (r *Reader) ioctl(request []byte) error {
	ifr := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(unsafe.SliceData(request))}
	if len(r.name) >= len(ifr.name) {
		return unix.ENODEV
	}
	copy(ifr.name[:], r.name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return errno
	}
	return nil
}
