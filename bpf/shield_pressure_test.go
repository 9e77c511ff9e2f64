package bpf_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// want runs the program on a frame and compares what it did and what it counted.
func (s *shieldLab) want(name string, frame []byte, action bpf.Action, counted string) {
	s.t.Helper()
	if a, out, c := s.run(frame); a != action || c != counted {
		s.t.Errorf("%s: %v, counted as %s; want %v, %s\n%x", name, a, c, action, counted, out)
	}
}

// TestShieldRefuses has the program drop the SYNs that the stack would drop too, and no others.
func TestShieldRefuses(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	good := packet{flow: shieldFlow, flags: tcp.FlagSYN, seq: 7}
	from := func(a ...byte) packet { p := good; p.flow.RemoteAddr = [4]byte(a); return p }
	s.want("good", good.bytes(), bpf.ActionTX, "SYN cookie")
	for name, p := range map[string]packet{
		"network zero": from(0, 1, 2, 3), "loopback": from(127, 0, 0, 1), "multicast": from(224, 0, 0, 1), "broadcast": from(255, 255, 255, 255),
		"the network's broadcast address": from(10, 77, 0, 255), "the network's own": from(10, 77, 0, 0), "ours": from(10, 77, 0, 2),
	} {
		s.want(name, p.bytes(), bpf.ActionDrop, "bad SYN")
	}
	fin := good
	fin.flags |= tcp.FlagFIN
	s.want("SYN and FIN", fin.bytes(), bpf.ActionDrop, "bad SYN")
	noPort := good
	noPort.flow.RemotePort = 0
	s.want("from port 0", noPort.bytes(), bpf.ActionDrop, "bad SYN")
	for name, at := range map[string]int{
		"another hardware address": 0, "IPv4 checksum": 24, "TCP checksum": 50, "sequence number": 38, "TTL": 22,
	} {
		b := good.bytes()
		b[at] ^= 2
		s.want(name, b, bpf.ActionDrop, "bad SYN")
	}
	for name, offset := range map[string]byte{"data offset below the header": 4, "data offset beyond the segment": 6} {
		b := good.bytes()
		b[46] = offset << 4
		s.want(name, b, bpf.ActionDrop, "bad SYN")
	}
	long := good
	long.payload = make([]byte, 3000)
	s.want("longer than any SYN", long.bytes(), bpf.ActionDrop, "bad SYN")
}

// TestShieldPorts has the program answer only for ports that are listened on.
func TestShieldPorts(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	other, bound := shieldFlow, shieldFlow
	other.LocalPort, bound.LocalPort = 443, 81
	at := netip.AddrFrom4(bound.LocalAddr)
	o, _ := s.listener.Offer()
	for _, a := range []netip.Addr{at, netip.MustParseAddr("10.77.0.9")} {
		if err := s.shield.Listen(a, 81, bpf.ShieldOffer(o)); err != nil {
			t.Fatal(err)
		}
	}
	syn := func(f tcp.Flow) []byte { return packet{flow: f, flags: tcp.FlagSYN}.bytes() }
	s.want("not listened on", syn(other), bpf.ActionRedirect, "TCP")
	s.want("ACK, not listened on", packet{flow: other, flags: tcp.FlagACK}.bytes(), bpf.ActionRedirect, "TCP")
	s.want("of one address", syn(bound), bpf.ActionTX, "SYN cookie")
	for range 2 {
		if err := s.shield.Unlisten(at, 81); err != nil {
			t.Fatal(err)
		}
	}
	s.want("no longer listened on", syn(bound), bpf.ActionRedirect, "TCP")
	s.want("listened on", syn(shieldFlow), bpf.ActionTX, "SYN cookie")
	if err := s.program.ClearSocket(0); err != nil {
		t.Fatal(err)
	}
	s.want("on a queue without a socket", syn(shieldFlow), bpf.ActionPass, "something else")
}

// TestShieldOff has a program that could defend the stack leave everything to it.
func TestShieldOff(t *testing.T) {
	s := newShieldLab(t, bpf.Config{Filter: true}, tcp.Config{})
	syn := func(f tcp.Flow) []byte { return packet{flow: f, flags: tcp.FlagSYN}.bytes() }
	s.want("on, beside a filter", syn(shieldFlow), bpf.ActionTX, "SYN cookie")
	s.shield.SetMode(bpf.ShieldOff)
	s.want("off", syn(shieldFlow), bpf.ActionRedirect, "TCP")
}

// TestShieldSegments has segments of the stack's flows pass, and no others but those that bring a cookie back, and what follows these.
func TestShieldSegments(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	all := map[string]tcp.Flags{
		"ACK": tcp.FlagACK, "data": tcp.FlagACK | tcp.FlagPSH, "FIN": tcp.FlagACK | tcp.FlagFIN, "RST": tcp.FlagRST, "nothing": 0,
		"RST and ACK": tcp.FlagRST | tcp.FlagACK, "SYN and ACK": tcp.FlagSYN | tcp.FlagACK, "SYN and RST": tcp.FlagSYN | tcp.FlagRST,
	}
	segment := func(f tcp.Flow, flags tcp.Flags) []byte {
		return packet{flow: f, flags: flags, seq: 100, ack: 200}.bytes()
	}
	for name, flags := range all {
		counted := "no flow"
		if flags&(tcp.FlagSYN|tcp.FlagACK|tcp.FlagRST) == tcp.FlagACK {
			counted = "bad cookie"
		}
		s.want(name+" of no flow", segment(shieldFlow, flags), bpf.ActionDrop, counted)
	}
	hash := s.core.Keys.Hash(shieldFlow)
	s.marks.Add(hash)
	for name, flags := range all {
		s.want(name+" of a flow", segment(shieldFlow, flags), bpf.ActionRedirect, "TCP")
	}
	s.want("SYN of a flow", segment(shieldFlow, tcp.FlagSYN), bpf.ActionRedirect, "TCP")
	s.marks.Remove(hash)

	p := packet{flow: shieldFlow, flags: tcp.FlagSYN, seq: 7}
	back := returning(p, s.sameAnswer("SYN", p))
	wrong := back
	wrong.ack += 8
	s.want("another number", wrong.bytes(), bpf.ActionDrop, "bad cookie")
	wrong = back
	wrong.seq++
	s.want("its number gone", wrong.bytes(), bpf.ActionDrop, "bad cookie")
	wrong = back
	wrong.flow.RemotePort++
	s.want("another port", wrong.bytes(), bpf.ActionDrop, "bad cookie")
	later := back
	later.seq, later.flags = back.seq.Add(1460), tcp.FlagACK|tcp.FlagFIN
	s.want("data before the ACK", later.bytes(), bpf.ActionDrop, "bad cookie")
	data := back
	data.payload = []byte("GET")
	s.want("the first data, in place of an ACK that was lost", data.bytes(), bpf.ActionRedirect, "cookie")
	s.want("data on its heels", later.bytes(), bpf.ActionRedirect, "TCP")

	// A cookie is good in the period in which it was made, and in the next.
	s.offset += int64(64 * time.Second)
	s.setup()
	s.want("after a period", back.bytes(), bpf.ActionRedirect, "cookie")
	s.offset += int64(64 * time.Second)
	s.setup()
	s.want("after two", back.bytes(), bpf.ActionDrop, "bad cookie")
	s.want("and what follows it", later.bytes(), bpf.ActionDrop, "bad cookie")
	if c := s.shield.Cookies(); c == 0 || c > int64(s.now()) {
		t.Errorf("the last cookie was sent at %d, and it is %d", c, s.now())
	}
}

// TestShieldPressure has a queue come under pressure by SYNs that lead to nothing, and out of it by time, and has it bear those that lead
// to connections.
func TestShieldPressure(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	s.shield.SetMode(bpf.ShieldAuto)
	q := s.shield.Queue(0)
	syn := packet{flow: shieldFlow, flags: tcp.FlagSYN}.bytes()
	ack := packet{flow: shieldFlow, flags: tcp.FlagACK}.bytes()
	pass := func(d time.Duration) { s.offset += int64(d); s.setup() }
	// flood sends n SYNs and returns how many of them the stack got.
	flood := func(n int, opened bool) (passed int) {
		for range n {
			action, _, err := s.program.Test(syn, 0)
			if err != nil {
				t.Fatal(err)
			}
			if action == bpf.ActionRedirect {
				passed++
				if opened {
					q.AddOpened()
				}
			}
		}
		return passed
	}
	if n := flood(5000, true); n != 5000 {
		t.Errorf("of 5000 SYNs that lead to connections %d came to the stack", n)
	}
	s.want("ACK in peace", ack, bpf.ActionRedirect, "TCP")
	if n := flood(5000, false); n < 500 || n > 700 { // and one in a millisecond
		t.Errorf("of 5000 SYNs that lead to nothing %d came to the stack, not about 512", n)
	}
	s.want("ACK under pressure", ack, bpf.ActionDrop, "bad cookie")
	if on, level := q.Pressure(int64(s.now())); !on || level < 1500 {
		t.Errorf("under pressure %v, level %d", on, level)
	}
	pass(1500 * time.Millisecond)
	s.want("ACK 1.5 s later", ack, bpf.ActionDrop, "bad cookie")
	pass(1500 * time.Millisecond)
	if on, level := q.Pressure(int64(s.now())); on || level != 0 {
		t.Errorf("3 s later: under pressure %v, level %d", on, level)
	}
	s.want("ACK 3 s later", ack, bpf.ActionRedirect, "TCP")
	s.want("SYN 3 s later", syn, bpf.ActionRedirect, "TCP")

	q.SetFull(true)
	s.want("SYN when the stack has no more records", syn, bpf.ActionTX, "SYN cookie")
	s.want("ACK when the stack has no more records", ack, bpf.ActionDrop, "bad cookie")
	q.SetFull(false)
	s.want("SYN when it has", syn, bpf.ActionRedirect, "TCP")

	// A slow flood of less than 954 a second is borne until the records are used up.
	passed := 0
	for range 3000 {
		pass(1200 * time.Microsecond)
		passed += flood(1, false)
	}
	if passed != 3000 {
		t.Errorf("of 3000 SYNs in 3.6 s %d came to the stack", passed)
	}
}

// TestShieldHandover has the shield go on in another process's hands: with the same secret, marks, ports and pressure.
func TestShieldHandover(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	e, files, err := s.program.Export()
	if err != nil {
		t.Fatal(err)
	}
	p, err := bpf.Adopt(e, files)
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := p.Shield().Secret(); got != shieldSecret || p.Shield().Mode() != bpf.ShieldAlways {
		t.Errorf("secret %x, mode %v", got, p.Shield().Mode())
	}
	ack := packet{flow: shieldFlow, flags: tcp.FlagACK}.bytes()
	s.want("before the flow is marked", ack, bpf.ActionDrop, "bad cookie")
	tcp.NewFlowMarks(p.Shield().Marks()).Add(s.core.Keys.Hash(shieldFlow))
	s.want("marked by the new one", ack, bpf.ActionRedirect, "TCP")
	s.marks.Remove(s.core.Keys.Hash(shieldFlow))
	if err := p.Shield().Unlisten(netip.Addr{}, 80); err != nil {
		t.Fatal(err)
	}
	s.want("no longer listened on", packet{flow: shieldFlow, flags: tcp.FlagSYN}.bytes(), bpf.ActionRedirect, "TCP")
}

// TestShieldLeavesOthersAlone: what is no TCP, and what is no whole header of it, is none of the shield's business.
func TestShieldLeavesOthersAlone(t *testing.T) {
	s := newShieldLab(t, bpf.Config{}, tcp.Config{})
	p := packet{flow: shieldFlow, flags: tcp.FlagSYN}
	p.ip = func(h *ipv4.Header) { h.Proto = ipv4.ProtoUDP }
	s.want("UDP", p.bytes(), bpf.ActionRedirect, "something else")
	p.ip = func(h *ipv4.Header) { h.MF, h.DF = true, false }
	s.want("fragment", p.bytes(), bpf.ActionRedirect, "something else")
	p.ip = func(h *ipv4.Header) { h.TotalLen = 39 }
	s.want("short header", p.bytes(), bpf.ActionRedirect, "TCP")
}
