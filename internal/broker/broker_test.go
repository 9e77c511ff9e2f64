package broker

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/reserve"
)

func ranges(t testing.TB, texts ...string) (all []addrset.Range) {
	t.Helper()
	for _, s := range texts {
		r, err := addrset.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func examplePolicy(t testing.TB) *policy {
	t.Helper()
	p, err := newPolicy(Config{
		Interfaces: []string{"eth0"}, Addresses: ranges(t, "10.0.0.0/28", "10.0.0.16/28", "10.1.0.5"), Users: []string{"4711"}, Groups: []string{"4712"},
		Memory: 256 << 20, Queues: 8,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicy(t *testing.T) {
	p := examplePolicy(t)
	for name, c := range map[string]struct {
		change func(*Request)
		want   string // of the error; empty: granted
	}{
		"as it may be":         {func(*Request) {}, ""},
		"across two ranges":    {func(r *Request) { r.Addresses = ranges(t, "10.0.0.10-10.0.0.20") }, ""},
		"another version":      {func(r *Request) { r.Version = 1 }, "version 1"},
		"another interface":    {func(r *Request) { r.Interface = "eth1" }, "eth1"},
		"an address beyond":    {func(r *Request) { r.Addresses = ranges(t, "10.0.0.5", "10.0.0.30-10.0.0.32") }, "10.0.0.30-10.0.0.32"},
		"no address":           {func(r *Request) { r.Addresses = nil }, "no address"},
		"the kernel's address": {func(r *Request) { r.Steer.Mode = bpf.SharedAddress }, "own"},
		"a whole interface":    {func(r *Request) { r.Steer.Mode = bpf.WholeInterface }, "whole interface"},
		"too many queues":      {func(r *Request) { r.Options.Queues = make([]int, 9) }, "9 queues"},
		"more than there are":  {func(r *Request) { r.queues = 9 }, "9 queues"},
		"too many frames":      {func(r *Request) { r.Options.Frames = 1 << 20 }, "256 MiB"},
		"so many that it wraps": {func(r *Request) {
			r.Options.Frames, r.Options.Queues = 1<<61, make([]int, 8)
		}, "256 MiB"},
		"a large ring":     {func(r *Request) { r.Options.RxRing = 1 << 20 }, "ring"},
		"a large map":      {func(r *Request) { r.Steer.MaxPorts = 1 << 30 }, "map"},
		"a long wait":      {func(r *Request) { r.Options.BindTimeout = time.Hour }, "timeout"},
		"sockets to send":  {func(r *Request) { r.Options.SendOnly = true }, "only send"},
		"a pinned program": {func(r *Request) { r.Options.Pin = true }, "pinned"},
		"another's driver": {func(r *Request) { r.Options.Driver = afxdp.DriverAsavie }, "asavie"},
	} {
		r := &Request{Version: version, Interface: "eth0", Addresses: ranges(t, "10.0.0.3", "10.1.0.5"), queues: 2}
		c.change(r)
		if err := p.check(r); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, c := range []struct {
		who  peer
		want bool
	}{
		{peer{uid: 0}, true}, {peer{uid: 9}, true}, {peer{uid: 4711}, true}, {peer{uid: 4712}, false},
		{peer{uid: 5, gids: []uint32{4, 4712}}, true}, {peer{uid: 5, gids: []uint32{4711, 0}}, false},
	} {
		if err := p.admits(c.who, 9); (err == nil) != c.want {
			t.Errorf("%+v: %v", c.who, err)
		}
	}
}

// TestShared asks in the mode that shares the kernel's addresses.
func TestShared(t *testing.T) {
	p, err := newPolicy(Config{Interfaces: []string{"eth0"}, Shared: true, Ports: []PortRange{{80, 80}, {500, 600}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Version: version, Interface: "eth0", Steer: bpf.Config{Mode: bpf.SharedAddress}, queues: 2}
	if err := p.check(r); err != nil {
		t.Error(err)
	}
	r.Addresses = ranges(t, "10.0.0.3")
	if err := p.check(r); err == nil {
		t.Error("an address of the client's own was given too")
	}
	r.Steer.Mode = bpf.OwnAddress
	if err := p.check(r); err == nil {
		t.Error("an address of the client's own was given")
	}
	any4 := netip.IPv4Unspecified()
	for _, c := range []struct {
		r    portRequest
		want bool
	}{
		{portRequest{reserve.TCP, any4, 80}, true}, {portRequest{reserve.UDP, any4, 500}, true},
		{portRequest{reserve.TCP, netip.MustParseAddr("10.0.0.1"), 600}, true}, {portRequest{reserve.TCP, any4, 601}, false},
		{portRequest{reserve.TCP, any4, 22}, false}, {portRequest{reserve.TCP, any4, 0}, false}, {portRequest{1, any4, 80}, false},
		{portRequest{reserve.TCP, netip.IPv6Unspecified(), 80}, false}, {portRequest{reserve.TCP, netip.Addr{}, 80}, false},
	} {
		if err := p.checkPort(c.r); (err == nil) != c.want {
			t.Errorf("%+v: %v", c.r, err)
		}
	}
}

func TestParsePorts(t *testing.T) {
	for s, want := range map[string]PortRange{
		"80": {80, 80}, "8000-8100": {8000, 8100}, "1-65535": {1, 65535},
		"": {}, "0": {}, "-": {}, "80-": {}, "90-80": {}, "65536": {}, "http": {}, "1-2-3": {},
	} {
		if got, err := ParsePorts(s); got != want || (err == nil) != (want != PortRange{}) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestBadConfig(t *testing.T) {
	good := Config{Interfaces: []string{"eth0"}, Addresses: ranges(t, "10.0.0.1")}
	for name, change := range map[string]func(*Config){
		"no interface":          func(c *Config) { c.Interfaces = nil },
		"no address":            func(c *Config) { c.Addresses = nil },
		"ports and no sharing":  func(c *Config) { c.Ports = []PortRange{{80, 80}} },
		"no such user":          func(c *Config) { c.Users = []string{"no-such-user"} },
		"no such group":         func(c *Config) { c.Groups = []string{"no-such-group"} },
		"less memory than none": func(c *Config) { c.Memory = -1 },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

// TestGarbage sends what is no request: each gets an error or is cut off, and the broker goes on.
func TestGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	b, err := Listen(Config{Socket: path, Interfaces: []string{"xs-none"}, Addresses: ranges(t, "10.0.0.1")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	for _, sent := range []string{"", "x", "\xff\xff\xff\xff\xff\xff\xff\xff", "\x00\x00\x00\x02\x00\x00\x00\x00{}", "\x00\x00\x00\x02\x00\x00\x00\x00[]",
		"\x00\x00\x00\x09\x00\x00\x00\x00{\"x\":1}  ", "\x00\x00\x00\x04\x00\x00\x00\x00{}{}", "\x00\x00\x00\x02\x00\x00\x00\x01{}"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write([]byte(sent)) // it may have been cut off
		_ = c.(*net.UnixConn).CloseWrite()
		if answer, _ := io.ReadAll(c); len(answer) > 0 && !strings.Contains(string(answer), `"error"`) {
			t.Errorf("%q: %q", sent, answer)
		}
		c.Close()
	}
	client := &Client{Socket: path, Addresses: ranges(t, "10.0.0.1")}
	if _, err := client.Open("xs-none", afxdp.Options{}, bpf.Config{}); err == nil || !strings.Contains(err.Error(), "xs-none") {
		t.Errorf("a request after it: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// FuzzPortRequest checks that whatever is read is refused, or a port that may be had.
func FuzzPortRequest(f *testing.F) {
	f.Add([]byte(`{"protocol":6,"address":"0.0.0.0","port":80}`))
	f.Add([]byte(`{"protocol":17,"address":"::ffff:10.0.0.1","port":80}`))
	f.Add([]byte(`{"protocol":6,"address":"","port":-1}`))
	p := &policy{Config: Config{Ports: []PortRange{{80, 90}}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		var r portRequest
		if decode(body, &r) != nil || p.checkPort(r) != nil {
			return
		}
		if r.Port < 80 || r.Port > 90 || !r.Address.Is4() {
			t.Errorf("granted: %+v", r)
		}
	})
}

// FuzzRequest checks that whatever is read is refused or within the policy.
func FuzzRequest(f *testing.F) {
	good := Request{Version: version, Interface: "eth0", Addresses: ranges(f, "10.0.0.3"), Options: afxdp.Options{Frames: 2048, Queues: []int{0, 1}}}
	body, err := json.Marshal(&good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"version":2,"interface":"eth0","addresses":[{"First":"10.0.0.1","Last":""}]}`))
	f.Add([]byte(`{"version":2,"interface":"eth0","addresses":[{"First":"::1","Last":"10.0.0.1"}],"options":{"Frames":-1}}`))
	f.Add([]byte(`{"version":1e400}`))
	p := examplePolicy(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > requestLimits.Body {
			return
		}
		r, err := parse(body)
		if err != nil {
			return
		}
		r.queues = 1
		if p.check(r) != nil {
			return
		}
		if r.Interface != "eth0" || r.Steer.Mode != bpf.OwnAddress || len(r.Options.Queues) > 8 || r.Options.Frames > 256<<20/4096 {
			t.Errorf("granted: %+v", r)
		}
		for _, a := range r.Addresses {
			if !p.addresses.Has(a.First.Unmap().As4()) {
				t.Errorf("granted address %v", a)
			}
		}
	})
}
