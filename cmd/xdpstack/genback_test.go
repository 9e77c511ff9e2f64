package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/report"
)

func TestGenBackUsageErrors(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"--receive --round-trip -i lo", "give one of them"},
		{"--receive -i lo", "give -a ADDR/LEN"},
		{"--receive", "give -i IFACE"},
		{"--receive -i lo -a 192.0.2.1/24 udp,dst=192.0.2.2", "leave out the template"},
		{"--receive -i lo -a 192.0.2.1/24 -r 5pps", "leave out the rate"},
		{"--receive -i lo -a 192.0.2.1/24 --window -1", "window"},
		{"--receive -i lo -a 192.0.2.1/24 --max-streams 5000", "4096"},
		{"--receive -i lo -a 192.0.2.1/24 --arrival never", "--arrival never"},
		{"--receive -i lo -a 192.0.2.1/24 --idle -1s", "--idle"},
		{"udp,dst=192.0.2.1 -i lo --idle 1s", "give it with --receive"},
		{"udp,dst=192.0.2.1 -i lo --all", "give it with --receive or --round-trip"},
		{"udp,dst=127.0.0.2 -i lo --dst-mac 02:00:00:00:00:01 --round-trip", "which frames come back?"},
	} {
		code, out, errs := command(t.Context(), nil, append([]string{"gen"}, strings.Fields(tt.args)...)...)
		if code != exitUsage || !strings.Contains(errs, tt.says) || out != "" {
			t.Errorf("gen %s: exit code %d, %s%s, want %q", tt.args, code, errs, out, tt.says)
		}
	}
}

// TestGenToGen has one gen send to another that receives.
func TestGenToGen(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "gentogen"})
	hdr := filepath.Join(t.TempDir(), "latency.hdr")
	send := func(t *testing.T, extra ...string) {
		args := []string{"gen", "udp,dst=10.77.0.2,sport=1000-1009", "-i", lab.Kernel.Interface, "-r", "20kpps", "-c", "3000"}
		err := lab.Kernel.Do(func() error {
			if code, out, errs := command(t.Context(), nil, append(args, extra...)...); code != exitOK {
				t.Errorf("sender: exit code %d\n%s%s", code, out, errs)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	receive := []string{"gen", "--receive", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.String()}
	t.Run("JSON", func(t *testing.T) {
		stop := background(t, lab, append(receive, "--json", "--hdr", hdr, "--count", "3000", "-t", "20s")...)
		send(t)
		time.Sleep(300 * time.Millisecond) // it ends by itself
		code, out := stop()
		r, err := report.Read(strings.NewReader(out))
		if err != nil || code != exitOK {
			t.Fatalf("exit code %d, %v\n%s", code, err, out)
		}
		if r.Counters["received"] != 3000 || r.Errors["lost"] != 0 || r.Histograms[histLatency].TotalCount() != 3000 {
			t.Errorf("%v, %v", r.Counters, r.Errors)
		}
		if b, err := os.ReadFile(hdr); err != nil || !strings.Contains(string(b), "HIST") {
			t.Errorf("%v\n%s", err, b)
		}
	})
	t.Run("more was sent than came", func(t *testing.T) {
		stop := background(t, lab, append(receive, "--count", "3100", "--tolerance", "1%", "--idle", "200ms")...)
		send(t)
		time.Sleep(500 * time.Millisecond)
		code, out := stop()
		if code != exitFailure || !strings.Contains(out, "of the 3,100 that were sent") || !strings.Contains(out, "by CLOCK_TAI") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
}

// TestGenRoundTrip has packets come back from a reflector.
func TestGenRoundTrip(t *testing.T) {
	for _, layer := range []string{"2", "4"} {
		t.Run("layer "+layer, func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "roundtrip"})
			stop := background(t, lab, "reflect", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.String(), "--layer", layer)
			args := []string{"gen", "udp,dst=10.77.0.2", "-i", lab.Kernel.Interface, "-r", "20kpps", "-c", "2000", "--round-trip", "--json"}
			if layer == "2" { // the addresses of IPv4 stay: what comes back is to the reflector's
				args = append(args, "--all", "--i-own-this-network")
			} else {
				args = append(args, "-a", "10.77.0.9/24")
			}
			err := lab.Kernel.Do(func() error {
				code, out, errs := command(t.Context(), nil, args...)
				r, err := report.Read(strings.NewReader(out))
				if err != nil || code != exitOK {
					t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
				}
				if r.Counters["packets"] != 2000 || r.Counters["back_received"]+r.Counters["back_lost"] != 2000 ||
					r.Counters["back_received"] < 1000 || uint64(r.Histograms[histLatency].TotalCount()) != r.Counters["back_received"] {
					t.Errorf("%v", r.Counters)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if code, out := stop(); code != exitOK || !strings.Contains(out, "reflected") {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}
