package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// second gives the kernel's side another address, and returns it.
func second(t *testing.T, lab *netlab.Lab) string {
	t.Helper()
	other := lab.Kernel.Address.Addr()
	for other == lab.Kernel.Address.Addr() || other == lab.Stack.Address.Addr() {
		other = other.Next()
	}
	err := lab.Kernel.Do(func() error {
		link, err := netlink.LinkByName(lab.Kernel.Interface)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(other.String() + "/24")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, a)
	})
	if err != nil {
		t.Fatal(err)
	}
	return other.String()
}

// echoFrom connects to the echo service from an address.
func echoFrom(t *testing.T, lab *netlab.Lab, source string) (c net.Conn) {
	t.Helper()
	err := lab.Kernel.Do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
		c, err = d.Dial("tcp4", address(lab, 7))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echoesWithin reports whether a connection is answered within a time.
func echoesWithin(c net.Conn, within time.Duration) bool {
	_ = c.SetDeadline(time.Now().Add(within))
	if _, err := c.Write([]byte("ping")); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err == nil
}

// A source that is denied is cut off at once, others are not, and nothing is lost when it is let in again.
func TestFilterUnderTraffic(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "")
	t.Setenv("SSH_CLIENT", "")
	lab := netlab.ForTest(t, netlab.Config{Name: "filter"})
	other := second(t, lab)
	_, socket := server(t, lab, "echo")
	do := func(want int, args ...string) (out, errs string) {
		t.Helper()
		code, out, errs := command(t.Context(), nil, append([]string{"filter", "--socket", socket}, args...)...)
		if code != want {
			t.Fatalf("filter %s: exit code %d, want %d: %s", strings.Join(args, " "), code, want, errs)
		}
		return out, errs
	}
	bad, good := echoFrom(t, lab, other), echoFrom(t, lab, lab.Kernel.Address.Addr().String())
	if !echoesWithin(bad, 5*time.Second) || !echoesWithin(good, 5*time.Second) {
		t.Fatal("no echo without a rule")
	}
	if _, errs := do(exitOK, "deny", other); !strings.Contains(errs, "1 established connections of the stack are cut off") {
		t.Errorf("said: %s", errs)
	}
	if echoesWithin(bad, 400*time.Millisecond) {
		t.Error("a denied source is answered")
	}
	if !echoesWithin(good, 5*time.Second) {
		t.Error("another source is not answered")
	}
	if out, _ := do(exitOK, "show"); !strings.Contains(out, other+"/32") {
		t.Errorf("shown: %s", out)
	}
	var s filter.State
	if out, _ := do(exitOK, "show", "--json"); json.Unmarshal([]byte(out), &s) != nil || len(s.Rules) != 1 || s.Rules[0].Dropped == 0 ||
		s.Dropped.Denied < s.Rules[0].Dropped {
		t.Errorf("state %s", out)
	}
	saved, _ := do(exitOK, "save")
	do(exitOK, "remove", other)
	_ = bad.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(bad, make([]byte, 4)); err != nil { // of the ping that was dropped, sent again
		t.Errorf("after the rule was removed: %v", err)
	}
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte(saved+"rate syn 5/s burst 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(exitOK, "load", list)
	if out, _ := do(exitOK, "save"); out != saved+"rate syn 5/s burst 3\n" {
		t.Errorf("saved %q", out)
	}
	do(exitOK, "rate", "--packets", "10k/s")
	do(exitOK, "clear")
	if out, _ := do(exitOK, "save"); out != "" {
		t.Errorf("after clear: %q", out)
	}
	do(exitOK, "deny", "198.51.100.0/24", "--for", "10m")
	if out, _ := do(exitOK, "show"); !strings.Contains(out, "10m0s") {
		t.Errorf("shown: %s", out)
	}
	do(exitOK, "top")

	t.Setenv("SSH_CONNECTION", other+" 50000 192.0.2.1 22")
	if _, errs := do(exitFailure, "deny", other); !strings.Contains(errs, "cut off your own session") || !strings.Contains(errs, "--force") {
		t.Errorf("said: %s", errs)
	}
	do(exitOK, "deny", other, "--force")
	for _, args := range [][]string{
		{"deny"}, {"deny", "x"}, {"deny", "10.0.0.1/8"}, {"deny", "10.0.0.0/8", "--for", "1ms"}, {"rate"}, {"rate", "--syn", "fast"}, {"load"},
		{"forbid"}, {"top", "-n", "0"},
	} {
		do(exitUsage, args...)
	}
}

// SYNs beyond the rate of their source cost the stack nothing, and who sends them is found.
func TestFilterRates(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rates"})
	_, socket := server(t, lab, "echo")
	if code, _, errs := command(t.Context(), nil, "filter", "--socket", socket, "rate", "--syn", "1/s", "--burst", "3"); code != exitOK {
		t.Fatal(errs)
	}
	done := make(chan bool)
	const tries = 60
	for range tries {
		go func() {
			opened := false
			_ = lab.Kernel.Do(func() error {
				c, err := net.DialTimeout("tcp4", address(lab, 7), 300*time.Millisecond)
				if err == nil {
					opened = true
					c.Close()
				}
				return err
			})
			done <- opened
		}()
	}
	opened := 0
	for range tries {
		if <-done {
			opened++
		}
	}
	if opened < 3 || opened > 5 { // the burst, and a second's
		t.Errorf("%d connections were opened", opened)
	}
	code, out, errs := command(t.Context(), nil, "filter", "--socket", socket, "top", "--json")
	var worst []bpf.Offender
	if code != exitOK || json.Unmarshal([]byte(out), &worst) != nil || len(worst) != 1 || worst[0].Dropped.SourceSYNRate == 0 {
		t.Errorf("top: %s%s", out, errs)
	}
}

func TestFilterGarbage(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "fgarbage"})
	_, socket := server(t, lab, "echo")
	c := control.Client{Path: socket}
	for _, in := range []any{
		"x", 7, []int{1}, map[string]any{"rulez": 1}, map[string]any{"rules": []any{map[string]any{"prefix": "10.0.0.0/99"}}},
		map[string]any{"rules": []any{map[string]any{"verdict": "deny"}}}, map[string]any{"rules": []any{map[string]any{"prefix": "::/0"}}},
		map[string]any{"rates": map[string]any{"syns": map[string]any{"per_second": 1 << 40}}}, map[string]any{"list": "AAAA"},
		map[string]any{"remove": []string{"10.0.0.0"}},
	} {
		if err := c.Post(t.Context(), "/filter", in, nil); err == nil {
			t.Errorf("%v was taken", in)
		}
	}
	for _, n := range []string{"0", "-1", "x", "99999999999999999999"} {
		if err := c.Get(t.Context(), "/filter/top?n="+n, nil); err == nil {
			t.Errorf("top of %s", n)
		}
	}
	var s filter.State
	if err := c.Get(t.Context(), "/filter", &s); err != nil || len(s.Rules) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, "deny 100.%d.%d.0/24\n", i>>8, i&255)
	}
	if code, out, errs := command(t.Context(), strings.NewReader(many.String()), "filter", "--socket", socket, "load", "-"); code != exitOK ||
		!strings.Contains(out, "20000 rules") {
		t.Errorf("many rules: %s%s", out, errs)
	}
}
