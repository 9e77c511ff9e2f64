package stack

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// TestUpgradeUnderLoad has a stack's interface go to another one three times, while the kernel's clients open connections and others send
// and receive all the time: none is refused, none reset, and not a byte is another one.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Run("one queue", func(t *testing.T) { upgradeUnderLoad(t, netlab.Config{}, Config{}) })
	t.Run("checksums left to the device", func(t *testing.T) { upgradeUnderLoad(t, netlab.Config{}, deviceSums()) })
}

// TestUpgradeOfTwoQueues is apart because network cards have it too, in a guest, where it goes on without copies.
func TestUpgradeOfTwoQueues(t *testing.T) { upgradeUnderLoad(t, netlab.Config{Queues: 2}, Config{}) }

func upgradeUnderLoad(t *testing.T, lab netlab.Config, cfg Config) {
	cfg.AFXDP.Transferable = true
	s, l := openOnVeth(t, lab, cfg)
	listen := func(s *Stack) error { _, err := s.Handle(":7", &slowEcho{}); return err }
	if err := listen(s); err != nil {
		t.Fatal(err)
	}
	load := startTransfers(t, l, addr(s.Address(), 7), 3, 3)
	stacks := []*Stack{s}
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		s = upgrade(t, l, s, cfg, listen)
		stacks = append(stacks, s)
	}
	time.Sleep(200 * time.Millisecond)
	before := load.connects.Load()
	time.Sleep(100 * time.Millisecond)
	if load.connects.Load() == before {
		t.Error("no connection is opened any more")
	}
	close(load.stop)
	load.done.Wait()
	t.Logf("%d connections, the slowest took %v, %d MiB", load.connects.Load(), time.Duration(load.slowest.Load()),
		load.bytes.Load()>>20)
	for i, s := range stacks {
		eventually(t, "the end of all connections", func() bool {
			r, err := s.Report()
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, sh := range r {
				n += sh.Connections
			}
			return n == 0
		})
		r, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		for n := range r {
			relay := r[n].Stats.Relay
			t.Logf("stack %d shard %d: opened %d, %+v", i, n, r[n].Stats.Opened, relay)
			if relay.Malformed != 0 {
				t.Errorf("stack %d: %d messages make no sense", i, relay.Malformed)
			}
			if a := r[n].Frames; a.Held != 0 {
				t.Errorf("stack %d shard %d: frames are held: %+v", i, n, a)
			}
		}
		closeChecked(t, s)
	}
}

func deviceSums() (cfg Config) {
	cfg.AFXDP.TxChecksum = afxdp.TxChecksumDevice
	return cfg
}

// TestUpgradeFails has the other process fail at each step before it receives: the stack goes on under load as if nothing had been, and can
// be handed over later.
func TestUpgradeFails(t *testing.T) {
	cfg := Config{}
	cfg.AFXDP.Transferable = true
	s, l := openOnVeth(t, netlab.Config{}, cfg)
	listen := func(s *Stack) error { _, err := s.Handle(":7", &slowEcho{}); return err }
	if err := listen(s); err != nil {
		t.Fatal(err)
	}
	load := startTransfers(t, l, addr(s.Address(), 7), 2, 2)
	adopt := func(h *Handover, cfg Config) (young *Stack, err error) {
		cfg.Interface, cfg.Address = l.Stack.Interface, l.Stack.Address
		err = l.Stack.Do(func() error { young, err = Adopt(cfg, h); return err })
		return young, err
	}
	for step := range 4 {
		time.Sleep(50 * time.Millisecond)
		h := offered(t, s)
		if _, err := s.Offer(); !errors.Is(err, ErrHandover) {
			t.Errorf("offered twice: %v", err)
		}
		switch step {
		case 0: // it does not know the version
			h.Format++
			if _, err := adopt(h, cfg); !errors.Is(err, ErrHandover) {
				t.Errorf("another version: %v", err)
			}
		case 1: // it does not want the interface
			other := cfg
			other.Addresses = []AddrRange{{First: netip.MustParseAddr("10.77.9.1"), Last: netip.MustParseAddr("10.77.9.9")}}
			if _, err := adopt(h, other); !errors.Is(err, ErrHandover) {
				t.Errorf("other addresses: %v", err)
			}
		case 2, 3: // it has prepared everything, and ends, before or after the old one has stopped
			young, err := adopt(h, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := listen(young); err != nil {
				t.Fatal(err)
			}
			if step == 3 {
				if _, err := s.Suspend(); err != nil {
					t.Fatal(err)
				}
			}
			closeChecked(t, young)
			if step == 3 {
				if err := s.Resume(); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.Close()
		s.Withdraw()
	}
	young := upgrade(t, l, s, cfg, listen)
	time.Sleep(50 * time.Millisecond)
	close(load.stop)
	load.done.Wait()
	closeChecked(t, s)
	if err := greet(l, addr(young.Address(), 7), []byte("hello")); err != nil {
		t.Error(err)
	}
	closeChecked(t, young)
}

// TestSuccessorDies has the process that got the interface end while the old one still has connections: they end with an error that says so.
func TestSuccessorDies(t *testing.T) {
	cfg := Config{}
	cfg.AFXDP.Transferable = true
	s, l := openOnVeth(t, netlab.Config{}, cfg)
	ln, err := s.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	served, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	young := upgrade(t, l, s, cfg, func(*Stack) error { return nil })
	if !s.HandedOver() || young.HandedOver() || !young.Predecessor() || s.Predecessor() {
		t.Error("who has the interface?")
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := served.Read(make([]byte, 1)); err != nil {
		t.Errorf("through the other process: %v", err)
	}
	closeChecked(t, young)
	_ = served.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := served.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the other process has ended: %v", err)
	}
	<-s.Gone()
	closeChecked(t, s)
}

// TestHandshakeAcrossUpgrade has a SYN come to the old stack and its repetition to the new one, as when the answer was late: the handshake
// is the old one's, whatever comes where.
func TestHandshakeAcrossUpgrade(t *testing.T) {
	cfg := Config{}
	cfg.AFXDP.Transferable = true
	s, l := openOnVeth(t, netlab.Config{}, cfg)
	listen := func(s *Stack) error { _, err := s.Handle(":7", &slowEcho{}); return err }
	if err := listen(s); err != nil {
		t.Fatal(err)
	}
	raw := newRawPeer(t, l)
	iss := raw.syn(s, 7)
	young := upgrade(t, l, s, cfg, listen)
	if again := raw.syn(s, 7); again != iss {
		t.Errorf("the SYN was answered with %d, and when it came again with %d", iss, again)
	}
	r, err := young.Report()
	if err != nil || r[0].HalfOpen != 0 || r[0].Stats.Relay.ToOld == 0 {
		t.Errorf("the new stack has %d handshakes, %+v, %v", r[0].HalfOpen, r[0].Stats.Relay, err)
	}
	closeChecked(t, s)
	closeChecked(t, young)
}

// rawPeer is a host on the kernel's side of a lab that the kernel knows nothing of.
type rawPeer struct {
	t  *testing.T
	l  *netlab.Lab
	fd int
}

var rawAddr = ipv4.Addr{10, 77, 0, 99}

func newRawPeer(t *testing.T, l *netlab.Lab) *rawPeer {
	t.Helper()
	p := &rawPeer{t: t, l: l}
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	err := l.Kernel.Do(func() (err error) {
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Kernel.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.fd) })
	// What is for it alone, by IPv4 or ARP: there may be much else.
	mine := binary.BigEndian.Uint32(rawAddr[:])
	filter := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 30}, {Code: unix.BPF_JMP | unix.BPF_JEQ, Jt: 2, K: mine},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 38}, {Code: unix.BPF_JMP | unix.BPF_JEQ, Jf: 1, K: mine},
		{Code: unix.BPF_RET, K: 1 << 16}, {Code: unix.BPF_RET},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(p.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(int64(200 * time.Millisecond))
	if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return p
}

// send sends a packet to the stack, behind an Ethernet header.
func (p *rawPeer) send(typ ethernet.Type, packet []byte) {
	p.t.Helper()
	b := make([]byte, ethernet.HeaderLen+len(packet))
	h := ethernet.Header{Dst: ethernet.Addr(p.l.Stack.MAC), Src: ethernet.Addr(p.l.Kernel.MAC), Type: typ}
	copy(b[h.Marshal(b):], packet)
	if err := unix.Send(p.fd, b, 0); err != nil {
		p.t.Fatal(err)
	}
}

// syn sends a SYN, always the same, and returns the number in the answer.
func (p *rawPeer) syn(s *Stack, port uint16) tcp.Seq {
	p.t.Helper()
	answer := p.await(
		func() { p.segment(s, port, tcp.OutSegment{Seq: 1000, Flags: tcp.FlagSYN, Window: 1000}, "") },
		func(seg *tcp.Segment, _ []byte) bool { return seg.Has(tcp.FlagSYN) },
	)
	return answer.Seq
}

// segment sends a TCP segment.
func (p *rawPeer) segment(s *Stack, port uint16, o tcp.OutSegment, payload string) {
	p.t.Helper()
	to, _ := ipv4.AddrFrom(s.Address().Addr())
	b := make([]byte, ipv4.MinHeaderLen+o.HeaderLen(), ipv4.MinHeaderLen+o.HeaderLen()+len(payload))
	t := b[ipv4.MinHeaderLen:]
	o.Marshal(t, 4242, port)
	b = append(b, payload...)
	ip := ipv4.Header{TTL: 64, Proto: ipv4.ProtoTCP, Src: rawAddr, Dst: to, TotalLen: uint16(len(b))}
	ip.Marshal(b)
	t = b[ipv4.MinHeaderLen:]
	sum := ipv4.PseudoHeaderSum(rawAddr, to, ipv4.ProtoTCP, len(t))
	binary.BigEndian.PutUint16(t[tcp.ChecksumField:], checksum.Finish(checksum.Sum(t, sum)))
	p.send(ethernet.TypeIPv4, b)
}

// await returns the next TCP segment for the peer that is wanted, and answers ARP meanwhile. It sends, and again if nothing comes.
func (p *rawPeer) await(send func(), want func(seg *tcp.Segment, payload []byte) bool) (seg tcp.Segment) {
	p.t.Helper()
	var ip ipv4.Header
	buf := make([]byte, 2048)
	send()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		n, err := unix.Read(p.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			send()
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		var eth ethernet.Header
		off, err := ethernet.Parse(buf[:n], &eth)
		if err != nil {
			continue
		}
		b := buf[off:n]
		if a, err := ethernet.ParseARP(b); eth.Type == ethernet.TypeARP && err == nil && a.Op == ethernet.ARPRequest && a.TargetIP == rawAddr {
			reply := ethernet.ARP{
				Op: ethernet.ARPReply, SenderMAC: ethernet.Addr(p.l.Kernel.MAC), SenderIP: rawAddr, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP,
			}
			arp := make([]byte, ethernet.ARPLen)
			reply.Marshal(arp)
			p.send(ethernet.TypeARP, arp)
			continue
		}
		if ipv4.Parse(b, &ip) != nil || ip.Dst != rawAddr || ip.Proto != ipv4.ProtoTCP {
			continue
		}
		t := b[ip.HeaderLen:ip.TotalLen]
		if tcp.Parse(t, &seg) == nil && want(&seg, t[int(t[12]>>4)*4:]) {
			return seg
		}
	}
	p.t.Fatal("no answer that is wanted")
	return seg
}

// TestDialAcrossUpgrade has a stack dial a host from all the ports of a small set, be replaced, and both dial the same host again: no two
// connections have the same port, those before the upgrade go on, and the new stack has all ports when the old one has ended.
func TestDialAcrossUpgrade(t *testing.T) {
	cfg := Config{Shared: true, DialPorts: 16}
	cfg.AFXDP.Transferable = true
	s, l := openShared(t, netlab.Config{}, cfg)
	ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 9))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	ports := map[string]bool{}
	var open []net.Conn
	dial := func(s *Stack) error {
		c, err := s.Dial("tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		if at := c.LocalAddr().String(); ports[at] {
			t.Errorf("%s twice", at)
		}
		ports[c.LocalAddr().String()] = true
		open = append(open, c)
		return nil
	}
	for range 6 {
		if err := dial(s); err != nil {
			t.Fatal(err)
		}
	}
	young := upgrade(t, l, s, cfg, func(*Stack) error { return nil })
	for _, s := range []*Stack{young, s} {
		for range dialLanes + 1 { // of sixteen ports four are each one's, and some of these are taken
			if err := dial(s); err != nil && !errors.Is(err, ErrNoPort) {
				t.Error(err)
			}
		}
	}
	if len(open) < 8 {
		t.Errorf("only %d connections", len(open))
	}
	for _, c := range open {
		echoesBack(t, c, "x")
	}
	closeChecked(t, s)
	eventually(t, "the end of the stack before", func() bool { return !young.lanes.Load() })
	clear(ports) // the old stack's are free
	for range 6 {
		if err := dial(young); err != nil && !errors.Is(err, ErrNoPort) {
			t.Error(err)
		}
	}
	closeChecked(t, young)
}
