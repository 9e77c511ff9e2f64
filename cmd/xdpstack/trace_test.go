package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/trace"
)

// TestTraceOfTheKernelsConnection follows a connection that is opened later, from its handshake to its end, as JSON, as text and as a chart.
func TestTraceOfTheKernelsConnection(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "trace"})
	_, socket := server(t, lab, "echo")
	chart := filepath.Join(t.TempDir(), "c.svg")
	outs, errs := [2]*output{{}, {}}, [2]*output{{}, {}}
	codes := make(chan int, 2)
	for i, more := range [][]string{{"--json"}, {"--chart", chart}} {
		go func() {
			args := append([]string{"trace", "--socket", socket, "*:7", "--interval", "1ms"}, more...)
			codes <- run(t.Context(), args, streams{out: outs[i], err: errs[i]})
		}()
		errs[i].waitFor(t, "tracing *:7")
	}
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	sent := make([]byte, 300_000)
	go func() { _, _ = c.Write(sent) }()
	if _, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // the kernel acknowledges what came last, and then nothing happens for a while
	echoes(t, c)                       // after a stall
	c.Close()
	for range 2 {
		if code := <-codes; code != exitOK {
			t.Fatalf("exit code %d: %s%s", code, errs[0], errs[1])
		}
	}
	seen := map[string]int{}
	var last trace.Event
	for line := range strings.Lines(outs[0].String()) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		seen[last.Kind]++
	}
	if seen["begin"] != 1 || seen["state"] < 2 || seen["sample"] == 0 || seen["stall"] == 0 || seen["end"] != 1 || last.Kind != "end" {
		t.Errorf("events %v", seen)
	}
	if n := uint64(len(sent) + len("helloworld")); last.Acked != n || last.Received != n || last.SRTT <= 0 {
		t.Errorf("at the end %+v, want %d bytes", last, n)
	}
	text := outs[1].String()
	for _, want := range []string{" → ESTABLISHED", "→ LAST-ACK", "the application had written nothing for ", "the connection is over",
		"1 connections in ", " 0 losses, 0 segments sent again"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text does not say %q:\n%s", want, text)
		}
	}
	if b, err := os.ReadFile(chart); err != nil || !strings.Contains(string(b), "congestion window") {
		t.Errorf("the chart has %d bytes, %v", len(b), err)
	}
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		code, out, _ := command(ctx, nil, "trace", "--socket", socket, "10.0.0.99")
		if code != exitOK || !strings.Contains(out, "0 connections") {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
}
