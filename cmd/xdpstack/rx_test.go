package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

func TestReceiverUsageErrors(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"rx", "give -i IFACE"},
		{"rx -i lo", "give -a ADDR/LEN"},
		{"rx -i lo -a 192.0.2.1", "prefix length"},
		{"rx -i lo -a 2001:db8::1/64", "want an IPv4 address"},
		{"rx -i lo -a 192.0.2.1/24 -t -1s", "want a time"},
		{"rx -i lo --all --port 9", "give one of them"},
		{"rx -i lo -a 192.0.2.1 --port 0", "65535"},
		{"rx -i lo -a 192.0.2.1 --port 9", "the kernel does not have this address"},
		{"rx -i lo -a 127.0.0.1/8", "the kernel has 127.0.0.1"},
		{"rx -i lo -a 192.0.2.1/24 --mode fast", "want auto"},
		{"reflect -i lo", "give -a ADDR/LEN"},
		{"reflect -i lo -a 192.0.2.1/24 --layer 5", "want 2, 3 or 4"},
		{"reflect -i lo -a 192.0.2.1/24 --allow here", "--allow"},
	} {
		code, out, errs := command(t.Context(), nil, strings.Fields(tt.args)...)
		if code != exitUsage || !strings.Contains(errs, tt.says) || out != "" {
			t.Errorf("%s: exit code %d, %s%s, want %q", tt.args, code, errs, out, tt.says)
		}
	}
}

// background runs a command line on the stack's side and waits until it says something; stop interrupts it and returns what it said.
func background(t *testing.T, lab *netlab.Lab, args ...string) (stop func() (code int, out string)) {
	t.Helper()
	log, errs := &output{}, &output{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code := -1
		_ = lab.Stack.Do(func() error { // code tells
			code = run(ctx, args, streams{out: log, err: errs})
			return nil
		})
		done <- code
	}()
	for end := time.Now().Add(20 * time.Second); !log.contains(" queue") && !errs.contains(" queue"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v is not ready\n%s%s", args, log, errs)
		}
	}
	return func() (int, string) {
		cancel()
		select {
		case code := <-done:
			return code, log.String()
		case <-time.After(20 * time.Second):
			t.Fatalf("%v does not end\n%s%s", args, log, errs)
			return 0, ""
		}
	}
}

func TestRx(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rxcmd"})
	count := func(t *testing.T, args ...string) (code int, out string) {
		stop := background(t, lab, append([]string{"rx", "-i", lab.Stack.Interface}, args...)...)
		sendDatagrams(t, lab, 100)
		return stop()
	}
	t.Run("table", func(t *testing.T) {
		code, out := count(t, "-a", lab.Stack.Address.String(), "--watch")
		for _, want := range []string{"received", "XDP program", "udp", "arp", "queue 0", "unexplained             0"} {
			if want = strings.Join(strings.Fields(want), " "); !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
				t.Errorf("the output lacks %q", want)
			}
		}
		if code != exitOK || t.Failed() {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	for name, args := range map[string][]string{
		"own address":     {"-a", lab.Stack.Address.String()},
		"whole interface": {"--all", "-a", lab.Stack.Address.String()},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := count(t, append(args, "--json")...)
			var r receiverJSON
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK {
				t.Fatalf("exit code %d, %v\n%s", code, err, out)
			}
			if r.Program["redirected_udp"] != 100 || r.Unexplained != 0 || r.Packets < 100 || r.Queues[0].Became["dropped"] < 100 {
				t.Errorf("%s", out)
			}
		})
	}
}

// sendDatagrams sends so many to the stack's address, whose hardware address the kernel has to ask for.
func sendDatagrams(t *testing.T, lab *netlab.Lab, n int) {
	t.Helper()
	c, err := lab.Kernel.Dial("udp", net.JoinHostPort(lab.Stack.Address.Addr().String(), "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		if _, err := fmt.Fprint(c, "datagram ", i); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			time.Sleep(100 * time.Millisecond) // few wait while the address is asked for
		}
	}
}

// TestRxOfPorts is about an address that the kernel has.
func TestRxOfPorts(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rxports", BothKernel: true})
	stop := background(t, lab, "rx", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.Addr().String(), "--port", "9,10", "--json")
	sendDatagrams(t, lab, 20)
	code, out := stop()
	var r receiverJSON
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || r.Packets != 20 || r.Program["passed_arp"] == 0 {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

// TestRxOfAllAsks is about an interface that is in use.
func TestRxOfAllAsks(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rxall", BothKernel: true})
	ln, err := lab.Stack.Listen("tcp", net.JoinHostPort(lab.Stack.Address.Addr().String(), "80"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := lab.Kernel.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	args := []string{"rx", "-i", lab.Stack.Interface, "--all", "-t", "100ms"}
	if code, out, errs := inside(t.Context(), lab, nil, args...); code != exitUsage || !strings.Contains(errs, "--i-own-this-network") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	code, out, errs := inside(t.Context(), lab, nil, append(args, "--i-own-this-network")...)
	if code != exitOK || !strings.Contains(errs, "WARNING") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

func TestReflectToAClient(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "reflectcmd"})
	stop := background(t, lab, "reflect", "-i", lab.Stack.Interface, "-a", lab.Stack.Address.String(), "--layer", "4", "--json")
	c, err := lab.Kernel.Dial("udp", net.JoinHostPort(lab.Stack.Address.Addr().String(), "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 100)
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := c.Write([]byte("there and back")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := c.Read(b); err == nil {
			if string(b[:n]) != "there and back" {
				t.Errorf("%q came back", b[:n])
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing came back for ten seconds")
		}
	}
	code, out := stop()
	var r receiverJSON
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || r.Queues[0].Became["reflected"] == 0 {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}
