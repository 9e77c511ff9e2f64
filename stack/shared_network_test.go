package stack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/ipv4"
)

// far is an address behind the kernel's side, which is a router to it.
const far = "198.51.100.1"

// farAway gives the kernel's side that address.
func farAway(t *testing.T, l *netlab.Lab) {
	t.Helper()
	runOn(t, l.Kernel, "ip", "addr", "add", far+"/32", "dev", "lo")
}

// TestSharedRoutesChange has a connection to an address behind a gateway, which becomes another, has another hardware address,
// and goes away, while it is in use.
func TestSharedRoutesChange(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	farAway(t, l)
	echoOn(t, l.Kernel, far+":7")
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Dial("tcp", far+":7"); !errors.Is(err, ErrNoKernelRoute) || !errors.Is(err, syscall.ENETUNREACH) {
		t.Fatalf("without a route: %v, %v", c, err)
	}
	runOn(t, l.Stack, "ip", "route", "add", "default", "via", "10.77.0.1")
	eventually(t, "the default route", func() bool { return s.addressingHas(far) })
	c, err := s.Dial("tcp", far+":7")
	dialed := newChat(t, c, err)
	c, err = l.Kernel.Dial("tcp", addr(l.Stack.Address, 7)) // on the link
	onLink := newChat(t, c, err)
	check := func(what string) {
		t.Helper()
		dialed.goesOn(t, what+", through the gateway")
		onLink.goesOn(t, what+", on the link")
	}
	check("a default gateway")
	// Another router: the same host by another name, which answers ARP for both.
	runOn(t, l.Kernel, "ip", "addr", "add", "10.77.0.9/24", "dev", l.Kernel.Interface)
	runOn(t, l.Stack, "ip", "route", "replace", "default", "via", "10.77.0.9")
	check("another gateway")
	eventually(t, "it is in use", func() bool {
		return strings.Contains(runOn(t, l.Stack, "ip", "neigh", "show", "10.77.0.9"), l.Stack.Interface+" lladdr")
	})
	// A gateway that is not there: the connection waits for a better one.
	runOn(t, l.Stack, "ip", "route", "replace", "default", "via", "10.77.0.77")
	eventually(t, "the kernel asks for it", func() bool {
		return strings.Contains(runOn(t, l.Stack, "ip", "neigh", "show", "10.77.0.77"), "10.77.0.77")
	})
	onLink.goesOn(t, "while the gateway is not there")
	runOn(t, l.Stack, "ip", "route", "add", far+"/32", "via", "10.77.0.1")
	check("a longer prefix")
	runOn(t, l.Stack, "ip", "route", "del", far+"/32")
	runOn(t, l.Stack, "ip", "route", "del", "default")
	before := dialed.count.Load()
	eventually(t, "no route", func() bool { return !s.addressingHas(far) })
	time.Sleep(20 * time.Millisecond)
	if n := dialed.count.Load(); n > before+50 {
		t.Logf("%d lines after the route was taken away", n-before)
	}
	runOn(t, l.Stack, "ip", "route", "add", "default", "nexthop", "via", "10.77.0.1", "nexthop", "via", "10.77.0.9")
	check("two gateways")
	dialed.end(t, "dialed")
	onLink.end(t, "on the link")
}

// addressingHas reports whether there is a way to an address.
func (s *Stack) addressingHas(dst string) bool { return s.hop("0.0.0.0", dst) != "" }

// hop returns where packets go first, "" if there is no way, and "?" while shards are not of one mind.
func (s *Stack) hop(from, to string) (all string) {
	for i, sh := range s.shards {
		one := ""
		sh.call(func(sh *Shard) {
			if h, ok := sh.route(ipv4.Addr(net.ParseIP(from).To4()), ipv4.Addr(net.ParseIP(to).To4())); ok {
				one = h.Netip().String()
			}
		})
		if i > 0 && one != all {
			return "?"
		}
		all = one
	}
	return all
}

// TestSharedPolicyRouting has rules and other tables say where connections go: by where they come from, and by where they go to.
func TestSharedPolicyRouting(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	farAway(t, l)
	echoOn(t, l.Kernel, far+":7")
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	// The router has another address, which is a gateway of another table. Nobody has the main table's gateway.
	runOn(t, l.Kernel, "ip", "addr", "add", "10.77.0.9/24", "dev", l.Kernel.Interface)
	runOn(t, l.Stack, "sh", "-ec", `ip addr add 10.77.0.3/24 dev `+l.Stack.Interface+`
		ip route add default via 10.77.0.77; ip route add default via 10.77.0.9 table 100
		ip rule add priority 100 from 10.77.0.3 table 100`)
	hopFrom := s.hop
	eventually(t, "the rule", func() bool {
		return hopFrom("10.77.0.3", far) == "10.77.0.9" && hopFrom("10.77.0.2", far) == "10.77.0.77"
	})
	d := Dialer{Stack: s, LocalAddr: netip.MustParseAddrPort("10.77.0.3:0")}
	c, err := d.Dial("tcp", far+":7")
	dialed := newChat(t, c, err)
	dialed.goesOn(t, "dialed from an address with a table of its own")
	// Who comes from far to that address is answered over that table, from the first packet on.
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(far)}, Timeout: 10 * time.Second}
	err = l.Kernel.Do(func() (err error) { c, err = from.Dial("tcp", "10.77.0.3:7"); return err })
	accepted := newChat(t, c, err)
	accepted.goesOn(t, "accepted on an address with a table of its own")

	// A rule about destinations, to a table that says there is no way; and one that refuses.
	for _, refuse := range []string{"table 101", "blackhole", "unreachable", "prohibit"} {
		runOn(t, l.Stack, "sh", "-ec", "ip route replace unreachable 198.51.100.0/24 table 101; ip rule add priority 50 to 198.51.100.0/25 "+refuse)
		eventually(t, refuse, func() bool { return hopFrom("10.77.0.3", far) == "" })
		if c, err := d.Dial("tcp", far+":7"); !errors.Is(err, ErrNoKernelRoute) || !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("%s: %v, %v", refuse, c, err)
		}
		runOn(t, l.Stack, "ip", "rule", "del", "priority", "50")
		eventually(t, "the way again", func() bool { return hopFrom("10.77.0.3", far) == "10.77.0.9" })
	}
	dialed.goesOn(t, "after rules that refused")
	accepted.goesOn(t, "after rules that refused")
	dialed.end(t, "dialed")
	accepted.end(t, "accepted")
	if all := s.IgnoredRules(); len(all) != 0 {
		t.Errorf("%v", all)
	}
	runOn(t, l.Stack, "ip", "rule", "add", "priority", "60", "ipproto", "udp", "dport", "53", "table", "100")
	eventually(t, "a rule that is ignored", func() bool {
		all := s.IgnoredRules()
		return len(all) == 1 && all[0] == "60: dport, ipproto"
	})
}

// TestSharedNeighbourChanges changes the peer's hardware address while connections are in use, and takes its entry from the
// kernel.
func TestSharedNeighbourChanges(t *testing.T) {
	s, l := openShared(t, netlab.Config{Queues: 2}, Config{})
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(l.Stack.Address, 7))
	h := newChat(t, c, err)
	h.goesOn(t, "before")
	for i, mac := range []string{"02:00:00:00:00:21", "02:00:00:00:00:22", "02:00:00:00:00:23"} {
		runOn(t, l.Kernel, "ip", "link", "set", l.Kernel.Interface, "address", mac)
		if i == 1 { // nobody says so: the entry is taken away, and asked for again
			runOn(t, l.Stack, "ip", "neigh", "del", "10.77.0.1", "dev", l.Stack.Interface)
		} else { // as a gratuitous ARP would, with arp_accept
			runOn(t, l.Stack, "ip", "neigh", "replace", "10.77.0.1", "lladdr", mac, "dev", l.Stack.Interface, "nud", "reachable")
		}
		h.goesOn(t, "with "+mac)
	}
	h.end(t, "at the end")
}

// TestSharedMTUChanges has segments become smaller when the interface's MTU or the route's does.
func TestSharedMTUChanges(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	ln := echoOn(t, l.Kernel, addr(l.Kernel.Address, 7))
	c, err := s.Dial("tcp", ln.Addr().String())
	h := newChat(t, c, err)
	h.goesOn(t, "before")
	mss := func() uint16 {
		i, _ := c.(*TCPConn).Info()
		return i.SendMSS
	}
	if n := mss(); n != 1448 {
		t.Errorf("MSS %d", n)
	}
	runOn(t, l.Stack, "ip", "route", "replace", "10.77.0.0/24", "dev", l.Stack.Interface, "src", "10.77.0.2", "mtu", "1400")
	eventually(t, "the route's MTU", func() bool { return mss() == 1348 })
	if err := l.Stack.SetMTU(1200); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the interface's MTU", func() bool { return mss() == 1148 })
	h.goesOn(t, "after")
	h.end(t, "after")
	// What is dialed now announces it.
	c, err = s.Dial("tcp", ln.Addr().String())
	h = newChat(t, c, err)
	h.goesOn(t, "later")
	if out := runOn(t, l.Kernel, "ss", "-tino", "state", "established", "sport", "= 7"); !strings.Contains(out, "mss:1148") {
		t.Errorf("the peer has not heard of it:\n%s", out)
	}
	h.end(t, "later")
}

// TestSharedDatagramsFitTheRoute sends datagrams that fit the link, but not the route, or not the link any more.
func TestSharedDatagramsFitTheRoute(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	k, err := l.Kernel.ListenPacket("udp", addr(l.Kernel.Address, 53))
	sendsBack(t, k, err)
	u, err := s.ListenPacket("udp", ":53")
	sendsBack(t, u, err)
	fragmented := func() string { return runOn(t, l.Kernel, "sh", "-c", "awk '/^Ip: [0-9]/ {print $16}' /proc/net/snmp") } // ReasmOKs
	ask := func(what string, fragments bool) {
		t.Helper()
		before := fragmented()
		c, err := s.Dial("udp", addr(l.Kernel.Address, 53))
		asks(t, 1300, c, err)
		if got := fragmented() != before; got != fragments {
			t.Errorf("%s: what is dialed comes in fragments: %v, want %v", what, got, fragments)
		}
		before = fragmented()
		c, err = l.Kernel.Dial("udp", addr(l.Stack.Address, 53))
		asks(t, 1300, c, err)
		if got := fragmented() != before; got != fragments {
			t.Errorf("%s: answers come in fragments: %v, want %v", what, got, fragments)
		}
	}
	hasMTU := func(want int) func() bool {
		return func() (has bool) {
			s.shards[0].call(func(sh *Shard) {
				p, ok := sh.paths.Path(l.Kernel.Address.Addr().As4())
				has = ok && p.MTU == want
			})
			return has
		}
	}
	ask("with 1500", false)
	runOn(t, l.Stack, "ip", "route", "replace", "10.77.0.0/24", "dev", l.Stack.Interface, "src", "10.77.0.2", "mtu", "1200")
	eventually(t, "the route's MTU", hasMTU(1200))
	ask("a route with 1200", true)
	runOn(t, l.Stack, "ip", "route", "replace", "10.77.0.0/24", "dev", l.Stack.Interface, "src", "10.77.0.2")
	eventually(t, "the link's MTU", hasMTU(1500))
	ask("with 1500 again", false)
	if err := errors.Join(l.Kernel.SetMTU(1000), l.Stack.SetMTU(1000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a smaller MTU", hasMTU(1000))
	ask("a link with 1000", true)
}

// TestSharedRedirect has the router say that there is a better one: the stack goes on with the kernel's routes.
func TestSharedRedirect(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	farAway(t, l)
	echoOn(t, l.Kernel, far+":7")
	runOn(t, l.Stack, "ip", "route", "add", "default", "via", "10.77.0.1")
	eventually(t, "the default route", func() bool { return s.addressingHas(far) })
	raw, packets := rawSocket(t, l.Kernel)
	c, err := s.Dial("tcp", far+":7")
	h := newChat(t, c, err)
	h.goesOn(t, "before")
	before, err := s.Interface().Program().Counters()
	if err != nil {
		t.Fatal(err)
	}
	better := binary.BigEndian.Uint32([]byte{10, 77, 0, 77}) // nobody is there
	message := routerError(ipv4.ICMP{Type: ipv4.ICMPRedirect, Code: 1, Rest: better}, packets("\x06")[:28])
	if err := unix.Sendto(raw, message, 0, &unix.SockaddrInet4{Addr: l.Stack.Address.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel gets it", func() bool {
		n, err := s.Interface().Program().Counters()
		return err == nil && n.Passed.ICMP > before.Passed.ICMP
	})
	h.goesOn(t, "after it")
	h.end(t, "after it")
}

// routerError builds an ICMP error of a router about the beginning of a packet.
func routerError(code ipv4.ICMP, quoted []byte) []byte {
	b := make([]byte, 8+len(quoted))
	b[0], b[1] = byte(code.Type), code.Code
	binary.BigEndian.PutUint32(b[4:], code.Rest)
	copy(b[8:], quoted)
	binary.BigEndian.PutUint16(b[2:], checksum.Finish(checksum.Sum(b, 0)))
	return b
}

// TestSharedPathMTU has a router between the two sides whose next link takes less: path MTU discovery works, by ICMP errors that
// come to the kernel's address. The kernel beside does the same.
func TestSharedPathMTU(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	farAway(t, l)
	runOn(t, l.Stack, "ip", "route", "add", "default", "via", "10.77.0.1")
	eventually(t, "the default route", func() bool { return s.addressingHas(far) })
	// The router is the kernel's side, and behind it a namespace of its own with a smaller link.
	ns := l.Kernel.Namespace + "-far"
	runOn(t, l.Kernel, "ip", "addr", "del", far+"/32", "dev", "lo")
	runOn(t, l.Kernel, "sh", "-c", fmt.Sprintf(`ip netns add %[1]s && ip link add xs-near mtu 1300 type veth peer name xs-far netns %[1]s mtu 1300 &&
		ip addr add 198.51.100.254/24 dev xs-near && ip link set xs-near up && echo 1 > /proc/sys/net/ipv4/ip_forward &&
		ip -n %[1]s addr add %[2]s/24 dev xs-far && ip -n %[1]s link set xs-far up && ip -n %[1]s route add default via 198.51.100.254 mtu 1300 advmss 1460`, ns, far))
	t.Cleanup(func() { _ = l.Kernel.Command(context.Background(), "ip", "netns", "del", ns).Run() })
	server := l.Kernel.Command(t.Context(), "ip", "netns", "exec", ns, "socat", "TCP-LISTEN:7,fork,reuseaddr", "EXEC:cat")
	if err := server.Start(); err != nil {
		t.Skipf("no server: %v; install socat", err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for what, dial := range map[string]func(network, address string) (net.Conn, error){"stack": s.Dial, "kernel": l.Stack.Dial} {
		var c net.Conn
		eventually(t, "the server", func() bool {
			var err error
			c, err = dial("tcp", far+":7")
			return err == nil
		})
		c.SetDeadline(time.Now().Add(20 * time.Second))
		const size = 200_000
		go func() { _, _ = c.Write(make([]byte, size)) }()
		if n, err := io.CopyN(io.Discard, c, size); err != nil {
			t.Errorf("%s: %d bytes came back: %v", what, n, err)
		}
		if tc, ok := c.(*TCPConn); ok {
			if i, _ := tc.Info(); i.SendMSS != 1248 {
				t.Errorf("%s: MSS %d, want 1248", what, i.SendMSS)
			}
		}
		c.Close()
	}
	n, err := s.Interface().Program().Counters()
	if err != nil || n.Redirected.ICMP == 0 || n.Passed.ICMP == 0 {
		t.Errorf("ICMP to the stack %d, to the kernel %d, %v", n.Redirected.ICMP, n.Passed.ICMP, err)
	}
}

// TestSharedUnreachable has ICMP errors come about connections and datagrams of the stack's.
func TestSharedUnreachable(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	runOn(t, l.Stack, "ip", "route", "add", "198.18.0.0/15", "via", "10.77.0.1")
	eventually(t, "the route", func() bool { return s.addressingHas("198.18.0.1") })
	c, err := s.Dial("udp", addr(l.Kernel.Address, 99)) // nobody is there
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.Write([]byte("hello"))
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed UDP port: %v", err)
	}
	// A router's error ends the opening of a connection, as with own addresses.
	raw, packets := rawSocket(t, l.Kernel)
	ended := make(chan error, 1)
	go func() { _, err := s.Dial("tcp", "198.18.0.1:7"); ended <- err }()
	quoted := packets("\x06") // the SYN
	message := routerError(ipv4.PortUnreachable(), quoted[:28])
	if err := unix.Sendto(raw, message, 0, &unix.SockaddrInet4{Addr: l.Stack.Address.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a connection to nowhere: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a connection to nowhere does not end")
	}
}

// rawSocket returns a socket of a side that sends ICMP, and a function that returns the next IP packet of a protocol that came.
func rawSocket(t *testing.T, side *netlab.Side) (icmp int, next func(protocol string) []byte) {
	t.Helper()
	var tap int
	err := side.Do(func() (err error) {
		if icmp, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP); err != nil {
			return err
		}
		tap, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.ETH_P_ALL<<8)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(tap), "tap")
	t.Cleanup(func() { unix.Close(icmp); file.Close() })
	timeout := unix.Timeval{Sec: 5}
	_ = unix.SetsockoptTimeval(tap, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	return icmp, func(protocol string) []byte {
		b := make([]byte, 2048)
		for {
			n, err := unix.Read(tap, b)
			if err != nil {
				t.Fatalf("no packet of protocol %q: %v", protocol, err)
			}
			if n >= 40 && b[0]>>4 == 4 && string(b[9:10]) == protocol {
				return b[:n]
			}
		}
	}
}
