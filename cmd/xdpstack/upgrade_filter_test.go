package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestUpgradeKeepsFilter replaces a process whose filter was changed by command, while a denied source tries to connect all the time: it never
// can. Rules, rates, ends and counts are as they were, until the configuration's section is another one.
func TestUpgradeKeepsFilter(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "")
	t.Setenv("SSH_CLIENT", "")
	lab := netlab.ForTest(t, netlab.Config{Name: "upgrade"})
	other := second(t, lab)
	dir := t.TempDir()
	socket, path := filepath.Join(dir, "s"), filepath.Join(dir, "x.toml")
	configure := func(denied string) {
		t.Helper()
		text := fmt.Sprintf("interface = %q\naddress = %q\n[filter]\ndeny = [%q]\n[[service]]\nname = \"echo\"\n", lab.Stack.Interface,
			lab.Stack.Address, denied)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do := func(args ...string) (out string) {
		t.Helper()
		code, out, errs := command(t.Context(), nil, append([]string{"filter", "--socket", socket}, args...)...)
		if code != exitOK {
			t.Fatalf("filter %v: %s", args, errs)
		}
		return out
	}
	state := func() (s filter.State) {
		t.Helper()
		if err := json.Unmarshal([]byte(do("show", "--json")), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	configure("198.51.100.0/24")
	p := launch(t, lab, nil, "serve", "--config", path, "--socket", socket)
	p.ready(t)
	do("deny", other, "--for", "1h")
	do("deny", "203.0.113.0/24")
	do("rate", "--packets", "1M/s", "--burst", "77000")
	stop := make(chan struct{})
	var tries sync.WaitGroup
	for range 4 {
		tries.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_ = lab.Kernel.Do(func() error {
					d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(other)}, Timeout: 2 * time.Millisecond}
					c, err := d.Dial("tcp4", address(lab, 7))
					if err == nil {
						t.Error("a denied source connects")
						c.Close()
					}
					return nil
				})
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	before := state()
	pid := p.cmd.Process.Pid
	for range 2 {
		pid = replaced(t, p, socket, pid)
	}
	time.Sleep(100 * time.Millisecond)
	after := state()
	if len(before.Rules) != 3 || len(after.Rules) != 3 || before.Rates != after.Rates || before.Rates.Packets.PerSecond != 1_000_000 {
		t.Errorf("before: %+v\nafter: %+v", before, after)
	}
	counted := false
	for i, r := range after.Rules {
		b := before.Rules[i]
		if late := r.Until.Sub(b.Until); r.Prefix != b.Prefix || r.Verdict != b.Verdict || late < 0 || late > 2*time.Second {
			t.Errorf("rule %+v was %+v", r, b)
		}
		counted = counted || !r.Until.IsZero() && r.Dropped > b.Dropped && b.Dropped > 0
	}
	if !counted {
		t.Errorf("the counts do not go on: %+v, then %+v", before, after)
	}
	close(stop)
	tries.Wait()
	configure("192.0.2.0/24")
	replaced(t, p, socket, pid)
	want := func() bool {
		s := state()
		return len(s.Rules) == 1 && s.Rules[0].Prefix.String() == "192.0.2.0/24" && s.Rates == filter.Rates{}
	}
	for end := time.Now().Add(5 * time.Second); !want(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a change of the file: %+v\n%s", state(), &p.err)
		}
	}
	if code := endsLast(t, p, socket); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
}

// endsLast ends the process with a control socket, and returns the exit code of the one before, which ends too.
func endsLast(t *testing.T, first *process, socket string) int {
	t.Helper()
	if code, out, errs := command(t.Context(), nil, "stop", "--socket", socket); code != exitOK {
		t.Errorf("stop: exit code %d\n%s%s", code, out, errs)
	}
	return first.exitCode(t)
}
