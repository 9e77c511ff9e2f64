package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

func TestIperf3Usage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                        "server or client?",
		"-s -c 10.0.0.1":                          "cannot be both",
		"-s":                                      "--interface",
		"--interface x -s -t 5":                   "--time is the client's to say",
		"--interface x -c 10.0.0.1 -1":            "for a server",
		"--interface x -c 10.0.0.1 -u":            "only TCP",
		"--interface x -c 10.0.0.1 -6":            "only IPv4",
		"--interface x -s -D":                     "nohup",
		"--interface x -c 10.0.0.1 -t 1 -n 1M":    "only one of -t, -n and -k",
		"--interface x -c 10.0.0.1 -t 0":          "above 0",
		"--interface x -c 10.0.0.1 -P 1000":       "number of streams is 1000",
		"--interface x -c 10.0.0.1 -l 2M":         "the block is 2097152",
		"--interface x -c 10.0.0.1 -R --bidir":    "both reverse and bidirectional",
		"--interface x -c 10.0.0.1 -C vegas":      "vegas",
		"--interface x -c 10.0.0.1 -n 1Q":         "--bytes",
		"--interface x -c 10.0.0.1 -i 0.01":       "0.1 to 3600",
		"--interface x -c 10.0.0.1 -f x":          "-f x",
		"--interface x -c 10.0.0.1 --dscp 64":     "0 to 63",
		"--interface x -c 10.0.0.1 -a 10.0.0.300": "-a 10.0.0.300",
	} {
		code, _, errs := command(t.Context(), nil, append([]string{"iperf3"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("iperf3 %s: exit code %d, %q, want %d and %q", args, code, errs, exitUsage, want)
		}
	}
}

func TestIperf3WithTheKernel(t *testing.T) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("iperf3 is not installed")
	}
	lab := netlab.ForTest(t, netlab.Config{Name: "iperf3"})
	link := []string{"iperf3", "--interface", lab.Stack.Interface, "-a", lab.Stack.Address.String()}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	type result struct {
		code      int
		out, errs string
	}
	served := make(chan result, 1)
	go func() {
		code, out, errs := inside(ctx, lab, nil, append(link, "-s", "-1")...)
		served <- result{code, out, errs}
	}()
	var out []byte
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var err error
		out, err = lab.Kernel.Command(ctx, "iperf3", "-c", lab.Stack.Address.Addr().String(), "-n", "10M", "--connect-timeout", "500").Output()
		if err == nil || time.Now().After(end) {
			break
		}
	}
	if !bytes.Contains(out, []byte("iperf Done.")) {
		t.Errorf("the kernel's client says %s", out)
	}
	// The kernel's client may send a block more than it was asked for: 10.0 or 10.1 MBytes.
	if r := <-served; r.code != exitOK || !strings.Contains(r.out, " 10.") || !strings.Contains(r.out, " MBytes") {
		t.Errorf("the server ends with %d: %s%s", r.code, r.out, r.errs)
	}

	kernel := lab.Kernel.Command(ctx, "iperf3", "-s", "-1")
	if err := kernel.Start(); err != nil {
		t.Fatal(err)
	}
	var r result
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		client := append(link, "-c", lab.Kernel.Address.Addr().String(), "-n", "10M", "-R", "-J")
		r.code, r.out, r.errs = inside(ctx, lab, nil, client...)
		if r.code == exitOK || time.Now().After(end) {
			break
		}
		if !strings.Contains(r.out, `"error": "error - unable to connect to server`) { // it does not listen yet
			t.Fatalf("%s%s", r.out, r.errs)
		}
	}
	var doc struct {
		End struct {
			Received struct{ Bytes int } `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || doc.End.Received.Bytes < 10<<20 {
		t.Errorf("%d bytes received, %v: %s%s", doc.End.Received.Bytes, err, r.out, r.errs)
	}
	if err := kernel.Wait(); err != nil {
		t.Error(err)
	}
}
