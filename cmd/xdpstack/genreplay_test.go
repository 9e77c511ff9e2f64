package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
)

// capture writes a file with 100 packets, one each millisecond, to an address.
func capture(t *testing.T, to string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in.pcap")
	code, out, errs := command(t.Context(), nil, "gen", "udp,src=192.0.2.1,size=100,sport=1-100,dst="+to, "--pcap-out", file, "-c", "100")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	return file
}

// TestGenReplay sends a capture twice: at twice its speed, and as fast as it goes.
func TestGenReplay(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gen"})
	file := capture(t, lab.Kernel.Address.Addr().String())
	mac := net.HardwareAddr(lab.Kernel.MAC[:]).String()
	for speed, least := range map[string]time.Duration{"2x": 99 * time.Millisecond, "max": 0} {
		code, out, errs := genIn(t.Context(), lab, "--replay", file, "--speed", speed, "--loop", "2", "--dst-mac", mac, "--mode", "copy", "--json")
		if code != exitOK {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
		r, err := report.Read(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Counters["packets"]; n != 200 || r.Counters["bytes"] != 200*96 || r.Duration < least || least == 0 && r.Duration > time.Second {
			t.Errorf("%s: %d packets in %v", speed, n, r.Duration)
		}
	}
	// Where it goes, it may not, unless its addresses are replaced.
	file = capture(t, "203.0.113.7")
	code, _, errs := genIn(t.Context(), lab, "--replay", file, "--speed", "max", "--dst-mac", mac)
	if code != exitUsage || !strings.Contains(errs, "203.0.113.7 is not in 10.77.0.0/24") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	code, out, errs := genIn(t.Context(), lab, "--replay", file, "--speed", "max", "--dst-mac", mac, "--move", "203.0.113.0/24=10.77.0.0/24",
		"--rate", "1kpps", "-c", "50", "--mode", "copy", "--catch-up", "10s")
	if code != exitOK || !strings.Contains(out, " 50  packets") || !strings.Contains(out, "at 1kpps") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestGenProfile(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gen"})
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "p.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write("rate = \"2kpps\"\nduration = \"100ms\"\n\n[[stream]]\npacket = \"udp,dport=53,dst=10.77.0.1\"\n")
	for args, want := range map[string]string{"": " 200  packets", "-t 50ms": " 100  packets", "-r 1kpps": " 100  packets", "-c 10": " 10  packets"} {
		code, out, errs := genIn(t.Context(), lab, append(strings.Fields(args), "--profile", file, "--mode", "copy", "--catch-up", "10s")...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("with %q: exit code %d, want %q\n%s%s", args, code, want, out, errs)
		}
	}
	code, _, errs := genIn(t.Context(), lab, "--profile", write("rate = \"fast\"\n[[stream]]\npacket = \"udp,dport=70000\"\n"))
	if code != exitUsage || !strings.Contains(errs, "p.toml:1") || !strings.Contains(errs, "p.toml:3") || !strings.Contains(errs, "70000") {
		t.Errorf("mistakes: exit code %d, %s", code, errs)
	}
	for _, tt := range []struct{ args, says string }{
		{"--replay x udp,dst=192.0.2.1", "give one of them"},
		{"--replay /nowhere --speed fast", "--speed fast"},
		{"--replay /nowhere --loop -1", "--loop -1"},
		{"--replay /nowhere --move 10.0.0.0/24", "--move 10.0.0.0/24"},
	} {
		code, _, errs := command(t.Context(), nil, append([]string{"gen"}, strings.Fields(tt.args)...)...)
		if code != exitUsage || !strings.Contains(errs, tt.says) {
			t.Errorf("gen %s: exit code %d, %s", tt.args, code, errs)
		}
	}
	if code, _, errs := command(t.Context(), nil, "gen", "--replay", "/nowhere"); code != exitFailure || !strings.Contains(errs, "/nowhere") {
		t.Errorf("no such capture: exit code %d, %s", code, errs)
	}
}
