package gen

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/ethernet"
)

// FCSLen is the length of the frame check sequence, which sizes count and lengths in memory do not.
const FCSLen = 4

// MinLen is the length of the shortest Ethernet frame without its frame check sequence.
const MinLen = 60

// Stream is a template for packets.
type Stream struct {
	Name     string
	Weight   int // share of the packets among all streams; 0 means 1
	src, dst netip.Addr
	sport    uint16
	dport    uint16
	size     int
}

// Options are what Compile needs to know beside the streams. The zero value has one worker.
type Options struct {
	Worker, Workers int           // which worker of how many; 0 of 0 means the only one
	Source, Target  ethernet.Addr // of packets whose stream does not give MAC addresses
	SourceIP        netip.Addr    // of packets whose stream has no source address
	TargetIP        netip.Addr    // likewise the destination
}

// ParseStream reads a stream such as "udp,src=10.0.0.1,dst=10.1.0.1,sport=1024,dport=9,size=64".
func ParseStream(text string) (Stream, error) {
	s := Stream{sport: 1024, dport: 9, size: 64}
	name, rest, _ := strings.Cut(text, ",")
	if name != "udp" {
		return s, fmt.Errorf("gen: stream %q: expected udp", text)
	}
	for _, item := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(item, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "src":
			s.src, _ = netip.ParseAddr(value)
		case "dst":
			s.dst, _ = netip.ParseAddr(value)
		case "sport":
			s.sport = uint16(n)
		case "dport":
			s.dport = uint16(n)
		case "size":
			s.size = n
		}
	}
	return s, nil
}
