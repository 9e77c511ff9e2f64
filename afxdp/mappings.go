package afxdp

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// mappingsMu is held while ring mappings that the asavie package forgot are looked for and unmapped, and while rings are unmapped
// in the ordinary way: between the look and the act, no range may become something else's. It also guards that package's
// DefaultSocketFlags.
var mappingsMu sync.Mutex

// mapping is a range of this process's memory that is a socket's ring.
type mapping struct {
	start, end uintptr
	inode      uint64 // the socket's
}

// socketMappings finds the mapped rings of all sockets.
func socketMappings() ([]mapping, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("find ring mappings: %w", err)
	}
	defer f.Close()
	var all []mapping
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		at := strings.LastIndex(line, "socket:[")
		if at < 0 {
			continue
		}
		var m mapping
		if _, err := fmt.Sscanf(line[at:], "socket:[%d]", &m.inode); err != nil {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x ", &m.start, &m.end); err != nil {
			continue
		}
		all = append(all, m)
	}
	return all, nil
}

// socketInode returns the number that names a socket in mappings.
func socketInode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("find the socket's inode: %w", err)
	}
	return st.Ino, nil
}

// unmapSocket unmaps the rings of one socket.
func unmapSocket(inode uint64) error {
	all, err := socketMappings()
	for _, m := range all {
		if m.inode == inode {
			err = errors.Join(err, m.unmap())
		}
	}
	return err
}

// unmapOrphans unmaps rings that were not there before and whose socket is not open any more.
func unmapOrphans(before []mapping) error {
	all, err := socketMappings()
	if err != nil {
		return err
	}
	known := make(map[uint64]bool)
	for _, m := range before {
		known[m.inode] = true
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("find open sockets: %w", err)
	}
	for _, e := range entries {
		var inode uint64
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil { // closed meanwhile
			continue
		}
		if _, err := fmt.Sscanf(target, "socket:[%d]", &inode); err == nil {
			known[inode] = true
		}
	}
	for _, m := range all {
		if !known[m.inode] {
			err = errors.Join(err, m.unmap())
		}
	}
	return err
}

func (m mapping) unmap() error {
	if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, m.start, m.end-m.start, 0); errno != 0 {
		return fmt.Errorf("unmap a ring: %w", errno)
	}
	return nil
}
