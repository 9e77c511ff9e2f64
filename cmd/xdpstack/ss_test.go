package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/ss"
)

// entries asks for connections as JSON.
func entries(t *testing.T, socket string, args ...string) (all []ss.Entry) {
	t.Helper()
	code, out, errs := command(t.Context(), nil, append([]string{"ss", "--socket", socket, "--json"}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for line := range strings.Lines(out) {
		var e ss.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// kernelField returns a number of what the kernel's ss says.
func kernelField(t *testing.T, out, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`\b` + name + `:([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("the kernel's ss does not say %s: %s", name, out)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSSAgreesWithTheKernels compares what ss and the kernel's ss say of the two ends of a connection.
func TestSSAgreesWithTheKernels(t *testing.T) {
	if _, err := exec.LookPath("ss"); err != nil {
		t.Skip("the kernel's ss is not installed: apt install iproute2")
	}
	lab := netlab.ForTest(t, netlab.Config{Name: "ss"})
	_, socket := server(t, lab, "echo", "http")
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	sent := make([]byte, 1_000_003)
	go func() { _, _ = c.Write(sent) }()
	if _, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond) // the kernel acknowledges what came last
	port := c.LocalAddr().(*net.TCPAddr).Port
	kernel, err := lab.Kernel.Command(t.Context(), "ss", "-tinoHO", fmt.Sprintf("sport = :%d", port)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, kernel)
	}
	theirs := string(kernel)
	all := entries(t, socket, "state", "established", "sport", "=", ":echo", "dport", "=", fmt.Sprint(":", port))
	if len(all) != 1 || all[0].Info == nil {
		t.Fatalf("%+v", all)
	}
	e, i := all[0], all[0].Info
	if e.State != "ESTAB" || e.Local != address(lab, 7) || e.Remote != c.LocalAddr().String() || e.RecvQ != 0 || e.SendQ != 0 {
		t.Errorf("%+v", e)
	}
	n := float64(len(sent))
	// The kernel counts its SYN among what was acknowledged.
	if float64(i.BytesAcked) != n || float64(i.BytesReceived) != n || kernelField(t, theirs, "bytes_received") != n ||
		kernelField(t, theirs, "bytes_acked") != n+1 {
		t.Errorf("of %v bytes, %d acknowledged and %d received; the kernel: %s", n, i.BytesAcked, i.BytesReceived, theirs)
	}
	if out, in := kernelField(t, theirs, "segs_out"), kernelField(t, theirs, "segs_in"); float64(i.SegsIn) > out || float64(i.SegsIn) < out-2 ||
		float64(i.SegsOut) < in-2 {
		t.Errorf("%d segments in and %d out; the kernel: %s", i.SegsIn, i.SegsOut, theirs)
	}
	if float64(i.MSS) != kernelField(t, theirs, "mss") || float64(i.PMTU) != kernelField(t, theirs, "pmtu") ||
		float64(i.RcvWnd) < kernelField(t, theirs, "snd_wnd")/2 || i.SndWScale == 0 ||
		!strings.Contains(theirs, fmt.Sprintf("wscale:%d,%d ", i.RcvWScale, i.SndWScale)) {
		t.Errorf("MSS %d, path MTU %d, window %d, scales %d,%d; the kernel: %s", i.MSS, i.PMTU, i.RcvWnd, i.SndWScale, i.RcvWScale, theirs)
	}
	if rtt := kernelField(t, theirs, "rtt"); i.RTT == 0 || i.RTT > 200_000 || rtt > 200 {
		t.Errorf("round-trip times of %d µs and %v ms on a link of this machine", i.RTT, rtt)
	}
	if strings.Join(i.Options, " ") != "ts sack wscale" || !strings.Contains(theirs, " ts sack ") || i.Congestion != "cubic" {
		t.Errorf("options %v, %s; the kernel: %s", i.Options, i.Congestion, theirs)
	}
	t.Run("text", func(t *testing.T) { ssText(t, socket, &e) })
}

// ssText looks at what people see.
func ssText(t *testing.T, socket string, e *ss.Entry) {
	for _, tt := range []struct{ args, want string }{
		{"-tn", fmt.Sprintf(`^Netid State Recv-Q Send-Q +Local Address:Port +Peer Address:Port\ntcp +ESTAB 0 +0 +%s *%s\n$`,
			addressPattern(e.Local), addressPattern(e.Remote))},
		{"-tHo", ` ESTAB .*:(echo|7) `},
		{"-tniH", `\n\t ts sack cubic wscale:\d+,\d+ rto:\d+.* rtt:[0-9.]+/[0-9.]+ .*mss:1448 .*bytes_acked:1000003 bytes_received:1000003 `},
		{"-tniHO", `:\d+ +ts sack cubic`},
		{"-tnmH", `skmem:\(r0,rb\d+,t0,tb\d+,f0,o0\)`},
		{"-tneH", `shard:0 id:\d+ handler:\*?service\.`},
		{"-tnpH", `users:\(\("xdpstack",pid=\d+\)\)`},
		{"-lntH", `^tcp LISTEN 0 +\d+ +0\.0\.0\.0:7 +0\.0\.0\.0:\*\s*\ntcp LISTEN 0 +\d+ +0\.0\.0\.0:80 +0\.0\.0\.0:\*\n$|` +
			`^tcp LISTEN 0 +\d+ +0\.0\.0\.0:80 +0\.0\.0\.0:\*\s*\ntcp LISTEN 0 +\d+ +0\.0\.0\.0:7 +0\.0\.0\.0:\*\n$`},
		{"-unaH", `^udp +UNCONN 0 +0 +0\.0\.0\.0:7 +0\.0\.0\.0:\*\n$`},
		{"-s", `Total: 4\nTCP:   3 \(estab 1, .*listening 2\)\nUDP:   1 `},
		{"-tanH --sort send-q --top 2", `^tcp LISTEN .*\ntcp LISTEN .*\n$`},
		{"-tn dst 192.0.2.77", `^Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\n$`},
	} {
		code, out, errs := command(t.Context(), nil, append([]string{"ss", "--socket", socket}, strings.Fields(tt.args)...)...)
		if code != exitOK || !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("ss %s: exit code %d, %s\n%s\nwant %s", tt.args, code, errs, out, tt.want)
		}
	}
}

// addressPattern matches an address in two columns.
func addressPattern(a string) string {
	i := strings.LastIndexByte(a, ':')
	return regexp.QuoteMeta(a[:i+1]) + a[i+1:] + " *"
}

// TestSSRows looks at what a test with the kernel does not bring about.
func TestSSRows(t *testing.T) {
	for _, tt := range []struct {
		show ssShow
		e    ss.Entry
		want string
	}{
		{ssShow{timer: true}, ss.Entry{Timer: &ss.Timer{Kind: "on", ExpiresMS: 203, Retries: 2}}, " timer:(on,203ms,2)"},
		{ssShow{timer: true}, ss.Entry{Timer: &ss.Timer{Kind: "timewait", ExpiresMS: 59_900}}, " timer:(timewait,59sec,0)"},
		{ssShow{timer: true}, ss.Entry{Timer: &ss.Timer{Kind: "keepalive", ExpiresMS: 7_199_000}}, " timer:(keepalive,119min59sec,0)"},
		{ssShow{timer: true}, ss.Entry{Timer: &ss.Timer{Kind: "persist", ExpiresMS: 1250}}, " timer:(persist,1.25sec,0)"},
		{ssShow{extended: true}, ss.Entry{Shard: -1, HalfOpen: 3, State: "LISTEN", Handler: "x.Y"}, " half-open:3 handler:x.Y"},
		{ssShow{info: true, oneline: true}, ss.Entry{Info: &ss.Info{
			Options: []string{"ts", "ecn"}, Congestion: "bbr", RTO: 204_500, MSS: 1448, CWnd: 10, SSThresh: 7, Retrans: 1, RetransTotal: 9, Lost: 2,
			Reordering: 3, CAState: "recovery", PacingRate: 125_000_000, RTT: 1000, RTTVar: 500, Backoff: 1, Timeouts: 4,
		}}, " ts ecn bbr rto:204.5 backoff:1 rtt:1/0.5 mss:1448 pmtu:0 rcvmss:0 advmss:0 cwnd:10 ssthresh:7 segs_out:0 segs_in:0 " +
			"send 115.8Mbps pacing_rate 1.0Gbps retrans:1/9 lost:2 snd_wnd:0 rcv_wnd:0 ca_state:recovery timeouts:4"},
	} {
		if got := tt.show.rest(&tt.e); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
