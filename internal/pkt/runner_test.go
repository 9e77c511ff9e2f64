package pkt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// server is a connection that a peer opened, descriptor 4; its line numbers come before those of a test.
const server = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+0 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
`

func play(src string) error {
	sc, err := Parse("test.pkt", src)
	if err != nil {
		return err
	}
	return sc.Run()
}

// TestErrors has everything that goes wrong be told with its line, what was expected and what was seen.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"nothing sent", server + "+0.1 > . 1:1(0) ack 1", "test.pkt:8: nothing was sent until 0.101000; expected: > . 1:1(0) ack 1"},
		{"wrong flags", server + "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1", "test.pkt:9: flags differs\nexpected: > . 1:11(10)"},
		{"wrong length", server + "+0 write(4, ..., 10) = 10\n+0 > P. 1:10(9) ack 1", "sequence number or length differs"},
		{"wrong ack", server + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2", "acknowledgment differs"},
		{"wrong window", server + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 win 1", "window differs"},
		{"wrong options", server + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <nop,nop,sack 1:2>", "options differs"},
		{"too early", server + "+0 write(4, ..., 10) = 10\n+1 > P. 1:11(10) ack 1", "sent at 0.000000, expected at 1.000000"},
		{"too late", server + "+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11", "nothing was sent until 0.001000"},
		{"outside the range", server + "+0 < P. 1:11(10) ack 1\n+.05~+.06 > . 1:1(0) ack 11", "sent at 0.040000, expected at 0.050000~0.060000"},
		{"not expected", server + "+0 write(4, ..., 10) = 10", "not expected: P. 1:11(10)"},
		{"result", server + "+0 read(4, ..., 10) = 0", "blocks; a script says"},
		{"wrong result", server + "+0 write(4, ..., 10) = 9", "write(4, ..., 10) = 9 returned 10"},
		{"wrong error", server + "+0 recv(4, ..., 10, MSG_DONTWAIT) = -1 EPIPE", "returned -1 EAGAIN"},
		{"never returns", server + "+0...0.1 read(4, ..., 10) = 10", "test.pkt:8: read(4, ..., 10) = 10 has not returned at 0.100000"},
		{"returns early", server + "+0...0.1 read(4, ..., 10) = 10\n+0.05 < P. 1:11(10) ack 1", "returned at 0.050000, expected at 0.100000"},
		{"call while blocked", server + "+0...0.1 read(4, ..., 10) = 10\n+0 close(4) = 0", "while that of line 8 still blocks"},
		{"assertion", server + "+0 %{ assert tcpi_snd_mss == 5, tcpi_snd_mss }%", "assert tcpi_snd_mss == 5: 1000"},
		{"unknown name", server + "+0 %{ assert tcpi_nonsense }%", "tcpi_nonsense is not known"},
		{"time goes back", "1 socket(..., SOCK_STREAM, 0) = 3\n0 close(3) = 0", "before that of the event before"},
		{"descriptor", "0 close(7) = 0", "returned -1 EBADF"},
		{"revents", server + "+0 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1", "returned 0"},
		{"other revents", server + "+0 poll([{fd=4, events=POLLOUT, revents=POLLIN}], 1, 0) = 1", "ready for POLLOUT"},
		{"poll timeout", server + "+0...0.1 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0", "returned at 0.050000"},
		{"option value", server + "+0 getsockopt(4, IPPROTO_TCP, TCP_MAXSEG, [5], [4]) = 0", "the value is 1000"},
		{"error value", server + "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [EPIPE], [4]) = 0", "the value is 0"},
		{"unknown option", server + "+0 setsockopt(4, IPPROTO_TCP, TCP_MD5SIG, [5], 4) = 0", "returned -1 ENOPROTOOPT"},
		{"unknown call", server + "+0 sendfile(4, 3, 0, 0) = 0", "call sendfile is not supported"},
		{"descriptor in use", server + "+0 socket(..., SOCK_STREAM, 0) = 4", "descriptor 4 is in use"},
		{"datagrams", "0 socket(..., SOCK_DGRAM, 0) = 3", "only SOCK_STREAM"},
		{"option", "--nonsense=1\n", "test.pkt:1: --nonsense=1: no such option"},
		{"value", "--mss=x\n", "--mss=x: strconv.ParseUint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := play(c.src)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestConfigOptions sets fields of tcp.Config, of its nested structs too, by their names in snake case.
func TestConfigOptions(t *testing.T) {
	for name, want := range map[string]string{
		"MSS": "mss", "MinRTO": "min_rto", "SYNRetries": "syn_retries", "DelayedACK": "delayed_ack", "FinWait2": "fin_wait2", "NoSACK": "no_sack",
	} {
		if got := snakeCase(name); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
	sc, err := Parse("x", "--mss=900\n--min_rto=1s\n--keep_alive_count=3\n--no_sack\n--no_delay=false\n--congestion=newreno\n--send_buffer=0x1000\n"+
		"--tolerance_usecs=5\n--tcp_ts_tick_usecs=1000\n--mtu=1400\n--irs=7\n--syn_cookies=never\n--syn_backlog=9\n--ip_version=ipv4\n")
	if err != nil {
		t.Fatal(err)
	}
	o, err := newSettings(sc)
	if err != nil {
		t.Fatal(err)
	}
	want := tcp.Config{MSS: 900, MinRTO: time.Second, KeepAlive: tcp.KeepAlive{Count: 3}, NoSACK: true, Congestion: "newreno", SendBuffer: 4096}
	if o.tcp != want {
		t.Errorf("got %+v, want %+v", o.tcp, want)
	}
	if o.tolerance != 5*time.Microsecond || o.tick != time.Millisecond || o.mtu != 1400 || o.irs != 7 ||
		o.listener.Cookies != tcp.CookiesNever || o.listener.SynBacklog != 9 {
		t.Errorf("got %+v", o)
	}
}

// TestSyntax has mistakes be found when a script is read.
func TestSyntax(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"0 < S 0:0(0) win 1 <mss>", "a number expected"},
		{"0 < S 0:0(0) win 1 <mss 1460,sackOK>", "the options take 6 bytes"},
		{"0 < S 0:0(0) win 1 <...>", "needs its options named"},
		{"0 < S 0:5(4)", "is not 4 bytes"},
		{"0 < X 0:0(0)", "flags \"X\""},
		{"0 < S 0:0(0) win 65536", "does not fit 16 bits"},
		{"\n\n0 < . 0:0(0) <foo 1>", "x.pkt:3: option \"foo"},
		{"* close(3) = 0", "only an expected segment"},
		{"0~1 close(3) = 0", "only an expected segment"},
		{"0~+1 > . 1:1(0)", "both relative"},
		{"1~0 > . 1:1(0)", "ends before it begins"},
		{"0 close(3)", "\"=\" expected"},
		{"0 close(3) = 0 EBADF", "only -1"},
		{"0 `sysctl -w x=1`", "shell commands are not run"},
		{"0 %{ print(1) }%", "assert or }% expected"},
		{"0 %{ assert (1 }%", "\")\" expected"},
		{"0 %{ assert }%", "a number, a name or ( expected"},
		{"0 < [nonce] . 1:1(0)", "ECN field"},
		{"0 < [ect01] . 1:1(0)", "ect0 or ect1"},
		{"0 < icmp unreachable nothing [0:0(0)]", "ICMP code"},
		{"0 < icmp redirect [0:0(0)]", "ICMP type"},
		{"close(3) = 0", "a time in seconds"},
		{"0 write(3, \"x) = 0", "the string has no end"},
		{"0 < S 0:0(0) win 1 <sack 1:2", "\",\" expected"},
		{"0 setsockopt(3, {a=1", "expected"},
	} {
		sc, err := Parse("x.pkt", c.src)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, %v, want %q", c.src, sc, err, c.want)
		}
	}
}

// TestExpressions evaluates what an assertion can say.
func TestExpressions(t *testing.T) {
	for _, c := range []string{
		"1 + 2 * 3 == 7", "(1 + 2) * 3 == 9", "7 / 2 == 3", "7 // 2 == 3", "7 % 4 == 3", "6 & 3 == 2 | 0", "-1 < 0", "not 0", "not (1 and 0)",
		"1 or 0", "0x10 == 16", "tcpi_state == TCP_ESTABLISHED", "tcpi_rto >= 200 * 1000", "True != False", "2 <= 2 and 3 > 2", "10 - 3 - 2 == 5",
	} {
		if err := play(server + "+0 %{ assert " + c + " }%"); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	for _, c := range []string{"1 / 0", "1 % 0", "'a' + 1", "0, 'the message'"} {
		if err := play(server + "+0 %{ assert " + c + " }%"); err == nil {
			t.Errorf("%s holds", c)
		}
	}
}

// FuzzParse reads anything without harm, and plays what is a script.
func FuzzParse(f *testing.F) {
	f.Add(server + "+0...0.1 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 <nop,nop,TS val 1 ecr 2>\n* > . 1:1(0) ack 11 <...>")
	files, _ := filepath.Glob(scripts)
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add("--mss=1000\n0 %{ assert 1 + tcpi_rtt * 2 == (3), 'x' }%\n+1~+2 > F. 0:0(0) ack 1 <nop,nop,sack 1:2 3:4>")
	f.Add("0 poll([{fd=3, events=POLLIN|POLLOUT, revents=0}], 1, 10) = 0\n+0 < icmp unreachable frag_needed mtu 1200 [0:0(0)]")
	f.Fuzz(func(_ *testing.T, src string) {
		if sc, err := Parse("fuzz", src); err == nil {
			_ = sc.Run()
		}
	})
}
