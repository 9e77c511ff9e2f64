package filter

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// KernelPeers returns the peers of the established IPv4 connections of the kernel in this network namespace, but for those of the machine
// with itself.
func KernelPeers() ([]netip.Addr, error) {
	var all []netip.Addr
	for _, name := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) { // no IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			if a, ok := establishedPeer(s.Text()); ok {
				all = append(all, a)
			}
		}
		f.Close()
		if err := s.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// establishedPeer reads a line of /proc/net/tcp: number, local and remote address, state. An address is in words of the host's byte order.
func establishedPeer(line string) (netip.Addr, bool) {
	const established = "01"
	words := strings.Fields(line)
	if len(words) < 4 || words[3] != established {
		return netip.Addr{}, false
	}
	text, _, _ := strings.Cut(words[2], ":")
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	a = a.Unmap()
	return a, a.Is4() && !a.IsLoopback()
}
