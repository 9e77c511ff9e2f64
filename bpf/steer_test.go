package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// load loads a program that owns our address, or TCP and UDP port 80 of it, and ends with the test.
func load(t testing.TB, cfg Config) *Program {
	t.Helper()
	p, err := Load(cfg)
	return prepare(t, p, err)
}

// prepare gives a program what it owns.
func prepare(t testing.TB, p *Program, err error) *Program {
	t.Helper()
	if errors.Is(err, unix.EPERM) { // and not EACCES, with which the verifier refuses a program
		t.Skipf("needs root, or CAP_BPF and CAP_NET_ADMIN: %v", err)
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	switch p.cfg.Mode {
	case OwnAddress:
		err = p.AddAddress(ours)
	case SharedAddress:
		err = errors.Join(p.AddPort(protoTCP, ours, ownedPort), p.AddPort(protoUDP, ours, ownedPort))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// setSocket gives a queue an AF_XDP socket. It is bound to nothing: a test run ends with the program's answer.
func setSocket(t testing.TB, p *Program, queue int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("AF_XDP socket (the kernel needs CONFIG_XDP_SOCKETS): %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_RX_RING, 8); err != nil { // newer kernels want one
		t.Fatal(err)
	}
	if err := p.SetSocket(queue, fd); err != nil {
		t.Fatal(err)
	}
}

// check runs the program on a frame and compares its answer, the frame afterwards, and what was counted, all of it.
func check(t *testing.T, p *Program, frame []byte, queue int, want steerReason) {
	t.Helper()
	forget(t, p)
	action := actionFor(want)
	before, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	got, out, err := p.Test(frame, queue)
	if err != nil {
		t.Fatal(err)
	}
	after, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	*before.byReason()[want]++
	if got != action || before != after {
		t.Errorf("%v, % x:\ngot  %v, counters %+v\nwant %v, counters %+v", p.cfg.Mode, frame, got, after, action, before)
	}
	if !bytes.Equal(out, frame) {
		t.Errorf("%v, % x:\nthe frame was changed to % x", p.cfg.Mode, frame, out)
	}
}

// forget has a program forget which datagrams it has seen the first fragments of.
func forget(t testing.TB, p *Program) {
	t.Helper()
	var key steerDatagram
	for p.objects.Datagrams.NextKey(nil, &key) == nil {
		if err := p.objects.Datagrams.Delete(&key); err != nil {
			t.Fatal(err)
		}
	}
}

// actionFor returns what becomes of a frame by its reason.
func actionFor(r steerReason) Action {
	switch {
	case r < steerReasonPASS_NO_SOCKET:
		return ActionRedirect
	case r < steerReasonDROP_BAD_SYN:
		return ActionPass
	case r < steerReasonTX_SYN_COOKIE:
		return ActionDrop
	}
	return ActionTX
}

func TestSteering(t *testing.T) {
	request := arp(1, theirs, ours)
	options := func(n int, to netip.Addr) []byte {
		return ethernet(etherIPv4, ipv4{to: to, proto: protoTCP, options: n, payload: segment(ownedPort)}.bytes())
	}
	packet := func(proto uint8, fragment uint16, payload []byte, tags ...uint16) []byte {
		return ethernet(etherIPv4, ipv4{to: ours, proto: proto, fragment: fragment, payload: payload}.bytes(), tags...)
	}
	ssh := segment(otherPort)
	web := segment(ownedPort)
	padded := func(frame []byte) []byte { return append(slices.Clone(frame), make([]byte, 60-len(frame))...) }

	tests := []struct {
		name   string
		frame  []byte
		own    steerReason
		shared steerReason
	}{
		{"TCP to an owned port", tcp(ours, ownedPort), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},
		{"TCP to another port", packet(protoTCP, 0, ssh), steerReasonREDIRECT_TCP, steerReasonPASS_PORT},
		{"TCP to another address", tcp(theirs, ownedPort), steerReasonPASS_ADDRESS, steerReasonPASS_PORT},
		{"UDP to an owned port", packet(protoUDP, 0, web), steerReasonREDIRECT_UDP, steerReasonREDIRECT_UDP},
		{"UDP to another port", packet(protoUDP, 0, ssh), steerReasonREDIRECT_UDP, steerReasonPASS_PORT},
		{"ICMP", packet(protoICMP, 0, make([]byte, 8)), steerReasonREDIRECT_ICMP, steerReasonPASS_ICMP},
		{"SCTP", packet(protoSCTP, 0, web), steerReasonREDIRECT_PROTOCOL, steerReasonPASS_PROTOCOL},
		{"don't-fragment flag", packet(protoTCP, dontFrag, web), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},
		{"reserved flag", packet(protoTCP, 0x8000, web), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},

		{"first fragment", packet(protoTCP, moreFrags, web), steerReasonREDIRECT_FRAGMENT, steerReasonREDIRECT_FRAGMENT},
		{"middle fragment", packet(protoUDP, moreFrags|185, web), steerReasonREDIRECT_FRAGMENT, steerReasonPASS_FRAGMENT},
		{"last fragment", packet(protoTCP, 1, web), steerReasonREDIRECT_FRAGMENT, steerReasonPASS_FRAGMENT},
		{"highest offset", packet(protoTCP, 0x1fff, web), steerReasonREDIRECT_FRAGMENT, steerReasonPASS_FRAGMENT},
		{"ICMP fragment", packet(protoICMP, 1, web), steerReasonREDIRECT_FRAGMENT, steerReasonPASS_ICMP},

		{"4 bytes of options", options(4, ours), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},
		{"40 bytes of options", options(40, ours), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},
		{"options, another address", options(12, theirs), steerReasonPASS_ADDRESS, steerReasonPASS_PORT},

		{"no transport header", padded(packet(protoTCP, 0, nil)), steerReasonREDIRECT_TCP, steerReasonPASS_SHORT_PORTS},
		{"half the ports, padding", padded(packet(protoUDP, 0, web[:3])), steerReasonREDIRECT_UDP, steerReasonPASS_SHORT_PORTS},
		{"just the ports", padded(packet(protoUDP, 0, web[:4])), steerReasonREDIRECT_UDP, steerReasonREDIRECT_UDP},

		{"version 6 as IPv4", with(tcp(ours, ownedPort), 14, 0x65), steerReasonPASS_BAD_IPV4, steerReasonPASS_BAD_IPV4},
		{"header of 16 bytes", with(tcp(ours, ownedPort), 14, 0x44), steerReasonPASS_BAD_IPV4, steerReasonPASS_BAD_IPV4},
		{"header of 0 bytes", with(tcp(ours, ownedPort), 14, 0x40), steerReasonPASS_BAD_IPV4, steerReasonPASS_BAD_IPV4},
		{"header above total", with(tcp(ours, ownedPort), 14, 0x4f), steerReasonPASS_BAD_IPV4, steerReasonPASS_BAD_IPV4},
		{"total of 19 bytes", with(tcp(ours, ownedPort), 17, 19), steerReasonPASS_BAD_IPV4, steerReasonPASS_BAD_IPV4},
		{"total above the frame", with(tcp(ours, ownedPort), 17, 41), steerReasonPASS_SHORT_IPV4, steerReasonPASS_SHORT_IPV4},
		{"total far above", with(tcp(ours, ownedPort), 16, 0xff), steerReasonPASS_SHORT_IPV4, steerReasonPASS_SHORT_IPV4},

		{"one tag", packet(protoTCP, 0, web, etherVLAN), steerReasonPASS_VLAN, steerReasonPASS_VLAN},
		{"one service tag", packet(protoTCP, 0, web, etherQinQ), steerReasonPASS_VLAN, steerReasonPASS_VLAN},
		{"two tags", packet(protoTCP, 0, web, etherQinQ, etherVLAN), steerReasonPASS_VLAN, steerReasonPASS_VLAN},
		{"three tags", packet(protoTCP, 0, web, etherQinQ, etherVLAN, etherVLAN), steerReasonPASS_DEEP_VLAN, steerReasonPASS_DEEP_VLAN},
		{"tagged ARP", ethernet(etherARP, request, etherVLAN), steerReasonPASS_VLAN, steerReasonPASS_VLAN},
		{"tagged IPv6", ethernet(etherIPv6, make([]byte, 40), etherVLAN), steerReasonPASS_ETHERTYPE, steerReasonPASS_ETHERTYPE},
		{"ends after the type", ethernet(etherVLAN, nil), steerReasonPASS_SHORT_VLAN, steerReasonPASS_SHORT_VLAN},

		{"ARP request for us", ethernet(etherARP, request), steerReasonREDIRECT_ARP, steerReasonPASS_ARP},
		{"ARP reply to us", ethernet(etherARP, arp(2, theirs, ours)), steerReasonREDIRECT_ARP, steerReasonPASS_ARP},
		{"gratuitous ARP with our address", ethernet(etherARP, arp(1, ours, ours)), steerReasonREDIRECT_ARP, steerReasonPASS_ARP},
		{"ARP from another host with our address", ethernet(etherARP, arp(2, ours, theirs)), steerReasonREDIRECT_ARP, steerReasonPASS_ARP},
		{"ARP for others", ethernet(etherARP, arp(1, theirs, theirs)), steerReasonPASS_ARP, steerReasonPASS_ARP},
		{"padded ARP", padded(ethernet(etherARP, request)), steerReasonREDIRECT_ARP, steerReasonPASS_ARP},
		{"ARP, other hardware", ethernet(etherARP, with(request, 1, 6)), steerReasonPASS_BAD_ARP, steerReasonPASS_ARP},
		{"ARP, other protocol", ethernet(etherARP, with(request, 2, 7)), steerReasonPASS_BAD_ARP, steerReasonPASS_ARP},
		{"ARP, other hardware length", ethernet(etherARP, with(request, 4, 8)), steerReasonPASS_BAD_ARP, steerReasonPASS_ARP},
		{"ARP, other protocol length", ethernet(etherARP, with(request, 5, 16)), steerReasonPASS_BAD_ARP, steerReasonPASS_ARP},

		{"IPv6", ethernet(etherIPv6, make([]byte, 40)), steerReasonPASS_ETHERTYPE, steerReasonPASS_ETHERTYPE},
		{"802.3 length", ethernet(46, make([]byte, 46)), steerReasonPASS_ETHERTYPE, steerReasonPASS_ETHERTYPE},
		{"header only", ethernet(0x88b5, nil), steerReasonPASS_ETHERTYPE, steerReasonPASS_ETHERTYPE},
	}
	for _, mode := range allModes {
		p := load(t, Config{Mode: mode})
		setSocket(t, p, 0)
		for _, tt := range tests {
			t.Run(mode.String()+"/"+tt.name, func(t *testing.T) {
				want := tt.own
				switch mode {
				case SharedAddress:
					want = tt.shared
				case WholeInterface:
					want = whole(tt.own, tt.frame)
				}
				if model := oracle(mode, tt.frame); model != want {
					t.Errorf("the oracle says %d, not %d", model, want)
				}
				check(t, p, tt.frame, 0, want)
			})
		}
	}
}

// allModes are the modes of the program.
var allModes = []Mode{OwnAddress, SharedAddress, WholeInterface}

// whole is what the program says of a frame in whole-interface mode, of which it says own in the other. The address does not matter.
func whole(own steerReason, frame []byte) steerReason {
	switch {
	case own == steerReasonPASS_VLAN && bytes.Equal(frame[16:18], []byte{8, 6}):
		return steerReasonREDIRECT_ARP
	case own == steerReasonPASS_VLAN:
		return steerReasonREDIRECT_TCP // which the others of the table are
	case own == steerReasonPASS_ADDRESS:
		return steerReasonREDIRECT_TCP // which all such frames of the table are
	case own == steerReasonPASS_ARP:
		return steerReasonREDIRECT_ARP
	case own >= steerReasonPASS_NO_SOCKET:
		return steerReasonREDIRECT_OTHER
	}
	return own
}

func TestTruncatedAtEveryLength(t *testing.T) {
	fragment := ipv4{to: ours, proto: protoUDP, fragment: moreFrags, payload: segment(ownedPort)}.bytes()
	optioned := ipv4{to: ours, proto: protoTCP, options: 40, payload: segment(ownedPort)}.bytes()
	for _, p := range inAllModes(t) {
		mode := p.cfg.Mode
		for _, frame := range [][]byte{
			tcp(ours, ownedPort),
			ethernet(etherIPv4, optioned),
			ethernet(etherIPv4, optioned, etherQinQ, etherVLAN),
			ethernet(etherIPv4, fragment),
			ethernet(etherARP, arp(1, theirs, ours)),
			ethernet(etherARP, arp(1, theirs, ours), etherQinQ, etherVLAN),
			ethernet(etherIPv4, nil, etherQinQ, etherVLAN, etherVLAN),
			ethernet(etherIPv4, ipv4{to: ours, proto: protoICMP, options: 8, payload: icmp(3, quoted(protoTCP, ours, ownedPort, 40))}.bytes()),
		} {
			for n := 14; n <= len(frame); n++ {
				check(t, p, frame[:n], 0, oracle(mode, frame[:n]))
			}
		}
	}
}

// TestShorterThanEthernet gives the program fewer bytes than BPF_PROG_TEST_RUN takes as a frame: the rest is metadata, which lies
// in front of the frame.
func TestShorterThanEthernet(t *testing.T) {
	const metadata = 16 // bytes, a multiple of 4
	p := load(t, Config{})
	setSocket(t, p, 0)
	for n := range 14 {
		data := append(make([]byte, metadata), tcp(ours, ownedPort)[:n]...)
		action, err := p.objects.XdpSteer.Run(&ebpf.RunOptions{
			Data:    data,
			Context: testContext{Data: metadata, DataEnd: uint32(len(data))},
		})
		if errors.Is(err, unix.EINVAL) {
			t.Skip("this kernel's BPF_PROG_TEST_RUN takes no frame shorter than 14 bytes in any way")
		}
		if err != nil || Action(action) != ActionPass {
			t.Errorf("%d bytes: %v, %v", n, Action(action), err)
		}
	}
	c, err := p.Counters()
	if want := (Counters{Passed: Passed{ShortEthernet: 14}}); err != nil || c != want {
		t.Errorf("counters %+v, %v", c, err)
	}
}

// TestAgainstOracle compares the program with the oracle on frames with random damage.
func TestAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seeds := [][]byte{
		tcp(ours, ownedPort),
		ethernet(etherIPv4, ipv4{to: ours, proto: protoUDP, options: 8, payload: segment(ownedPort)}.bytes(), etherVLAN),
		ethernet(etherARP, arp(1, theirs, ours)),
		ethernet(etherARP, arp(2, theirs, ours), etherQinQ, etherVLAN),
		ethernet(etherIPv4, ipv4{to: ours, proto: protoICMP, payload: icmp(3, quoted(protoTCP, ours, ownedPort, 0))}.bytes()),
		ethernet(etherIPv4, ipv4{to: ours, proto: protoICMP, payload: icmp(11, quoted(protoUDP, ours, ownedPort, 8))}.bytes()),
	}
	interesting := []byte{0, 1, 2, 4, 6, 8, 17, 0x45, 0x46, 0x4f, 0x81, 0x88, 0xa8, 80, 255}
	for _, p := range inAllModes(t) {
		mode := p.cfg.Mode
		var want Counters
		for i := range 20000 {
			frame := slices.Clone(seeds[i%len(seeds)])
			for range rng.IntN(4) {
				frame[12+rng.IntN(min(56, len(frame)-12))] = interesting[rng.IntN(len(interesting))]
			}
			if rng.IntN(4) == 0 {
				frame = frame[:14+rng.IntN(len(frame)-13)]
			}
			forget(t, p)
			reason := oracle(mode, frame)
			*want.byReason()[reason]++
			action, _, err := p.Test(frame, 0)
			if err != nil {
				t.Fatal(err)
			}
			if (action == ActionRedirect) != (reason < steerReasonPASS_NO_SOCKET) {
				t.Errorf("%v, % x: %v, the oracle's reason is %d", mode, frame, action, reason)
			}
		}
		if got, err := p.Counters(); err != nil || got != want {
			t.Errorf("%v: counters %+v, %v\nwant %+v", mode, got, err, want)
		}
	}
}

// TestLargeFrames runs the program that bears frames of several buffers on such, up to the largest that IPv4 has. The lengths in the
// headers hold for all buffers together.
func TestLargeFrames(t *testing.T) {
	for _, mode := range allModes {
		p := load(t, Config{Mode: mode, Fragments: true})
		setSocket(t, p, 0)
		check(t, p, tcp(ours, ownedPort), 0, steerReasonREDIRECT_TCP)
		for _, payload := range []int{3000, 3600, 4096, 8960, 65515} {
			large := append(segment(ownedPort), make([]byte, payload-20)...)
			frame := ethernet(etherIPv4, ipv4{to: ours, proto: protoTCP, payload: large}.bytes())
			check(t, p, frame, 0, steerReasonREDIRECT_TCP)
			check(t, p, append(frame, 0), 0, steerReasonREDIRECT_TCP)
			check(t, p, frame[:len(frame)-1], 0, oracle(mode, frame[:len(frame)-1]))
		}
	}
}

func TestNoSocketPasses(t *testing.T) {
	p := load(t, Config{})
	check(t, p, tcp(ours, ownedPort), 0, steerReasonPASS_NO_SOCKET)
	setSocket(t, p, 0)
	check(t, p, tcp(ours, ownedPort), 0, steerReasonREDIRECT_TCP)
	for range 2 {
		if err := p.ClearSocket(0); err != nil {
			t.Fatal(err)
		}
	}
	check(t, p, tcp(ours, ownedPort), 0, steerReasonPASS_NO_SOCKET)
}

func TestClosedSocketClearsItself(t *testing.T) {
	p := load(t, Config{})
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.SetSocket(0, fd), unix.Close(fd)); err != nil {
		t.Fatal(err)
	}
	check(t, p, tcp(ours, ownedPort), 0, steerReasonPASS_NO_SOCKET)
}

func TestRefusedArguments(t *testing.T) {
	own, shared, all := load(t, Config{Queues: 4}), load(t, Config{Mode: SharedAddress}), load(t, Config{Mode: WholeInterface})
	v6 := netip.MustParseAddr("2001:db8::1")
	for name, tt := range map[string]struct{ got, want error }{
		"port in own mode":        {own.AddPort(protoTCP, ours, 80), ErrMode},
		"remove port in own mode": {own.RemovePort(protoTCP, ours, 80), ErrMode},
		"address in shared mode":  {shared.AddAddress(ours), ErrMode},
		"remove in shared mode":   {shared.RemoveAddress(ours), ErrMode},
		"address of a whole":      {all.AddAddress(ours), ErrMode},
		"port of a whole":         {all.AddPort(protoTCP, ours, 80), ErrMode},
		"IPv6 address":            {own.AddAddress(v6), ErrNotIPv4},
		"no address":              {own.AddAddress(netip.Addr{}), ErrNotIPv4},
		"prefix in shared mode":   {shared.AddPrefix(netip.PrefixFrom(ours, 24)), ErrMode},
		"prefix without room":     {own.AddPrefix(netip.PrefixFrom(ours, 24)), ErrTableFull},
		"IPv6 prefix":             {own.AddPrefix(netip.PrefixFrom(v6, 64)), ErrNotIPv4},
		"no prefix":               {own.RemovePrefix(netip.Prefix{}), ErrNotIPv4},
		"IPv6 port":               {shared.AddPort(protoTCP, v6, 80), ErrNotIPv4},
		"port of ICMP":            {shared.AddPort(protoICMP, ours, 80), nil},
		"queue out of range":      {own.SetSocket(4, 0), nil},
		"negative queue":          {own.ClearSocket(-1), nil},
		"not an AF_XDP socket":    {own.SetSocket(0, 0), nil},
	} {
		if tt.got == nil || (tt.want != nil && !errors.Is(tt.got, tt.want)) {
			t.Errorf("%s: %v, want %v", name, tt.got, tt.want)
		}
	}
	for _, cfg := range []Config{{Mode: 7}, {Queues: -1}, {MaxAddresses: -1}, {MaxPrefixes: -1}, {MaxPorts: -1}} {
		if p, err := Load(cfg); err == nil {
			p.Close()
			t.Errorf("%+v was loaded", cfg)
		}
	}
}

func TestEveryReasonHasItsCounter(t *testing.T) {
	var c Counters
	for i, field := range c.byReason() {
		if field == nil {
			t.Fatalf("reason %d has no counter", i)
		}
		*field++
	}
	for i, field := range c.byReason() {
		if *field != 1 {
			t.Errorf("reason %d shares its counter", i)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	p := load(t, Config{})
	if id, err := p.ID(); err != nil || id == 0 {
		t.Errorf("program number %d, %v", id, err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Counters(); err == nil {
		t.Error("counters of a closed program")
	}
}

// BenchmarkProgram measures the program alone: ns per frame as the kernel runs it, without driver and redirection.
func BenchmarkProgram(b *testing.B) {
	for _, mode := range allModes {
		for name, frame := range map[string][]byte{"ours": tcp(ours, ownedPort), "kernel's": tcp(theirs, otherPort)} {
			b.Run(fmt.Sprintf("%v/%s", mode, name), func(b *testing.B) {
				p := load(b, Config{Mode: mode})
				setSocket(b, p, 0)
				opts := ebpf.RunOptions{Data: frame, Repeat: uint32(b.N)}
				if _, err := p.objects.XdpSteer.Run(&opts); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
