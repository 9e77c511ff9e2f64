package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/demo"
	"github.com/xdpstack/xdpstack/internal/doctor"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// inside runs a command line in the stack's namespace.
func inside(ctx context.Context, lab *netlab.Lab, in io.Reader, args ...string) (code int, out, errs string) {
	err := lab.Stack.Do(func() error {
		code, out, errs = command(ctx, in, args...)
		return nil
	})
	if err != nil {
		return -1, "", err.Error()
	}
	return code, out, errs
}

// linkArgs are the flags for the lab's stack side.
func linkArgs(lab *netlab.Lab) []string {
	return []string{"-i", lab.Stack.Interface, "-a", lab.Stack.Address.String()}
}

// server runs serve until the test ends, and checks that it ends well.
func server(t *testing.T, lab *netlab.Lab, args ...string) (log *output, socket string) {
	t.Helper()
	return running(t, lab, "serve", args...)
}

// running is server for any command that serves.
func running(t *testing.T, lab *netlab.Lab, name string, args ...string) (log *output, socket string) {
	t.Helper()
	log = &output{}
	socket = filepath.Join(t.TempDir(), "s")
	args = append(append([]string{name, "--socket", socket}, linkArgs(lab)...), args...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code := -1
		_ = lab.Stack.Do(func() error { // code tells
			code = run(ctx, args, streams{out: log, err: log})
			return nil
		})
		done <- code
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case code := <-done:
			if code != exitOK {
				t.Errorf("%s: exit code %d\n%s", name, code, log)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s does not end\n%s", name, log)
		}
	})
	log.waitFor(t, "msg=ready")
	return log, socket
}

func httpClient(lab *netlab.Lab) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: lab.Kernel.DialContext}, Timeout: 20 * time.Second}
}

func address(lab *netlab.Lab, port int) string {
	return fmt.Sprintf("%s:%d", lab.Stack.Address.Addr(), port)
}

func TestServeToTheKernel(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "serve"})
	root := t.TempDir()
	big := make([]byte, 3<<20+17)
	_, _ = rand.Read(big)
	if err := os.WriteFile(filepath.Join(root, "big.bin"), big, 0o644); err != nil {
		t.Fatal(err)
	}
	log, socket := server(t, lab, "echo", "discard", "chargen", "http", "--root", root)
	if !strings.Contains(log.String(), "service=http") || !strings.Contains(log.String(), address(lab, 80)) {
		t.Errorf("the log does not say what is served where:\n%s", log)
	}
	t.Run("http", func(t *testing.T) {
		resp, err := httpClient(lab).Get("http://" + address(lab, 80) + "/big.bin")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != string(big) || resp.StatusCode != 200 {
			t.Errorf("%s, %d bytes, %v", resp.Status, len(body), err)
		}
	})
	t.Run("curl", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skip("curl is not installed")
		}
		out := filepath.Join(t.TempDir(), "out")
		url := "http://" + address(lab, 80) + "/big.bin"
		cmd := lab.Kernel.Command(t.Context(), "curl", "-sS", "--fail", "--max-time", "20", "-o", out, url, "-w", "%{http_code} %{size_download}")
		if b, err := cmd.CombinedOutput(); err != nil || string(b) != fmt.Sprintf("200 %d", len(big)) {
			t.Errorf("curl: %s, %v", b, err)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != string(big) {
			t.Errorf("curl got %d bytes, %v", len(got), err)
		}
	})
	t.Run("echo", func(t *testing.T) {
		c, err := lab.Kernel.Dial("tcp", address(lab, 7))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		echoes(t, c)
	})
	t.Run("echo udp", func(t *testing.T) {
		c, err := lab.Kernel.Dial("udp", address(lab, 7))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		echoes(t, c)
	})
	t.Run("chargen", func(t *testing.T) {
		c, err := lab.Kernel.Dial("tcp", address(lab, 19))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(c)
		for _, want := range []byte(" !\"") {
			line, err := r.ReadString('\n')
			if err != nil || len(line) != 74 || line[0] != want {
				t.Fatalf("line %q, %v, want one that starts with %q", line, err, want)
			}
		}
	})
	t.Run("stats", func(t *testing.T) {
		code, out, errs := command(t.Context(), nil, "stats", "--socket", socket, "--json")
		var snap snapshot.Snapshot
		if err := json.Unmarshal([]byte(out), &snap); code != exitOK || err != nil {
			t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
		}
		if snap.Value("rx_frames") < 100 || snap.Shards != 1 || !strings.Contains(snap.Device, lab.Stack.Interface) {
			t.Errorf("%d frames, %d shards, device %q", snap.Value("rx_frames"), snap.Shards, snap.Device)
		}
		if snap.Value("queue_rx_packets") < 100 || snap.Value("queue_kicks") < 10 || snap.Value("steer_redirected_tcp") < 100 {
			t.Errorf("the device's counters: %d packets received, %d kicks, %d redirected", snap.Value("queue_rx_packets"),
				snap.Value("queue_kicks"), snap.Value("steer_redirected_tcp"))
		}
		if !strings.Contains(out, `"socket_rx_ring_full"`) {
			t.Errorf("the kernel's counters of the socket are missing:\n%s", out)
		}
		code, out, _ = command(t.Context(), nil, "stats", "--socket", socket)
		if code != exitOK || !strings.Contains(out, "rx_frames") || !strings.Contains(out, "frames received") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	t.Run("stats of a port that is closed", func(t *testing.T) {
		if _, err := lab.Kernel.Dial("tcp", address(lab, 4444)); err == nil {
			t.Fatal("somebody listens there")
		}
		_, out, _ := command(t.Context(), nil, "stats", "--socket", socket)
		if !strings.Contains(out, "drop_no_listener") || !strings.Contains(out, "→") {
			t.Errorf("the drop is not explained:\n%s", out)
		}
	})
}

func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 100)
	for _, s := range []string{"hello", "world"} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadAtLeast(c, buf, len(s)); err != nil || string(buf[:n]) != s {
			t.Fatalf("%q came back as %q, %v", s, buf[:n], err)
		}
	}
}

func TestServeNetHTTP(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "nethttp"})
	server(t, lab, "http", "--net-http", "--port", "8080")
	resp, err := httpClient(lab).Get("http://" + address(lab, 8080) + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != string(service.Page()) {
		t.Errorf("%s, %q, %v", resp.Status, body, err)
	}
}

// The active side: the kernel serves.
func TestGetAndNC(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "get"})
	web, err := lab.Kernel.Listen("tcp", lab.Kernel.Address.Addr().String()+":80")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the kernel") })
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(web) }()
	defer srv.Close()
	base := "http://" + lab.Kernel.Address.Addr().String()

	t.Run("get", func(t *testing.T) {
		code, out, errs := inside(t.Context(), lab, nil, append([]string{"get", base + "/page"}, linkArgs(lab)...)...)
		if code != exitOK || out != "from the kernel" {
			t.Errorf("exit code %d, %q, %s", code, out, errs)
		}
	})
	t.Run("get --fail", func(t *testing.T) {
		code, _, errs := inside(t.Context(), lab, nil, append([]string{"get", "--fail", base + "/none"}, linkArgs(lab)...)...)
		if code != exitFailure || !strings.Contains(errs, "404") {
			t.Errorf("exit code %d, %s", code, errs)
		}
	})
	t.Run("get refused", func(t *testing.T) {
		code, _, errs := inside(t.Context(), lab, nil, append([]string{"get", base + ":81/"}, linkArgs(lab)...)...)
		if code != exitFailure || !strings.Contains(errs, "refused") {
			t.Errorf("exit code %d, %s", code, errs)
		}
	})
	t.Run("nc", func(t *testing.T) {
		ln, err := lab.Kernel.Listen("tcp", lab.Kernel.Address.Addr().String()+":7000")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			b, _ := io.ReadAll(c)
			fmt.Fprintf(c, "%d bytes, thanks", len(b))
		}()
		in := strings.NewReader(strings.Repeat("x", 100_000))
		target := lab.Kernel.Address.Addr().String() + ":7000"
		code, out, errs := inside(t.Context(), lab, in, append([]string{"nc", target}, linkArgs(lab)...)...)
		if code != exitOK || out != "100000 bytes, thanks" {
			t.Errorf("exit code %d, %q, %s", code, out, errs)
		}
	})
}

func TestDoctorOnVeth(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "doctor", Offloads: true})
	code, out, errs := inside(t.Context(), lab, nil, "doctor", "--json", "-i", lab.Stack.Interface)
	var findings []doctor.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	found := map[string]doctor.Finding{}
	for _, f := range findings {
		found[f.Subject] = f
	}
	peer := found["veth peer"]
	if peer.Level != doctor.Fail || !strings.Contains(peer.Cure, "ip netns exec "+lab.Kernel.Namespace+" ethtool -K") || code != exitFailure {
		t.Errorf("exit code %d, the peer's offload: %+v", code, peer)
	}
	if xdp := found[lab.Stack.Interface+" XDP"]; xdp.Level != doctor.OK {
		t.Errorf("native XDP of veth: %+v", xdp)
	}
}

// smallDemo are flags for a run that takes little time.
var smallDemo = []string{"demo", "--json", "--bulk", "8MiB", "--duration", "100ms", "--connections", "50", "--pings", "5"}

func demoReport(t *testing.T, args ...string) demo.Report {
	t.Helper()
	code, out, errs := command(t.Context(), nil, append(append([]string{}, smallDemo...), args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	var r demo.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r.Ping.Sent != 5 || r.Ping.Lost != 0 || r.Requests.Requests == 0 || r.Conns.Open < 50 || r.Conns.Echoes != 50*20 {
		t.Errorf("ping %+v, requests %+v, connections %+v", r.Ping, r.Requests, r.Conns)
	}
	if r.Upload.Bytes != 8<<20 || r.Download.Bytes != 8<<20 || r.Upload.SHA256 != r.Download.SHA256 || len(r.Upload.SHA256) != 64 {
		t.Errorf("upload %+v, download %+v", r.Upload, r.Download)
	}
	return r
}

func TestDemoInMemory(t *testing.T) {
	r := demoReport(t, "--network", "memory")
	if r.Kind != demo.Memory || r.Reason == "" || !strings.Contains(r.Title, "no kernel, no XDP") {
		t.Errorf("it does not say what it is: %q %q %q", r.Kind, r.Title, r.Reason)
	}
}

func TestDemoOverAFXDP(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skipf("needs a network lab: %v", err)
	}
	for _, driver := range []string{"native", "asavie"} {
		t.Run(driver, func(t *testing.T) {
			r := demoReport(t, "--network", "veth", "--driver", driver)
			if r.Kind != demo.Veth || !strings.Contains(r.Device, driver) {
				t.Errorf("%q on %q", r.Kind, r.Device)
			}
		})
	}
}

// Who asks for something of AF_XDP gets it or an error, never a network in memory: veth has no zero-copy, as root as well as not.
func TestDemoDoesNotFallBackFromFlags(t *testing.T) {
	for _, tt := range []struct{ flags, says string }{
		{"--mode zero-copy", "--mode asks for AF_XDP"},
		{"--driver asavie --mode zero-copy", "--driver asks for AF_XDP"},
		{"--frames 100", "--frames asks for AF_XDP"},
	} {
		code, out, errs := command(t.Context(), nil, append(append([]string{}, smallDemo...), strings.Fields(tt.flags)...)...)
		if code != exitFailure || out != "" || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: exit code %d, %q, %q", tt.flags, code, out, errs)
		}
	}
}

func TestDemoTable(t *testing.T) {
	args := append([]string{}, smallDemo[2:]...)
	code, out, errs := command(t.Context(), nil, append([]string{"demo", "--network", "memory"}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	for _, want := range []string{"in memory", "ping", "requests/s", "open at once", "p99", "Gbit/s", "SHA-256", "batches", "allocations", "dropped"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the table:\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "This is a network in memory") || !strings.Contains(errs, "Not AF_XDP, because") {
		t.Errorf("it does not say what it is:\n%s", errs)
	}
}

// Ctrl-C in the middle: everything is removed all the same.
func TestDemoInterrupted(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skipf("needs a network lab: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr output
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"demo", "--network", "veth", "--duration", "30s"}, streams{out: &stdout, err: &stderr})
	}()
	stderr.waitFor(t, "HTTP requests")
	names := stderr.String()
	cancel()
	select {
	case code := <-done:
		if code != exitFailure || !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("exit code %d\n%s", code, &stderr)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end\n%s", &stderr)
	}
	for word := range strings.FieldsSeq(names) {
		if strings.HasPrefix(word, "xs-demo-") {
			if _, err := os.Stat("/run/netns/" + strings.Trim(word, ",.")); err == nil {
				t.Errorf("namespace %s is still there", word)
			}
		}
	}
}

// A client of the kernel's gets bodies of the size that was asked for, and no answer sooner than was said.
func TestServeBodyAndDelay(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "delay"})
	server(t, lab, "http", "--body", "100KB", "--delay", "20ms")
	client := httpClient(lab)
	for range 3 {
		began := time.Now()
		resp, err := client.Get("http://" + address(lab, 80) + "/what/ever")
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if took := time.Since(began); n != 100_000 || err != nil || took < 20*time.Millisecond {
			t.Errorf("%d bytes after %v, %v", n, took, err)
		}
	}
}
