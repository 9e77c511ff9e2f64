package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
)

var update = flag.Bool("update", false, "write the golden files")

// output collects what a command writes while a test looks at it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) contains(text string) bool { return strings.Contains(o.String(), text) }

// waitFor waits until the output has some text.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !o.contains(text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in:\n%s", text, o)
		}
	}
}

// command runs a command line to its end.
func command(ctx context.Context, in io.Reader, args ...string) (code int, out, errs string) {
	var stdout, stderr output
	code = run(ctx, args, streams{in: in, out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestHelp(t *testing.T) {
	for _, name := range []string{ // one a line, so that additions do not meet
		"",
		"demo",
		"gen",
		"broker",
		"serve",
		"check",
		"reload",
		"stop",
		"clean",
		"proxy",
		"filter",
		"capture",
		"load",
		"get",
		"nc",
		"iperf3",
		"doctor",
		"tune",
		"stats",
		"top",
		"ss",
		"trace",
		"rfc2544",
		"report",
		"report show",
		"report merge",
		"report compare",
		"rx",
		"reflect",
		"version",
	} {
		t.Run("xdpstack "+name, func(t *testing.T) {
			args := []string{"--help"}
			if name != "" {
				args = append(strings.Fields(name), "--help")
			}
			code, out, errs := command(t.Context(), nil, args...)
			if code != exitOK || errs != "" {
				t.Fatalf("exit code %d, errors %q", code, errs)
			}
			out = strings.ReplaceAll(out, control.Dir(), "/run/xdpstack") // it depends on the user; that is root's
			golden := filepath.Join("testdata", "help", strings.ReplaceAll(strings.TrimSpace("xdpstack "+name), " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out != string(want) {
				t.Errorf("the help differs from %s (go test ./cmd/xdpstack -update writes it):\n%s", golden, out)
			}
			for line := range strings.Lines(out) {
				if len([]rune(line)) > 121 {
					t.Errorf("a line of the help has %d characters: %s", len([]rune(line)), line)
				}
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	link := []string{"-i", "xs-none", "-a", "192.0.2.10/24"}
	for _, tt := range []struct {
		name, args string
		link       bool
		says       string
	}{
		{name: "unknown command", args: "sevre", says: `unknown command "sevre": is serve meant?`},
		{name: "unknown flag", args: "demo --fast", says: "unknown flag: --fast"},
		{name: "demo argument", args: "demo now", says: "too many arguments: now"},
		{name: "demo size", args: "demo --bulk much", says: "64MiB"},
		{name: "demo network", args: "demo --network wifi", says: "auto, veth or memory"},
		{name: "demo driver", args: "demo --driver dpdk", says: "native or asavie"},
		{name: "demo mode", args: "demo --mode fast", says: "zero-copy"},
		{name: "demo attach", args: "demo --attach hw", says: "generic"},
		{name: "demo checksum", args: "demo --tx-checksum kernel", says: "auto, stack or device"},
		{name: "demo driver in memory", args: "demo --network memory --driver native", says: "no AF_XDP, which --driver is about"},
		{name: "demo frames in memory", args: "demo --network memory --frames 8192", says: "no AF_XDP, which --frames is about"},
		{name: "demo connections", args: "demo --connections 0", says: "--connections 0"},
		{name: "demo duration", args: "demo --duration 0s", says: "--duration 0s"},
		{name: "no service", args: "serve", link: true, says: "which service?"},
		{name: "unknown service", args: "serve ftp", link: true, says: `"ftp"`},
		{name: "service twice", args: "serve echo echo", link: true, says: "twice"},
		{name: "one port, two services", args: "serve echo http --port 8080", link: true, says: "for one service"},
		{name: "port too large", args: "serve echo --port 70000", link: true, says: "70000"},
		{name: "delay without http", args: "serve echo --delay 1ms", link: true, says: "--delay"},
		{name: "files and a body", args: "serve http --root / --body 10", link: true, says: "not both"},
		{name: "delay of shares", args: "serve http --delay 90%:1ms,20%:2ms", link: true, says: "make 110%"},
		{name: "root without http", args: "serve echo --root /", link: true, says: "--root"},
		{name: "proxy of no port", args: "proxy --to kernel:127.0.0.1:1", link: true, says: "--listen :PORT"},
		{name: "proxy to nobody", args: "proxy --listen :80", link: true, says: "--to kernel:ADDR:PORT"},
		{name: "proxy to a name", args: "proxy --listen :80 --to kernel:localhost:1", link: true, says: "kernel:localhost:1"},
		{name: "proxy to what", args: "proxy --listen :80 --to 127.0.0.1:1", link: true, says: "kernel:ADDR:PORT, kernel:/PATH"},
		{name: "proxy without patience", args: "proxy --listen :80 --to kernel:/s --timeout 0s", link: true, says: "more than 0"},
		{name: "no interface", args: "serve echo -a 192.0.2.10/24", says: "-i IFACE"},
		{name: "no address", args: "serve echo -i eth0", says: "-a ADDR/LEN"},
		{name: "no prefix", args: "serve echo -i eth0 -a 192.0.2.10", says: "prefix length"},
		{name: "IPv6", args: "serve echo -i eth0 -a 2001:db8::1/64", says: "IPv4"},
		{name: "gateway elsewhere", args: "serve echo --gateway 198.51.100.1", link: true, says: "not on the network 192.0.2.0/24"},
		{name: "gateway malformed", args: "serve echo --gateway gw", link: true, says: "--gateway gw"},
		{name: "no URL", args: "get", link: true, says: "the URL is missing"},
		{name: "bad URL", args: "get example.org", link: true, says: "not a URL"},
		{name: "no target", args: "nc", link: true, says: "HOST:PORT is missing"},
		{name: "target without port", args: "nc 192.0.2.1", link: true, says: "not HOST:PORT"},
		{name: "target with bad port", args: "nc 192.0.2.1:0", link: true, says: "port"},
		{name: "two PIDs", args: "stats 1 2", says: "too many arguments: 2"},
		{name: "report of what", args: "report sum", says: "show, merge and compare"},
		{name: "no result", args: "report show", says: "the result file is missing"},
		{name: "nothing to merge", args: "report merge", says: "the result files are missing"},
		{name: "one to compare", args: "report compare a.json", says: "result file"},
		{name: "no target of load", args: "load", link: true, says: "which target?"},
		{name: "load of a host", args: "load 192.0.2.1", link: true, says: "not a target such as"},
		{name: "load of another protocol", args: "load ftp://192.0.2.1", link: true, says: "want http, https, tcp or udp"},
		{name: "load of two protocols", args: "load http://192.0.2.1 tcp://192.0.2.1:7", link: true, says: "one protocol"},
		{name: "load without a port", args: "load tcp://192.0.2.1", link: true, says: "which port?"},
		{name: "load of IPv6", args: "load http://[2001:db8::1]/", link: true, says: "IPv4"},
		{name: "load of a kind", args: "load --kind flood http://192.0.2.1", link: true, says: "requests, connections, hold"},
		{name: "arrivals", args: "load --arrivals bursts http://192.0.2.1", link: true, says: "constant or poisson"},
		{name: "rate", args: "load --rate fast http://192.0.2.1", link: true, says: "such as 500, 10k or 1.5M"},
		{name: "rate and ramp", args: "load --rate 1k --ramp 1k..2k/1s http://192.0.2.1", link: true, says: "give one of them"},
		{name: "ramp without a time", args: "load --ramp 1k..2k http://192.0.2.1", link: true, says: "FROM..TO/TIME"},
		{name: "step without a time", args: "load --step 1k,2k:1s http://192.0.2.1", link: true, says: "1k:10s,2k:10s"},
		{name: "weights", args: "load --weights 1,2 http://192.0.2.1", link: true, says: "2 numbers for 1 target"},
		{name: "header", args: "load --header Accept http://192.0.2.1", link: true, says: "NAME: VALUE"},
		{name: "header of tcp", args: "load --header A:b tcp://192.0.2.1:7", link: true, says: "for HTTP"},
		{name: "address of a network", args: "serve echo -i eth0 -a 10.77.0.0/24", says: "10.77.0.0/24 is not the address of a single host"},
		{name: "too few frames", args: "serve echo --frames 100", link: true, says: "100 frames, want at least 6144"},
		{name: "ring of an odd size", args: "serve echo --rx-ring 1000", link: true, says: "RX ring of 1000, want a power of two"},
		{name: "what to clean", args: "clean", says: "which interface?"},
		{name: "what to clean, by path", args: "clean -i ../x", says: "which interface?"},
		{name: "crash", args: "serve echo --crash burn", link: true, says: "--crash burn: want clean or pin"},
		{name: "what to check", args: "check", says: "the file is missing"},
		{name: "drain", args: "serve echo --drain -1s", link: true, says: "--drain -1s: want a time of 0s"},
		{name: "several problems", args: "serve ftp --mode fast --gateway gw", link: true, says: "--mode fast"},
		{name: "stop with a drain", args: "stop --drain -1s", says: "--drain -1s"},
		{name: "trace of nothing", args: "trace", says: "the TUPLE is missing"},
		{name: "trace of a name", args: "trace www:80", says: "want an IPv4 address"},
		{name: "trace of too many", args: "trace *:80 --conns 2000", says: "want 1 to 1024"},
		{name: "trace into what", args: "trace *:80 --chart a.png", says: "ends in .svg or .html"},
		{name: "filter of ss", args: "ss dst 10.0.0.1 plus dport 80", says: "at character 14: want src, dst"},
		{name: "port of ss", args: "ss dport = :nothing", says: "no service is called"},
		{name: "sort of ss", args: "ss --sort beauty", says: "want one of recv-q"},
		{name: "top of ss", args: "ss --top 99999", says: "want 1 to 10000"},
		{name: "interval", args: "stats --watch --interval 0s", says: "--interval 0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(tt.args)
			if tt.link {
				args = append(args, link...)
			}
			code, out, errs := command(t.Context(), nil, args...)
			if code != exitUsage || out != "" {
				t.Errorf("exit code %d, output %q", code, out)
			}
			if !strings.Contains(errs, tt.says) || !strings.Contains(errs, "--help") {
				t.Errorf("errors %q, want %q and where help is", errs, tt.says)
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"serve echo ", "http"},
		{"demo --driver ", "asavie"},
		{"demo --network ", "memory"},
		{"serve --mode ", "zero-copy"},
		{"serve --tx-checksum ", "device"},
		{"ser", "serve"},
		{"ss state ", "time-wait"},
		{"trace *:80 --chart ", "svg"},
		{"ss --sort ", "retrans"},
	} {
		args := append([]string{"__complete"}, strings.Split(tt.args, " ")...)
		code, out, _ := command(t.Context(), nil, args...)
		if code != exitOK || !strings.Contains(out, tt.want) {
			t.Errorf("completion of %q: exit code %d, %q, want %q", tt.args, code, out, tt.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, errs := command(t.Context(), nil, "completion", shell); code != exitOK || len(out) < 1000 {
			t.Errorf("completion %s: exit code %d, %d bytes, %s", shell, code, len(out), errs)
		}
	}
}
