package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/copycount"
	"github.com/xdpstack/xdpstack/internal/doctor"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// TestModeIsTold checks that serve, stats and doctor say how frames really pass, and why they are copied.
func TestModeIsTold(t *testing.T) { modeIsTold(t, netlab.ForTest(t, netlab.Config{Name: "mode"})) }

func modeIsTold(t *testing.T, lab *netlab.Lab) {
	for _, c := range []struct {
		mode   string
		veth   bool
		got    string
		reason string
	}{
		{"auto", true, snapshot.Copy, "veth has none"},
		{"copy", true, snapshot.Copy, "asked for"},
		{"auto", false, snapshot.ZeroCopy, ""},
		{"copy", false, snapshot.Copy, "asked for"},
	} {
		if c.veth != lab.Veth() {
			continue
		}
		t.Run(c.mode, func(t *testing.T) {
			socket := control.Path(os.Getpid()) // where doctor looks
			if err := os.MkdirAll(control.Dir(), 0o700); err != nil {
				t.Fatal(err)
			}
			log, _ := server(t, lab, "echo", "--mode", c.mode, "--socket", socket)
			if err := lab.WaitCarrier(); err != nil {
				t.Fatal(err)
			}
			if warned := strings.Contains(log.String(), "frames are copied"); warned != (c.reason == "veth has none") ||
				warned && !strings.Contains(log.String(), c.reason) {
				t.Errorf("the log says:\n%s", log)
			}
			statsTell(t, socket, c.got, c.reason)
			doctorTells(t, lab, c.got, c.reason)
		})
	}
	if lab.Veth() {
		code, _, errs := inside(t.Context(), lab, nil, append([]string{"serve", "echo", "--mode", "zero-copy"}, linkArgs(lab)...)...)
		if code != exitFailure || !strings.Contains(errs, "no zero-copy: veth has none") || !strings.Contains(errs, "use mode copy") {
			t.Errorf("exit code %d: %s", code, errs)
		}
	}
}

func statsTell(t *testing.T, socket, mode, reason string) {
	t.Helper()
	code, out, errs := command(t.Context(), nil, "stats", "--socket", socket, "--json")
	var snap snapshot.Snapshot
	if err := json.Unmarshal([]byte(out), &snap); code != exitOK || err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if len(snap.Queues) != 1 || snap.Queues[0].Mode != mode || !strings.Contains(snap.Queues[0].Reason, reason) {
		t.Errorf("queues %+v, want %s, because %q", snap.Queues, mode, reason)
	}
	if q := snap.Queues; len(q) == 1 && (q[0].Checksums != "stack" || q[0].ChecksumReason != "") {
		t.Errorf("of what is sent the %s computes checksums (%s), want the stack", q[0].Checksums, q[0].ChecksumReason)
	}
	_, out, _ = command(t.Context(), nil, "stats", "--socket", socket)
	if !strings.Contains(out, mode+" mode") || strings.Contains(out, "frames are copied on 1 of 1 queues") != (mode == snapshot.Copy) ||
		!strings.Contains(out, reason) {
		t.Errorf("want %s mode, because %q:\n%s", mode, reason, out)
	}
}

func doctorTells(t *testing.T, lab *netlab.Lab, mode, reason string) {
	t.Helper()
	stop := make(chan struct{})
	done := make(chan struct{})
	defer func() { close(stop); <-done }()
	go func() { defer close(done); keepEchoing(lab, stop) }()

	code, out, errs := inside(t.Context(), lab, nil, "doctor", "--json", "-i", lab.Stack.Interface, "--count-copies", "500ms")
	var findings []doctor.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	found := map[string]doctor.Finding{}
	for _, f := range findings {
		found[strings.TrimPrefix(f.Subject, lab.Stack.Interface+" ")] = f
	}
	if f := found["XDP program"]; f.Level != doctor.OK || !strings.Contains(f.Fact, "of the stack that runs") {
		t.Errorf("%+v", f)
	}
	f, inUse := found["zero-copy"], mode == snapshot.ZeroCopy
	if strings.HasPrefix(f.Fact, "in use") != inUse || !strings.Contains(f.Fact, reason) || (f.Level == doctor.OK) != inUse {
		t.Errorf("%+v", f)
	}
	f = found["copies"]
	switch counter, err := copycount.Open(); {
	case err != nil:
		if f.Level != doctor.Note || !strings.Contains(f.Fact, "not counted") {
			t.Errorf("%+v", f)
		}
	case inUse && (f.Level != doctor.OK || !strings.Contains(f.Fact, "none of the")), !inUse && !strings.Contains(f.Fact, "copied in"):
		t.Errorf("%+v", f)
		fallthrough
	default:
		counter.Close()
	}
}

// keepEchoing has the kernel's TCP talk to the echo until stop is closed.
func keepEchoing(lab *netlab.Lab, stop <-chan struct{}) {
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		return
	}
	defer c.Close()
	buf := make([]byte, 1000)
	for {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}
