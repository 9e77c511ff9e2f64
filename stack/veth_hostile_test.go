package stack

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpstack/xdpstack/internal/corpus"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// hostile are programs that do to a host what no client does, and what is seen of the answers. Port 7 is listened on,
// the others are not. What hping3 says that it received is not looked at: it takes whatever comes from the target for answers.
var hostile = []struct {
	name, command string
	want          []string                    // in the program's output
	counts        func(r *ShardReport) uint64 // what must have been counted,
	atLeast       uint64                      // and how often
}{
	{"SYN scan", "nmap -n -Pn -sS -p 1-100 --max-retries 3 TARGET",
		[]string{"7/tcp open  echo", "Not shown: 99 closed tcp ports (reset)"},
		func(r *ShardReport) uint64 { return r.Stats.Drop.NoListener }, 99},
	// RFC 9293 section 3.10.7.2: an ACK to LISTEN, as to CLOSED, is answered with a reset.
	{"ACK scan", "nmap -n -Pn -sA -p 1-100 --max-retries 3 TARGET",
		[]string{"100 unfiltered tcp ports (reset)"},
		func(r *ShardReport) uint64 { return r.Stats.TCP.Listen.UnexpectedAcks }, 1},
	// A FIN to LISTEN is dropped, to CLOSED answered with a reset (sections 3.10.7.1 and 3.10.7.2).
	{"FIN scan", "nmap -n -Pn -sF -p 1-100 --max-retries 3 TARGET",
		[]string{"7/tcp open|filtered echo", "Not shown: 99 closed tcp ports (reset)"},
		func(r *ShardReport) uint64 { return r.Stats.TCP.Listen.DropNoFlags }, 1},
	{"Xmas scan", "nmap -n -Pn -sX -p 1-100 --max-retries 3 TARGET",
		[]string{"7/tcp open|filtered echo", "Not shown: 99 closed tcp ports (reset)"},
		func(r *ShardReport) uint64 { return r.Stats.TCP.Listen.DropNoFlags }, 2},
	{"fingerprint", "nmap -n -Pn -O --max-os-tries 1 -p 7,8 TARGET",
		[]string{"7/tcp open   echo", "8/tcp closed", "1 host up"},
		func(r *ShardReport) uint64 { return r.Stats.EchoReplies + r.Stats.Report.Sent }, 1},
	{"SYNs", "hping3 -q -S -p 7 -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.TCP.Listen.HalfOpenResets }, 100},
	{"every flag", "hping3 -q -SAFRPUXY -p 7 -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.TCP.Listen.DropReset }, 100},
	{"no flags", "hping3 -q -p 7 -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.TCP.Listen.DropNoFlags }, 100},
	{"ACKs to nobody", "hping3 -q -A -p 8 -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.Drop.NoListener }, 100},
	{"wrong checksums", "hping3 -q -S -p 7 -b -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.Drop.TCPChecksum }, 100},
	{"echo requests", "hping3 -q -1 -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.EchoReplies }, 100},
	{"fragments", "hping3 -q -S -p 7 -f -d 200 -c 100 -i u500 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.Reasm.Reassembled }, 30},
	{"datagrams to nobody", "hping3 -q -2 -p 8 -c 300 -i u300 TARGET", nil,
		func(r *ShardReport) uint64 { return r.Stats.Drop.UDPNoSocket }, 100},
	{"a capture of garbage", "tcpreplay -q --topspeed -i INTERFACE FILE", []string{"Failed packets:            0"},
		func(r *ShardReport) uint64 { return r.Stats.Drop.TCPHeader }, 1},
}

// TestHostilePrograms has programs scan and flood a stack that serves meanwhile. What they see is what RFC 9293 says, what they sent is
// counted under its name, its clients do not notice, and nothing is lost.
func TestHostilePrograms(t *testing.T) {
	for _, p := range []string{"nmap", "hping3", "tcpreplay"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed: make setup as root on Debian installs it", p)
		}
	}
	s, l := openOnVeth(t, netlab.Config{Name: "hostile"}, Config{})
	service := startBystander(t, s, l)
	places := strings.NewReplacer("TARGET", s.Address().Addr().String(), "INTERFACE", l.Kernel.Interface, "FILE", garbage(t, s, l))
	for _, h := range hostile {
		before := reportOf(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		words := strings.Fields(places.Replace(h.command))
		out, _ := l.Kernel.Command(ctx, words[0], words[1:]...).CombinedOutput() // hping3 fails where nothing answers
		cancel()
		for _, want := range h.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: %q is missing in\n%s", h.name, want, out)
			}
		}
		after := reportOf(t, s)
		for end := time.Now().Add(5 * time.Second); h.counts(&after)-h.counts(&before) < h.atLeast && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
			after = reportOf(t, s)
		}
		if n := h.counts(&after) - h.counts(&before); n < h.atLeast {
			t.Errorf("%s: %d were counted, want %d", h.name, n, h.atLeast)
		}
		service.look(t, h.name)
	}
	service.stop(t)
	settleFrames(t, s)
}

func reportOf(t *testing.T, s *Stack) ShardReport {
	t.Helper()
	reports, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	return reports[0]
}

// garbage writes a capture of malformed frames to the stack and returns its name.
func garbage(t *testing.T, s *Stack, l *netlab.Lab) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "garbage.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	ends := corpus.Ends{From: openWire(t, l.Kernel).mac, To: s.HardwareAddr(), ToIP: s.local, Port: 7}
	ends.FromIP = l.Kernel.Address.Addr().As4()
	ends.FromIP[3] = 200
	for i, c := range corpora {
		seeds, err := corpus.Read(filepath.Join("..", filepath.FromSlash(c.dir)))
		if err != nil {
			t.Fatal(err)
		}
		frames := corpus.New(seeds, c.layer, ends, uint64(i)+100)
		for range 300 {
			b := frames.Next()
			if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(b), Length: len(b)}, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	return f.Name()
}
