package reserve

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Owner is a socket that has a port.
type Owner struct {
	State string // listening, bound, connected, TIME-WAIT
	PID   int    // of a process that has it open; 0: none was found: the kernel itself, or one that may not be looked into
	Name  string // of the process
}

// Owners returns who has a port of an address, or of all addresses, of the calling thread's network namespace.
func Owners(protocol uint8, a netip.Addr, port uint16) []Owner {
	inodes := make(map[string]string) // the state of a socket
	var all []Owner
	for _, s := range listed(protocol) {
		switch {
		case s.port != port || !overlap(s.addr, a):
		case s.inode == 0:
			all = append(all, Owner{State: s.state})
		default:
			inodes[fmt.Sprintf("socket:[%d]", s.inode)] = s.state
		}
	}
	found := processes(inodes)
	if len(found) == 0 {
		for _, state := range inodes {
			found = append(found, Owner{State: state})
		}
	}
	found = append(found, all...)
	if protocol == TCP && !slices.ContainsFunc(found, func(o Owner) bool { return o.PID != 0 }) {
		found = append(found, idle(a, port)...)
	}
	return found
}

// listed returns the sockets that /proc lists.
func listed(protocol uint8) (all []socket) {
	files := []string{"tcp", "tcp6"}
	if protocol == UDP {
		files = []string{"udp", "udp6"}
	}
	for _, file := range files {
		// Not /proc/net, which is the process's namespace and not the thread's.
		f, err := os.Open("/proc/thread-self/net/" + file)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if s, ok := parseSocket(lines.Text(), protocol); ok {
				all = append(all, s)
			}
		}
		_ = f.Close()
	}
	return all
}

// socket is one that has a port.
type socket struct {
	addr  netip.Addr
	port  uint16
	state string
	inode int // 0: it is of no process any more
}

// parseSocket reads a line of /proc/net/tcp or udp.
func parseSocket(line string, protocol uint8) (s socket, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return s, false
	}
	host, service, ok := strings.Cut(fields[1], ":")
	b, err := hex.DecodeString(host)
	port, portErr := strconv.ParseUint(service, 16, 16)
	inode, inodeErr := strconv.Atoi(fields[9])
	if !ok || err != nil || portErr != nil || inodeErr != nil || len(b)%4 != 0 {
		return s, false
	}
	for i := 0; i+4 <= len(b); i += 4 { // words in the host's byte order
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	s.addr, _ = netip.AddrFromSlice(b)
	s.port, s.inode = uint16(port), inode
	switch {
	case protocol == UDP:
		s.state = "bound"
	case fields[3] == "0A":
		s.state = "listening"
	case fields[3] == "06":
		s.state = "TIME-WAIT"
	default:
		s.state = "connected"
	}
	return s, true
}

// overlap reports whether sockets of two addresses cannot have one port.
func overlap(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// processes returns who has the sockets open.
func processes(inodes map[string]string) (owners []Owner) {
	if len(inodes) == 0 {
		return nil
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range descriptors {
		link, err := os.Readlink(path)
		state, ok := inodes[link]
		if err != nil || !ok {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		o := Owner{State: state, PID: pid, Name: command(pid)}
		if !slices.Contains(owners, o) {
			owners = append(owners, o)
		}
	}
	return owners
}

// command returns the name of a process.
func command(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it may have ended
	return strings.TrimSpace(string(name))
}

// onlyWaits reports whether a port belongs to connections in TIME-WAIT and to nobody else.
func onlyWaits(owners []Owner) bool {
	for _, o := range owners {
		if o.State != "TIME-WAIT" {
			return false
		}
	}
	return len(owners) > 0
}

// describe says who has a port, and what to do about it.
func describe(owners []Owner) string {
	for _, o := range owners {
		if o.PID != 0 {
			return fmt.Sprintf("process %d (%s) has it, %s: stop it, or choose another port", o.PID, o.Name, o.State)
		}
	}
	switch {
	case onlyWaits(owners):
		return "connections of whoever had it before are in TIME-WAIT, for a minute at most: wait for that, or choose another port"
	case len(owners) > 0:
		return fmt.Sprintf("a socket whose process cannot be found has it, %s: choose another port", owners[0].State)
	}
	return "a socket is bound to it that cannot be found: choose another port"
}
