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

	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
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
		"1 connections in ", " 0 losses, "} { // where a busy machine keeps answers waiting, a tail loss probe may have been sent
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

// TestTraceThroughALossyHop has a trace tell of as many segments sent again as ss does, and of losses.
func TestTraceThroughALossyHop(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "tracehop", Hop: true})
	bad := impair.Config{Loss: 0.01, Delay: 5 * time.Millisecond}
	hop.ForTest(t, lab.Hop.Do, hop.Config{A: lab.Hop.Stack.Interface, B: lab.Hop.Kernel.Interface, AB: bad, Seed: 1})
	_, socket := server(t, lab, "chargen")
	chart := filepath.Join(t.TempDir(), "c.html")
	out, errs := &output{}, &output{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"trace", "--socket", socket, "*:19", "--json", "--chart", chart}, streams{out: out, err: errs})
	}()
	errs.waitFor(t, "tracing *:19")
	c, err := lab.Kernel.Dial("tcp", address(lab, 19))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.CopyN(io.Discard, c, 2<<20); err != nil {
		t.Fatal(err)
	}
	var told, counted uint64
	var losses int
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until the window is closed
		all := entries(t, socket, "state", "established", "sport", "=", ":19")
		if len(all) != 1 {
			t.Fatalf("%+v", all)
		}
		counted = uint64(all[0].Info.RetransTotal)
		told, losses = 0, 0
		for line := range strings.Lines(out.String()) {
			var e trace.Event
			if json.Unmarshal([]byte(line), &e) != nil {
				continue // half of a line
			}
			if e.Kind == "retransmit" {
				told += e.N
			}
			if e.Loss() {
				losses++
			}
		}
		if told == counted && losses > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the trace tells of %d segments sent again and %d losses, ss of %d", told, losses, counted)
		}
	}
	cancel()
	if got := <-code; got != exitOK || told == 0 {
		t.Errorf("exit code %d, %d sent again: %s", got, told, errs)
	}
	if b, err := os.ReadFile(chart); err != nil || !strings.Contains(string(b), "loss") {
		t.Errorf("the chart has %d bytes, %v", len(b), err)
	}
}
