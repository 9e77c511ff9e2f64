package iperf3

import (
	"context"
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/stack"
)

// The peers here are the iperf3 of the system, on the kernel's TCP.

// openOnVeth opens a stack on one end of a veth pair.
func openOnVeth(t *testing.T) (*stack.Stack, *netlab.Lab) {
	t.Helper()
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("iperf3 is not installed")
	}
	lab := netlab.ForTest(t, netlab.Config{Name: "iperf3"})
	var st *stack.Stack
	err := lab.Stack.Do(func() (err error) {
		st, err = stack.Open(stack.Config{Interface: lab.Stack.Interface, Address: lab.Stack.Address})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if err := lab.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return st, lab
}

// kernelIperf3 runs the system's iperf3 and returns what it wrote.
func kernelIperf3(t *testing.T, lab *netlab.Lab, args ...string) (text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := lab.Kernel.Command(ctx, "iperf3", args...).Output()
	return string(out), err
}

func parse(t *testing.T, text string) *Document {
	t.Helper()
	var d Document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return &d
}

func TestKernelClient(t *testing.T) {
	st, lab := openOnVeth(t)
	s := serve(t, st, func(c *ServerConfig) { c.Output.Interval = 300 * time.Millisecond })
	for name, args := range map[string]string{
		"reverse":        "-t 1 -R -P 4 --get-server-output",
		"bidirectional":  "-t 1 --bidir -P 4",
		"bytes":          "-n 20M -P 4",
		"bytes, reverse": "-n 20M -R -P 4",
		"blocks":         "-k 100 -l 10K",
		"options":        "-n 2M -C reno -M 1000 -w 300K -N -S 32 -b 80M -T title --extra-data x -i 0.1",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := kernelIperf3(t, lab, append([]string{"-J", "-c", lab.Stack.Address.Addr().String()}, strings.Fields(args)...)...)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			client, server := parse(t, out), receive(t, "document", s.docs)
			checkEnds(t, client, server, false)
			if c := client.End.SenderCongestion; strings.Contains(args, "-C reno") && c != "reno" {
				t.Errorf("the congestion control is %q", c)
			}
			if strings.Contains(args, "--get-server-output") && !strings.Contains(client.ServerText, "Accepted connection from") {
				t.Errorf("the server's output is %q", client.ServerText)
			}
			e := server.End
			if n := int64(20 << 20); strings.Contains(args, "-n 20M") && (e.SumSent.Bytes < n || e.SumReceived.Bytes != e.SumSent.Bytes) {
				t.Errorf("%d bytes sent, %d received, want %d", e.SumSent.Bytes, e.SumReceived.Bytes, n)
			}
		})
	}
	t.Run("busy", func(t *testing.T) {
		count := func() int { return strings.Count(s.out.String(), "connected to") }
		before, first := count(), make(chan error, 1)
		go func() {
			_, err := kernelIperf3(t, lab, "-c", lab.Stack.Address.Addr().String(), "-t", "1")
			first <- err
		}()
		waitUntil(t, "the first client is there", func() bool { return count() > before })
		if out, err := kernelIperf3(t, lab, "-J", "-c", lab.Stack.Address.Addr().String(), "-n", "1"); !strings.Contains(out, ErrBusy.Error()) {
			t.Errorf("a second client gets %v: %s", err, out)
		}
		if err := receive(t, "end", first); err != nil {
			t.Error(err)
		}
	})
	select {
	case err := <-s.warns:
		t.Error(err)
	default:
	}
}

func TestKernelServer(t *testing.T) {
	st, lab := openOnVeth(t)
	for name, params := range map[string]Params{
		"reverse":        {Time: 1, Parallel: 4, Reverse: true, GetServerOutput: true},
		"bidirectional":  {Time: 1, Omit: 1, Parallel: 4, Bidirectional: true},
		"bytes":          {Num: 20 << 20, Parallel: 4},
		"bytes, reverse": {Num: 20 << 20, Parallel: 4, Reverse: true},
		"blocks":         {Blocks: 100, Len: 10240},
		"options":        {Num: 2 << 20, Congestion: "newreno", MSS: 1000, Window: 300 << 10, NoDelay: true, TOS: 32, Bandwidth: 80e6, Title: "title", ExtraData: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan string, 1)
			go func() {
				out, _ := kernelIperf3(t, lab, "-s", "-1", "-J", "--forceflush")
				done <- out
			}()
			var out buffer
			cfg := ClientConfig{Stack: st, Server: netip.AddrPortFrom(lab.Kernel.Address.Addr(), DefaultPort), Params: params, Output: Output{W: &out}}
			doc, err := Run(context.Background(), cfg)
			for end := time.Now().Add(5 * time.Second); err != nil && strings.Contains(err.Error(), "refused") && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond) // it does not listen yet
				doc, err = Run(context.Background(), cfg)
			}
			if err != nil {
				t.Fatal(err)
			}
			server := parse(t, receive(t, "end of the server", done))
			if testing.Verbose() {
				t.Log(out.String())
			}
			// The server reports before it is told what the client has: its own part is all that it knows.
			for i, c := range doc.End.Streams {
				s := server.End.Streams[i]
				if mine, its := c.Sender.Bytes, s.Sender.Bytes; s.Sender.Sender && mine != its {
					t.Errorf("stream %d: the client says that %d bytes were sent, the server %d", i, mine, its)
				}
				if mine, its := c.Receiver.Bytes, s.Receiver.Bytes; !s.Sender.Sender && mine != its {
					t.Errorf("stream %d: the client says that %d bytes were received, the server %d", i, mine, its)
				}
				if c.Sender.Bytes == 0 || c.Receiver.Bytes == 0 {
					t.Errorf("stream %d: %d bytes sent, %d received", i, c.Sender.Bytes, c.Receiver.Bytes)
				}
			}
			// What it has not read when the test ends, it leaves out.
			if n := params.limit(); n > 0 && !bool(params.Reverse) && (doc.End.SumSent.Bytes != n || doc.End.SumReceived.Bytes > n) {
				t.Errorf("%d bytes sent, %d received, want %d", doc.End.SumSent.Bytes, doc.End.SumReceived.Bytes, n)
			}
		})
	}
}
