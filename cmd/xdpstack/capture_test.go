package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/packets"
)

// refused connects to a port of the stack that nobody listens on.
func refused(t *testing.T, lab *netlab.Lab) {
	t.Helper()
	if c, err := lab.Kernel.Dial("tcp", address(lab, 9999)); err == nil {
		c.Close()
		t.Error("a port without a listener took a connection")
	}
}

// broken sends a SYN with a wrong checksum, from port 4711.
func broken(t *testing.T, lab *netlab.Lab) {
	t.Helper()
	syn := []byte{4711 >> 8, 4711 & 0xff, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 2, 1, 0, 0xba, 0xd0, 0, 0}
	err := lab.Kernel.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, syn, 0, &unix.SockaddrInet4{Addr: lab.Stack.Address.Addr().As4()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// denied has the filter deny another address, and sends a SYN from there, from port 4712.
func denied(t *testing.T, lab *netlab.Lab, socket string) {
	t.Helper()
	source := second(t, lab)
	if code, _, errs := command(t.Context(), nil, "filter", "--socket", socket, "deny", source); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	_ = lab.Kernel.Do(func() error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source), Port: 4712}, Timeout: 200 * time.Millisecond}
		if c, err := d.Dial("tcp4", address(lab, 7)); err == nil {
			c.Close()
			t.Error("a denied source was let in")
		}
		return nil
	})
}

// capturing runs a capture while traffic is made, and returns what it wrote.
func capturing(t *testing.T, traffic func(), args ...string) (out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		code, out, errs := command(ctx, nil, append([]string{"capture"}, args...)...)
		if code != exitOK {
			t.Errorf("exit code %d: %s", code, errs)
		}
		done <- out + "\x00" + errs
	}()
	time.Sleep(300 * time.Millisecond) // until it sees
	traffic()
	out, errs, _ = strings.Cut(<-done, "\x00")
	return out, errs
}

// A file has what came, went and was dropped, and tshark finds nothing wrong with it.
func TestCaptureFile(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs tshark: ", err)
	}
	lab := netlab.ForTest(t, netlab.Config{Name: "capture"})
	_, socket := server(t, lab, "echo")
	file := filepath.Join(t.TempDir(), "a.pcapng")
	_, errs := capturing(t, func() {
		c, err := lab.Kernel.Dial("tcp", address(lab, 7))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "hello")
		_, _ = c.Read(make([]byte, 5))
		c.Close()
		refused(t, lab)
		broken(t, lab)
		if c, err := lab.Kernel.Dial("udp", address(lab, 99)); err == nil {
			fmt.Fprint(c, "x")
			c.Close()
		}
		denied(t, lab, socket)
	}, "--socket", socket, "-w", file, "--duration", "2s", "tcp or udp")
	if !strings.Contains(errs, " 0 lost") {
		t.Errorf("said: %s", errs)
	}
	all, err := exec.CommandContext(t.Context(), "tshark", "-n", "-r", file, "-T", "fields", "-E", "separator=|", "-e", "frame.number",
		"-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "frame.packet_flags_direction", "-e", "frame.interface_queue", "-e", "frame.comment",
		"-e", "tcp.payload", "-e", "_ws.malformed").CombinedOutput()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, all)
	}
	for _, want := range []string{
		`\|\d+\|7\|0x00000001\|0\|\|68656c6c6f\|\n`, // received, sent, and dropped
		`\|7\|\d+\|0x00000002\|0\|\|68656c6c6f\|\n`,
		`\|\d+\|9999\|0x00000001\|0\|dropped: drop_no_listener, queue 0\|\|\n`,
		`\|4711\|7\|0x00000001\|0\|dropped: drop_tcp_checksum, queue 0\|\|\n`,
		`\|\|\|0x00000001\|0\|dropped: drop_udp_no_socket, queue 0\|\|\n`,
		`\|4712\|7\|0x00000001\|0\|dropped: steer_dropped_denied, queue 0\|\|\n`,
	} {
		if n := len(regexp.MustCompile(want).FindAll(all, -1)); n != 1 {
			t.Errorf("%d packets are as %s:\n%s", n, want, all)
		}
	}
	if bytes.Contains(bytes.ToLower(all), []byte("malformed")) || bytes.Count(all, []byte("dropped:")) != 4 {
		t.Errorf("more is dropped than was, or malformed:\n%s", all)
	}
}

func TestCaptureText(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "captext"})
	_, socket := server(t, lab, "echo")
	out, _ := capturing(t, func() { refused(t, lab) }, "--socket", socket, "--drops-only", "--count", "1")
	if !strings.Contains(out, "9999: Flags [S") || !strings.Contains(out, "DROPPED drop_no_listener") {
		t.Errorf("wrote: %s", out)
	}
	out, _ = capturing(t, func() { refused(t, lab) }, "--socket", socket, "--json", "--duration", "1s", "dst port 9999 or src port 9999")
	if n := strings.Count(out, "\n"); n != 2 || !strings.Contains(out, `"sent":true`) {
		t.Errorf("a SYN and a reset, want two lines:\n%s", out)
	}
	out, _ = capturing(t, func() { // a UDP datagram to a port that nobody listens on
		c, err := lab.Kernel.Dial("udp", address(lab, 99))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "x")
		c.Close()
	}, "--socket", socket, "--reason", "drop_udp", "--count", "1")
	if !strings.Contains(out, "99: UDP, length 1") || !strings.Contains(out, "DROPPED drop_udp_no_socket") {
		t.Errorf("wrote: %s", out)
	}
	for _, args := range [][]string{{"tcp and"}, {"--snaplen", "1"}, {"--duration", "-1s"}, {"--json", "-w", "x"}} {
		if code, _, errs := command(t.Context(), nil, append([]string{"capture", "--socket", socket}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
	client := control.Client{Path: socket}
	for _, q := range []string{"filter=tcp+and", "snaplen=x", "queue=77", "queue=-1", "reason=nonsense", "snaplen=99999999999999999999"} {
		if err := client.Get(t.Context(), "/capture?"+q, &json.RawMessage{}); err == nil || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v", q, err)
		}
	}
}

// What the shield answers comes to no shard, and is seen.
func TestCaptureAnswers(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "capshield"})
	_, socket := server(t, lab, "echo", "--shield", "always")
	out, _ := capturing(t, func() {
		_ = lab.Kernel.Do(func() error { // whether the answer comes to it or not
			if c, err := net.DialTimeout("tcp4", address(lab, 7), 100*time.Millisecond); err == nil {
				c.Close()
			}
			return nil
		})
	}, "--socket", socket, "--count", "1", "tcp and src port 7")
	if !strings.Contains(out, " out ") || !strings.Contains(out, "Flags [S.]") || !strings.Contains(out, "ANSWERED steer_answered_syn_cookie") {
		t.Errorf("wrote: %s", out)
	}
}

// A reader that does not read costs the stack nothing, and is told what it has missed.
func TestCaptureStalledReader(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "stalled"})
	_, socket := server(t, lab, "echo")
	stream, err := control.Client{Path: socket}.Stream(t.Context(), "/capture")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	time.Sleep(100 * time.Millisecond)
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	const size = 16 << 20 // four rings, in and out
	go func() { _, _ = c.Write(bytes.Repeat([]byte("x"), size)) }()
	if n, err := readAll(c, size); err != nil {
		t.Fatalf("%d of %d bytes came back while nobody read the capture: %v", n, size, err)
	}
	in := json.NewDecoder(stream)
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		var r packets.Record
		if err := in.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Lost > 0 {
			return
		}
	}
	t.Error("nothing was lost")
}

func readAll(c net.Conn, size int) (n int, err error) {
	b := make([]byte, 64<<10)
	for n < size && err == nil {
		var m int
		m, err = c.Read(b)
		n += m
	}
	return n, err
}

// A process that has given up its privileges is filtered and watched as any other.
func TestFilterAndCaptureWithoutPrivileges(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "unpriv"})
	socket := filepath.Join(publicDir(t), "s")
	p := launch(t, lab, nil, append([]string{"serve", "echo", "--socket", socket}, linkArgs(lab)...)...)
	p.ready(t)
	privileged(t, p.cmd.Process.Pid, 65534, true)
	out, _ := capturing(t, func() { refused(t, lab) }, "--socket", socket, "--drops-only", "--count", "1", "tcp")
	if !strings.Contains(out, "DROPPED drop_no_listener") {
		t.Errorf("wrote: %s", out)
	}
	for _, c := range []struct{ in, args, want string }{
		{"", "deny 198.51.100.0/24", "1 rules"},
		{"deny 203.0.113.0/24\nallow 203.0.113.7\nrate syn 100/s\n", "load -", "2 rules"},
		{"", "remove 203.0.113.7", "1 rules"},
		{"deny 192.0.2.0/24\n", "load -", "1 rules"},
		{"", "save", "deny 192.0.2.0/24"},
		{"", "rate --packets 100k/s", "1 rules"},
		{"", "top", "nothing was dropped"},
		{"", "clear", "0 rules"},
	} {
		args := append([]string{"filter", "--socket", socket}, strings.Fields(c.args)...)
		if code, out, errs := command(t.Context(), strings.NewReader(c.in), args...); code != exitOK || !strings.Contains(out, c.want) {
			t.Errorf("filter %s: exit code %d: %s%s", c.args, code, out, errs)
		}
	}
	out, _ = capturing(t, func() { denied(t, lab, socket) }, "--socket", socket, "--reason", "steer_", "--count", "1", "tcp and greater 60")
	if !strings.Contains(out, "4712 > ") || !strings.Contains(out, "DROPPED steer_dropped_denied") {
		t.Errorf("wrote: %s", out)
	}
	endsWell(t, lab, p, socket)
}
