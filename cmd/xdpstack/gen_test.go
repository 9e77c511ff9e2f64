package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
)

func TestGenUsageErrors(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"", "what is to be sent?"},
		{"udp,dst=192.0.2.1", "give -i IFACE"},
		{"upd,dst=192.0.2.1", "upd"},
		{"udp,dst=192.0.2.1 -r fast", "10kpps"},
		{"udp,dst=192.0.2.1 -i lo --ramp 1pps..2pps/1s -r 1pps", "give one of them"},
		{"udp,dst=192.0.2.1 -i lo --step 1pps:1s -t 1s", "--duration"},
		{"udp,dst=192.0.2.1 -i lo --step 1pps", "RATE:TIME"},
		{"udp,dst=192.0.2.1 -i lo --ramp 1pps..2pps/9s -t 1s", "before the ramp"},
		{"udp,dst=192.0.2.1 -i lo --burst 0", "--burst 0"},
		{"udp,dst=192.0.2.1 -i lo --catch-up 0s", "--catch-up"},
		{"udp,dst=192.0.2.1 -i lo -r 40%", "give --line-rate"},
		{"udp,dst=192.0.2.1 -i lo --line-rate 10pps", "--line-rate 10pps"},
		{"udp,dst=192.0.2.1 -i lo --queues 0,1 --cpus 1", "--cpus"},
		{"udp,dst=192.0.2.1 -i lo --batch -1", "--batch -1"},
		{"udp,dst=192.0.2.1 -i lo --tx-stamps -1", "--tx-stamps -1"},
		{"udp,dst=192.0.2.1 -i lo --spin -1s", "--spin -1s"},
		{"udp,dst=192.0.2.1 -i lo --tolerance 2", "--tolerance 2"},
		{"udp,dst=192.0.2.1 -i lo --dst-mac here", "--dst-mac here"},
		{"udp,dst=192.0.2.1 -i lo --gateway here", "--gateway here"},
		{"udp,dst=192.0.2.1 -i lo --to ::1", "--to ::1"},
		{"udp,dst=192.0.2.1 -i lo -a 192.0.2.9", "-a 192.0.2.9"},
		{"udp,dst=203.0.113.1 -i lo", "--i-own-this-network"},
		{"udp,src=192.0.2.2,dst=192.0.2.1 --pcap-out /tmp/x", "--count or --duration"},
	} {
		code, out, errs := command(t.Context(), nil, append([]string{"gen"}, strings.Fields(tt.args)...)...)
		if code != exitUsage || !strings.Contains(errs, tt.says) || out != "" {
			t.Errorf("gen %s: exit code %d, %s%s, want %q", tt.args, code, errs, out, tt.says)
		}
	}
}

// TestGenWrites prints packets, and writes them to a file, without root or an interface.
func TestGenWrites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.pcap")
	code, out, errs := command(t.Context(), nil, "gen", "udp,src=192.0.2.1,dst=192.0.2.2,sport=7-9", "--print", "2", "--pcap-out", file, "-c", "5",
		"-r", "100pps")
	if code != exitOK || !strings.Contains(out, "SrcPort=8") || strings.Contains(out, "SrcPort=9") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var first time.Time
	for n := range 5 {
		b, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = info.Timestamp
		}
		if d := info.Timestamp.Sub(first); d != time.Duration(n)*10*time.Millisecond {
			t.Errorf("packet %d is %v after the first", n, d)
		}
		if s, ok := gen.FindSignature(b); !ok || s.Sequence != uint32(n)+2 { // two were printed
			t.Errorf("packet %d: %+v, %v", n, s, ok)
		}
	}
	if _, _, err := r.ReadPacketData(); err == nil {
		t.Error("there are more than 5 packets")
	}
}

// genIn runs gen from the stack's side, as somebody who has its address.
func genIn(ctx context.Context, lab *netlab.Lab, args ...string) (code int, out, errs string) {
	return inside(ctx, lab, nil, append(append([]string{"gen"}, linkArgs(lab)...), args...)...)
}

func TestGen(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gen", Queues: 2})
	target := "udp,dport=9,size=100,dst=" + lab.Kernel.Address.Addr().String()

	code, out, errs := genIn(t.Context(), lab, target, "-r", "20kpps", "-c", "5000", "--warm-up", "50ms", "--queues", "0,1", "--json",
		"--catch-up", "10s", "--mode", "copy")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	result, err := report.Read(strings.NewReader(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n, b := result.Counters["packets"], result.Counters["bytes"]; n != 5000 || b != 5000*96 || result.Failed() != result.Errors["dropped"] ||
		result.Histograms[histLate].TotalCount() != 5000 || result.Duration < 200*time.Millisecond || len(result.Series) == 0 {
		t.Errorf("%d packets of %d bytes in %v; errors %v", n, b, result.Duration, result.Errors)
	}

	// For people; by a silent gateway, which is not asked.
	code, out, errs = genIn(t.Context(), lab, target, "-r", "1kpps", "-t", "1200ms", "--catch-up", "10s", "--dst-mac", net.HardwareAddr(lab.Kernel.MAC[:]).String(), "--tx-stamps", "2", "--mode",
		"copy", "--tolerance", "100%")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"(--dst-mac)", "no XDP program", "at 1kpps", "packets/s", "1,200", "p99", "late", "jitter"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestGenFailures(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gen"})
	code, _, errs := genIn(t.Context(), lab, "udp,dst=10.77.0.99", "-c", "1")
	if code != exitFailure || !strings.Contains(errs, "10.77.0.99, the target, on "+lab.Stack.Interface+": no answer to ARP") {
		t.Errorf("a silent target: exit code %d, %s", code, errs)
	}
	code, _, errs = genIn(t.Context(), lab, "udp,dst=10.77.0.1,size=9000", "-c", "1")
	if code != exitFailure || !strings.Contains(errs, "9000") {
		t.Errorf("too large: exit code %d, %s", code, errs)
	}
	// The link is down: nothing leaves, and that is more than is allowed.
	if err := lab.Kernel.SetDown(); err != nil {
		t.Fatal(err)
	}
	code, _, errs = genIn(t.Context(), lab, "udp,dst=10.77.0.1", "--dst-mac", "02:00:00:00:00:01", "-t", "300ms", "-r", "1kpps", "--tolerance", "0.1%")
	if code != exitFailure || !strings.Contains(errs, "more than the 0.1% of --tolerance") {
		t.Errorf("link down: exit code %d, %s", code, errs)
	}
}

// TestGenInterrupted ends a run without an end: what was sent is told.
func TestGenInterrupted(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gen"})
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	code, out, errs := genIn(ctx, lab, "udp,dst=10.77.0.1", "-r", "max", "--mode", "copy")
	if code != exitOK || !strings.Contains(out, "sent") || !strings.Contains(out, "packets per CPU second") || errs != "" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
