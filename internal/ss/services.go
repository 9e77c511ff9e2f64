package ss

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// Names are the names of ports, as /etc/services has them.
type Names struct {
	port map[string]uint16 // by name, or name/protocol
	name map[string]string // by port/protocol
}

// SystemNames reads this machine's. Without the file there are none.
func SystemNames() *Names {
	f, err := os.Open("/etc/services")
	if err != nil {
		return readNames(strings.NewReader(""))
	}
	defer f.Close()
	return readNames(f)
}

// readNames reads lines such as "http 80/tcp www # World Wide Web".
func readNames(r io.Reader) *Names {
	n := &Names{port: map[string]uint16{}, name: map[string]string{}}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) < 2 {
			continue
		}
		number, _, _ := strings.Cut(words[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			continue
		}
		if _, ok := n.name[words[1]]; !ok {
			n.name[words[1]] = words[0]
		}
		for _, name := range append(words[:1:1], words[2:]...) {
			if _, ok := n.port[name]; !ok {
				n.port[name] = uint16(port)
			}
		}
	}
	return n
}

// Port returns the port of a name: it is a Services.
func (n *Names) Port(name string) (port uint16, ok bool) {
	port, ok = n.port[strings.ToLower(name)]
	return port, ok
}

// Name returns the name of a port, which is a number in decimal, of a protocol, or the number.
func (n *Names) Name(port, proto string) string {
	if name, ok := n.name[port+"/"+proto]; ok {
		return name
	}
	return port
}
