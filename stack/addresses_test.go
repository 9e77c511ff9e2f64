package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
)

func ranges(t testing.TB, list ...string) (r []AddrRange) {
	t.Helper()
	for _, s := range list {
		one, err := ParseAddrRange(s)
		if err != nil {
			t.Fatal(err)
		}
		r = append(r, one)
	}
	return r
}

// newManyPair is newPair, of which b has further addresses: those of a prefix of its own, and a range of the network's.
func newManyPair(t testing.TB, cfg Config, addresses ...string) (a, b *Stack) {
	t.Helper()
	da, db, err := sim.Pipe(sim.Config{Frames: 8192})
	if err != nil {
		t.Fatal(err)
	}
	start := func(p netip.Prefix, d Device, cfg Config) *Stack {
		cfg.Address = p
		s, err := New(cfg, d)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { closeChecked(t, s) })
		return s
	}
	a = start(prefixA, da, Config{})
	cfg.Addresses = ranges(t, addresses...)
	return a, start(prefixB, db, cfg)
}

func TestAddressesAreChecked(t *testing.T) {
	for _, test := range []struct {
		addresses []string
		gateway   string
		want      string // an error has; else how many further addresses there are
		n         int
	}{
		{[]string{"10.1.0.0/24"}, "", "", 253}, // without the network's two, and Address
		{[]string{"10.1.0.0/24"}, "10.1.0.254", "Gateway 10.1.0.254 is among them", 0},
		{[]string{"10.2.0.0/16"}, "10.1.0.254", "", 65536},
		{[]string{"10.0.0.0/8"}, "", "", 1<<24 - 3},
		{[]string{"10.0.0.0/8", "11.0.0.1"}, "", "16777217 addresses", 0},
		{[]string{"126.255.255.255-127.0.0.1"}, "", "no host can have", 0},
		{[]string{"127.0.0.1"}, "", "no host can have", 0},
		{[]string{"224.0.0.0/24"}, "", "no host can have", 0},
		{[]string{"0.0.0.0/24"}, "", "no host can have", 0},
	} {
		cfg := Config{Address: prefixB, Addresses: ranges(t, test.addresses...)}
		if test.gateway != "" {
			cfg.Gateway = netip.MustParseAddr(test.gateway)
		}
		full, err := cfg.withDefaults()
		if test.want != "" {
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v: %v, want %s", test.addresses, err, test.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", test.addresses, err)
			continue
		}
		if set, _ := full.others(); set.Len() != test.n {
			t.Errorf("%v: %d addresses, want %d", test.addresses, set.Len(), test.n)
		}
	}
	cfg := Config{Address: prefixB, Addresses: []AddrRange{{First: netip.MustParseAddr("2001:db8::1")}}}
	if _, err := cfg.withDefaults(); !errors.Is(err, ErrConfig) {
		t.Errorf("an IPv6 address: %v", err)
	}
	cfg.Addresses = make([]AddrRange, 257)
	if _, err := cfg.withDefaults(); !errors.Is(err, ErrConfig) {
		t.Errorf("257 ranges: %v", err)
	}
}

// TestListenOnManyAddresses listens on all addresses, and on one of them, and connects to some, and to one that is nobody's.
func TestListenOnManyAddresses(t *testing.T) {
	a, b := newManyPair(t, Config{}, "10.1.0.64/26")
	all, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	one, err := b.Listen("tcp", "10.1.0.77:81")
	if err != nil {
		t.Fatal(err)
	}
	if all.Addr().String() != "10.1.0.2:80" || one.Addr().String() != "10.1.0.77:81" {
		t.Errorf("listening on %v and %v", all.Addr(), one.Addr())
	}
	tell := func(c net.Conn) { io.WriteString(c, c.LocalAddr().String()) }
	go serveEach(all, tell)
	go serveEach(one, tell)
	for target, ok := range map[string]bool{
		"10.1.0.2:80": true, "10.1.0.64:80": true, "10.1.0.127:80": true, "10.1.0.77:81": true,
		"10.1.0.78:81": false, "10.1.0.2:81": false,
	} {
		c, err := a.Dial("tcp", target)
		if !ok {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: %v, want a refusal", target, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if got, err := io.ReadAll(c); err != nil || string(got) != target {
			t.Errorf("%s: the server says it is %s, %v", target, got, err)
		}
		c.Close()
	}
	// As with the kernel, neither can be listened on beside the other.
	for address, want := range map[string]error{
		"10.1.0.2:80": ErrPortInUse, "10.1.0.64:80": ErrPortInUse, ":81": ErrPortInUse, "10.1.0.77:81": ErrPortInUse,
		"10.1.0.64:81": nil, "10.1.0.2:81": nil, "10.1.0.128:81": ErrNotOwned,
	} {
		ln, err := b.Listen("tcp", address)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", address, err, want)
		}
		if err == nil {
			ln.Close()
		}
	}
	if err := errors.Join(one.Close(), all.Close()); err != nil {
		t.Error(err)
	}
	if ln, err := b.Listen("tcp", ":81"); err != nil {
		t.Error(err)
	} else {
		ln.Close()
	}
}

// TestDialFromChosenAddress connects from one address and port, and from each in turn.
func TestDialFromChosenAddress(t *testing.T) {
	a, b := newManyPair(t, Config{}, "10.1.0.64/30")
	ln, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	go serveEach(ln, func(c net.Conn) {
		io.WriteString(c, c.RemoteAddr().String())
	})
	from := func(d Dialer) (string, error) {
		d.Stack = b
		c, err := d.Dial("tcp", ln.Addr().String())
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		text, err := io.ReadAll(c)
		if string(text) != c.LocalAddr().String() {
			t.Errorf("the server sees %s, the connection is from %v", text, c.LocalAddr())
		}
		return string(text), err
	}
	for _, local := range []string{"10.1.0.65:1234", "10.1.0.66:0", "10.1.0.2:40000", "0.0.0.0:4321"} {
		got, err := from(Dialer{LocalAddr: netip.MustParseAddrPort(local)})
		want := strings.TrimSuffix(strings.Replace(local, "0.0.0.0", "10.1.0.2", 1), ":0")
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("from %s: %s, %v", local, got, err)
		}
	}
	if got, err := from(Dialer{}); err != nil || !strings.HasPrefix(got, "10.1.0.2:") {
		t.Errorf("without an address: %s, %v", got, err)
	}
	seen := map[string]int{}
	for range 8 {
		got, err := from(Dialer{Spread: true})
		if err != nil {
			t.Fatal(err)
		}
		seen[got[:strings.IndexByte(got, ':')]]++
	}
	for _, want := range []string{"10.1.0.64", "10.1.0.65", "10.1.0.66", "10.1.0.67"} {
		if seen[want] != 2 {
			t.Errorf("%d connections from %s: %v", seen[want], want, seen)
		}
	}
	twice := Dialer{Stack: b, LocalAddr: netip.MustParseAddrPort("10.1.0.65:7777")}
	first, err := twice.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for name, test := range map[string]struct {
		d    Dialer
		want error
	}{
		"nobody's address": {Dialer{LocalAddr: netip.MustParseAddrPort("10.1.0.99:0")}, ErrNotOwned},
		"a port twice":     {Dialer{LocalAddr: netip.MustParseAddrPort("10.1.0.65:7777")}, syscall.EADDRINUSE},
		"both":             {Dialer{LocalAddr: netip.MustParseAddrPort("10.1.0.65:0"), Spread: true}, ErrConfig},
	} {
		if _, err := from(test.d); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := b.Dial("tcp", "10.1.0.65:80"); !errors.Is(err, ErrOwned) {
		t.Errorf("to an own address: %v", err)
	}
}

// nameSender answers a datagram with the address that it was sent to.
type nameSender struct{}

func (nameSender) ReceivedPacket(s *PacketSocket, from netip.AddrPort, p []byte) {
	_ = s.WriteTo([]byte(s.LocalAddr().String()), from)
}

// TestDatagramsOfManyAddresses sends datagrams to some: the answers come from there.
func TestDatagramsOfManyAddresses(t *testing.T) {
	a, b := newManyPair(t, Config{}, "10.1.0.64/26")
	if err := errors.Join(b.HandlePacket(":7", nameSender{}), b.HandlePacket("10.1.0.77:8", nameSender{})); err != nil {
		t.Fatal(err)
	}
	ask := func(d Dialer, target string) (string, error) {
		c, err := d.Dial("udp", target)
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		p := make([]byte, 100)
		if _, err := c.Write([]byte("who?")); err != nil {
			return "", err
		}
		n, err := c.Read(p)
		return string(p[:n]), err
	}
	for _, target := range []string{"10.1.0.2:7", "10.1.0.64:7", "10.1.0.127:7", "10.1.0.77:8"} {
		if got, err := ask(Dialer{Stack: a}, target); err != nil || got != target {
			t.Errorf("to %s: answer %q, %v", target, got, err)
		}
	}
	if _, err := ask(Dialer{Stack: a}, "10.1.0.78:8"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("to the port of another address: %v", err)
	}
	if err := a.HandlePacket(":9", nameSender{}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dialer{{Stack: b}, {Stack: b, Spread: true}, {Stack: b, LocalAddr: netip.MustParseAddrPort("10.1.0.80:5000")}} {
		if got, err := ask(d, "10.1.0.1:9"); err != nil || got != "10.1.0.1:9" {
			t.Errorf("%+v: %q, %v", d, got, err)
		}
	}
	// One port of two addresses is two sockets.
	p1, err1 := b.ListenPacket("udp", "10.1.0.90:53")
	p2, err2 := b.ListenPacket("udp", "10.1.0.91:53")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ListenPacket("udp", ":53"); !errors.Is(err, ErrPortInUse) {
		t.Errorf("the port of all: %v", err)
	}
	if err := errors.Join(p1.Close(), p2.Close()); err != nil {
		t.Error(err)
	}
}

// counter counts connections that were opened, and those that failed.
type counter struct {
	silent
	open   func() bool // opens the next connection
	opened int
	failed error
	locals map[netip.AddrPort]bool
}

// silent does nothing.
type silent struct{}

func (silent) Opened(*Conn)           {}
func (silent) Received(*Conn, []byte) {}
func (silent) Writable(*Conn)         {}
func (silent) PeerClosed(c *Conn)     { c.Close() }
func (silent) Closed(*Conn, error)    {}

func (h *counter) Opened(c *Conn) {
	h.opened++
	h.locals[c.LocalAddr()] = true
	h.open()
}

func (h *counter) Closed(_ *Conn, err error) {
	if h.failed == nil && err != nil {
		h.failed = err
	}
}

// TestMoreConnectionsThanPorts opens 70,000 connections to one port, from three addresses in turn: more than two of them have ports for.
// After that there are ports for 28,304 more.
func TestMoreConnectionsThanPorts(t *testing.T) {
	a, b := newManyPair(t, Config{}, "10.1.0.64-10.1.0.66")
	if _, err := a.Handle(":80", silent{}); err != nil {
		t.Fatal(err)
	}
	const want, most = 70_000, 3 * numEphemeral
	h := &counter{locals: make(map[netip.AddrPort]bool)}
	d := &Dialer{Stack: b, Spread: true}
	limit, started := want, 0
	target := netip.AddrPortFrom(prefixA.Addr(), 80)
	var refused error
	h.open = func() bool {
		if started == limit {
			return false
		}
		if _, refused = d.OpenOn(b.shards[0], target, h); refused != nil {
			return false
		}
		started++
		return true
	}
	fill := func(n int) {
		limit = n
		b.shards[0].call(func(*Shard) {
			for range 256 {
				h.open()
			}
		})
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			opened, failed := 0, error(nil)
			b.shards[0].call(func(*Shard) { opened, failed = h.opened, h.failed })
			if failed != nil || opened == min(n, most) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d connections are open: %v", opened, n, refused)
			}
		}
	}
	fill(want)
	if h.failed != nil || refused != nil || len(h.locals) != want {
		t.Fatalf("%d different ends of %d connections: %v, %v", len(h.locals), h.opened, h.failed, refused)
	}
	each := map[netip.Addr]int{}
	for l := range h.locals {
		each[l.Addr()]++
	}
	for a, n := range each {
		if n < want/3-1000 || n > want/3+1000 {
			t.Errorf("%d connections from %v", n, a)
		}
	}
	if testing.Short() {
		return
	}
	fill(most + 1)
	if h.failed != nil || !errors.Is(refused, ErrNoPort) || len(h.locals) != most {
		t.Errorf("%d different ends, then %v; %v", len(h.locals), refused, h.failed)
	}
}

// TestAddressesCostNothing proves that what the stack does to an address for each packet allocates nothing, with many addresses as
// with one.
func TestAddressesCostNothing(t *testing.T) {
	_, b := newManyPair(t, Config{}, "10.2.0.0/16", "10.4.0.0/16")
	found := 0
	if n := testing.AllocsPerRun(1000, func() {
		if b.owns([4]byte{10, 4, 7, 8}) && !b.owns([4]byte{10, 3, 7, 8}) {
			found++
		}
	}); n != 0 || found == 0 {
		t.Errorf("%v allocations, %d found", n, found)
	}
}
