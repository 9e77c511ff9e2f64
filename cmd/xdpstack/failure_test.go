package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// without runs a program as root without some capabilities.
func without(capabilities ...string) []string {
	return []string{"setpriv", "--bounding-set=-" + strings.Join(capabilities, ",-")}
}

// limited runs what follows under a limit of the shell's, "-l 64" for example.
func limited(limit string, words ...string) []string {
	return append([]string{"sh", "-c", `ulimit ` + limit + ` && exec "$0" "$@"`}, words...)
}

// inStackNamespace runs f inside and fails the test on an error.
func inStackNamespace(t *testing.T, lab *netlab.Lab, f func() error) {
	t.Helper()
	if err := lab.Stack.Do(f); err != nil {
		t.Fatal(err)
	}
}

// addLink adds an interface to the stack's namespace, up, until the test ends.
func addLink(t *testing.T, lab *netlab.Lab, link netlink.Link) {
	t.Helper()
	inStackNamespace(t, lab, func() error {
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		return netlink.LinkSetUp(link)
	})
	t.Cleanup(func() { _ = lab.Stack.Do(func() error { return netlink.LinkDel(link) }) }) // the lab removes it, if this does not
}

// vethWithQueues is a pair whose ends, both in the stack's namespace, have these numbers of queues.
func vethWithQueues(name string, rx, tx, peerRx, peerTx int) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = name, rx, tx
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNumRxQueues, veth.PeerNumTxQueues = name+"-peer", uint32(peerRx), uint32(peerTx)
	return veth
}

// kernelTakes gives an address to the kernel, on an interface of the stack's namespace, until the test ends.
func kernelTakes(t *testing.T, lab *netlab.Lab, iface, address string) {
	t.Helper()
	ip, n, err := net.ParseCIDR(address)
	if err != nil {
		t.Fatal(err)
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: n.Mask}}
	change := func(f func(netlink.Link, *netlink.Addr) error) error {
		link, err := netlink.LinkByName(iface)
		if err != nil {
			return err
		}
		return f(link, a)
	}
	inStackNamespace(t, lab, func() error { return change(netlink.AddrAdd) })
	t.Cleanup(func() {
		if err := lab.Stack.Do(func() error { return change(netlink.AddrDel) }); err != nil {
			t.Error(err)
		}
	})
}

// What keeps the command from starting: the exit code is 1, one line of error names the thing and the cure, and nothing stays behind.
func TestServeFailures(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "fail"})
	own := lab.Stack.Interface
	const privileges = "CAP_BPF"
	for _, tt := range []struct {
		name   string
		setup  func(t *testing.T)
		prefix []string
		iface  string // default the lab's
		addr   string // default the lab's
		flags  string // in addition
		says   []string
	}{
		{name: "no such interface", iface: "xs-none", says: []string{"xs-none", "no such interface", "ip link"}},
		{name: "interface is down", setup: func(t *testing.T) {
			if err := lab.Stack.SetDown(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = lab.Stack.SetUp() })
		}, says: []string{own, "is down", "ip link set " + own + " up"}},
		{name: "no Ethernet", iface: "lo", addr: "10.99.0.1/24", says: []string{"lo", "no Ethernet address", "use an interface with one"}},
		{name: "no native XDP", iface: "xs-bridge", flags: "--attach native", setup: func(t *testing.T) {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "xs-bridge"
			addLink(t, lab, &netlink.Bridge{LinkAttrs: attrs})
		}, says: []string{"xs-bridge", "native", "use generic mode"}},
		{name: "no zero-copy", flags: "--mode zero-copy", says: []string{own + " queue 0", "no zero-copy", "use mode copy"}},
		{name: "no zero-copy, asavie", flags: "--mode zero-copy --driver asavie", says: []string{own + " queue 0", "no zero-copy", "use mode copy"}},
		{name: "fewer transmit queues", iface: "xs-few", setup: func(t *testing.T) {
			addLink(t, lab, vethWithQueues("xs-few", 2, 1, 1, 1))
		}, says: []string{"xs-few", "2 receive queues, but 1 to transmit", "ethtool -L xs-few"}},
		{name: "fewer receive queues than the peer sends on", iface: "xs-few", flags: "--attach native", setup: func(t *testing.T) {
			addLink(t, lab, vethWithQueues("xs-few", 1, 1, 2, 2))
		}, says: []string{"xs-few", "too few receive queues", "ethtool -L xs-few", "use generic mode"}},

		{name: "address of another host", addr: lab.Kernel.Address.String(), says: []string{lab.Kernel.Address.Addr().String(), "another host", own, "choose"}},
		{name: "address of the kernel", addr: "10.77.0.5/24", setup: func(t *testing.T) { kernelTakes(t, lab, own, "10.77.0.5/24") },
			says: []string{"10.77.0.5", own, "ip addr del 10.77.0.5/24 dev " + own}},
		{name: "address of the kernel elsewhere", addr: "10.77.0.6/24", setup: func(t *testing.T) { kernelTakes(t, lab, "lo", "10.77.0.6/32") },
			says: []string{"10.77.0.6", "ip addr del 10.77.0.6/32 dev lo"}},

		{name: "no privileges", prefix: without("all"), says: []string{own, "missing privilege", "run as root", privileges}},
		{name: "another user", prefix: []string{"setpriv", "--reuid=65534", "--clear-groups"}, says: []string{"missing privilege", "run as root", privileges}},
		{name: "no CAP_NET_RAW", prefix: without("net_raw"), says: []string{own + " queue 0", "missing privilege", "CAP_NET_RAW"}},
		{name: "no CAP_NET_RAW, asavie", prefix: without("net_raw"), flags: "--driver asavie", says: []string{own + " queue 0", "missing privilege", "CAP_NET_RAW"}},
		{name: "no CAP_NET_ADMIN", prefix: without("net_admin", "sys_admin"), says: []string{own, "missing privilege", "CAP_NET_ADMIN"}},
		{name: "no CAP_BPF", prefix: without("bpf", "sys_admin"), says: []string{own, "missing privilege", privileges}},

		{name: "little locked memory", prefix: limited("-l 64", without("ipc_lock", "sys_resource")...),
			says: []string{own + " queue 0", "not enough memory", "ulimit -l unlimited", "CAP_IPC_LOCK"}},
		{name: "little locked memory, asavie", prefix: limited("-l 64", without("ipc_lock", "sys_resource")...), flags: "--driver asavie",
			says: []string{own + " queue 0", "not enough memory", "ulimit -l unlimited", "CAP_IPC_LOCK"}},
		{name: "more frames than memory", prefix: limited("-d 2000000"), flags: "--frames 16777216",
			says: []string{own + " queue 0", "not enough memory", "32768 MiB", "use fewer frames"}},
		{name: "more frames than memory, asavie", prefix: limited("-d 2000000"), flags: "--frames 16777216 --driver asavie",
			says: []string{own + " queue 0", "not enough memory", "32768 MiB", "use fewer frames"}},

		{name: "nothing to serve", flags: "http --root /nonexistent", says: []string{"/nonexistent"}},
		{name: "no place for the control socket", flags: "--socket /nonexistent/s", says: []string{"/nonexistent/s", "no such file or directory"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.setup != nil {
				tt.setup(t)
			}
			iface, addr := tt.iface, tt.addr
			if iface == "" {
				iface = own
			}
			if addr == "" {
				addr = lab.Stack.Address.String()
			}
			socket := filepath.Join(t.TempDir(), "s")
			args := append([]string{"serve", "echo", "-i", iface, "-a", addr, "--socket", socket}, strings.Fields(tt.flags)...)
			failsToServe(t, lab, iface, socket, tt.says, launch(t, lab, tt.prefix, args...))
		})
	}
}

// failsToServe checks how a process ends that cannot serve, and what it leaves.
func failsToServe(t *testing.T, lab *netlab.Lab, iface, socket string, says []string, p *process) {
	t.Helper()
	if code := p.exitCode(t); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	said := strings.TrimSuffix(p.err.String(), "\n")
	if len(said) > 2000 { // a crash
		said = said[:2000] + "…"
	}
	for _, s := range says {
		if !strings.Contains(said, s) {
			t.Errorf("no %q in %q", s, said)
		}
	}
	last := said[strings.LastIndexByte(said, '\n')+1:] // log lines may come first
	if !strings.HasPrefix(last, "xdpstack: ") || strings.Contains(said, "goroutine") || p.out.String() != "" {
		t.Errorf("not one line of error:\n%s\n%s", said, &p.out)
	}
	if id := attached(t, lab, iface); id != 0 {
		t.Errorf("program %d stays attached to %s", id, iface)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
}

// Another stack has the interface: its program stays, and goes on serving.
func TestServeOnAnInterfaceInUse(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "used"})
	first := launch(t, lab, nil, append([]string{"serve", "echo", "--socket", filepath.Join(t.TempDir(), "s")}, linkArgs(lab)...)...)
	first.ready(t)
	socket := filepath.Join(t.TempDir(), "s")
	second := launch(t, lab, nil, "serve", "echo", "-i", lab.Stack.Interface, "-a", "10.77.0.3/24", "--socket", socket)
	if code := second.exitCode(t); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	owner := fmt.Sprintf("process %d (", first.cmd.Process.Pid)
	for _, s := range []string{lab.Stack.Interface, "another XDP program is attached", "stop its owner", owner, "serve echo"} {
		if !second.err.contains(s) {
			t.Errorf("no %q in %s", s, &second.err)
		}
	}
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
}

// Fewer frames are a cure of too little locked memory: 1536 frames fit, even though they are registered twice, first for zero-copy.
func TestServeInLittleLockedMemory(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "little"})
	for _, tt := range []struct{ driver, limit string }{{"native", "-l 3072"}, {"asavie", "-l 4096"}} { // asavie has 2048 frames besides
		t.Run(tt.driver, func(t *testing.T) {
			args := append([]string{"serve", "echo", "--frames", "1536", "--rx-ring", "512", "--tx-ring", "512", "--driver", tt.driver,
				"--socket", filepath.Join(t.TempDir(), "s")}, linkArgs(lab)...)
			p := launch(t, lab, limited(tt.limit, without("ipc_lock", "sys_resource")...), args...)
			p.ready(t)
			c, err := lab.Kernel.Dial("tcp", address(lab, 7))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			echoes(t, c)
		})
	}
}

// Where native XDP cannot be had, generic XDP is, and the log says why.
func TestServeFallsBackToGeneric(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "generic"})
	addLink(t, lab, vethWithQueues("xs-few", 1, 1, 2, 2))
	p := launch(t, lab, nil, "serve", "echo", "-i", "xs-few", "-a", "10.78.0.2/24", "--socket", filepath.Join(t.TempDir(), "s"))
	p.ready(t)
	if !p.err.contains("generic XDP") || !p.err.contains("too few receive queues") {
		t.Errorf("the log does not say why it is slow:\n%s", &p.err)
	}
}
