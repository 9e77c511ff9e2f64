package stack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// openShielded opens a stack on a veth pair whose other end takes what XDP sends back: it must have a program of its own for that, which
// passes everything.
func openShielded(t *testing.T, lab netlab.Config, cfg Config) (*Stack, *netlab.Lab) {
	t.Helper()
	s, l := openOnVeth(t, lab, cfg)
	p, err := bpf.Load(bpf.Config{Fragments: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := l.Kernel.Do(func() error { _, err := p.Attach(l.Kernel.Index, bpf.AttachNative); return err }); err != nil {
		t.Fatal(err)
	}
	return s, l
}

// TestShieldHandshakes opens connections through the shield from the kernel's TCP, with everything that it may agree to, and sends data
// both ways: they are what they are without the shield.
func TestShieldHandshakes(t *testing.T) {
	const all = agreeable
	for _, c := range []struct {
		name   string
		off    string // what the kernel does not offer
		agreed uint8
		lab    netlab.Config
		cfg    Config
	}{
		{name: "everything", agreed: all},
		{name: "no timestamps", off: "tcp_timestamps"}, // which hold the rest
		{name: "no SACK", off: "tcp_sack", agreed: all &^ tcp.OptSACK},
		{name: "no window scale", off: "tcp_window_scaling", agreed: all &^ tcp.OptWScale},
		{name: "two queues", agreed: all, lab: netlab.Config{Queues: 2}},
		{name: "several buffers", agreed: all, lab: netlab.Config{MTU: 9000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Shield = bpf.ShieldAlways
			s, l := openShielded(t, c.lab, c.cfg)
			set := func(name string, v int) {
				if err := l.Kernel.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/"+name, fmt.Append(nil, v), 0) }); err != nil {
					t.Fatal(err)
				}
			}
			set("tcp_ecn", 1)
			if c.off != "" {
				set(c.off, 0)
			}
			testShieldHandshakes(t, s, l, c.agreed)
		})
	}
	t.Run("generic", func(t *testing.T) {
		cfg := Config{Shield: bpf.ShieldAlways}
		cfg.AFXDP.Attach = bpf.AttachGeneric
		s, l := openOnVeth(t, netlab.Config{}, cfg)
		testShieldHandshakes(t, s, l, all&^tcp.OptECN)
	})
}

// agreeable are the options of a handshake.
const agreeable = tcp.OptTimestamps | tcp.OptSACK | tcp.OptWScale | tcp.OptECN

func testShieldHandshakes(t *testing.T, s *Stack, l *netlab.Lab, agreed uint8) {
	ln, err := s.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const n = 8
	for range n {
		p := connect(t, s, l, ln, nil, true)
		p.onKernelSocket(t, func(fd int) error {
			k, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err == nil && k.Options&agreeable != agreed {
				t.Errorf("the kernel says that it agreed on options %b, want %b", k.Options, agreed)
			}
			return err
		})
		info, ok := p.stack.(*TCPConn).TCPInfo()
		if !ok || info.Options&agreeable != agreed {
			t.Errorf("the stack says that it agreed on options %b, want %b", info.Options, agreed)
		}
		if err := p.transfer(1, 200<<10); err != nil {
			t.Fatal(err)
		}
	}
	total, program := shieldCounts(t, s)
	if total.Syns != 0 || total.CookiesSent != 0 || total.CookiesAccepted != n || program.Answered.SYNCookie < n || program.Redirected.Cookie < n {
		t.Errorf("the program answered %d SYNs and took %d cookies back; the stack: %+v", program.Answered.SYNCookie,
			program.Redirected.Cookie, total)
	}
	if program.Dropped != (bpf.Dropped{}) {
		t.Errorf("dropped %+v", program.Dropped)
	}
}

// shieldCounts returns what the listeners of all shards and the program have counted.
func shieldCounts(t *testing.T, s *Stack) (total tcp.ListenStats, program bpf.Counters) {
	t.Helper()
	reports, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		total.Syns += r.Stats.TCP.Listen.Syns
		total.CookiesSent += r.Stats.TCP.Listen.CookiesSent
		total.CookiesAccepted += r.Stats.TCP.Listen.CookiesAccepted
		total.CookiesRejected += r.Stats.TCP.Listen.CookiesRejected
	}
	if program, err = s.Interface().Program().Counters(); err != nil {
		t.Fatal(err)
	}
	return total, program
}

// flooder sends TCP segments without a connection, as frames.
type flooder struct {
	t      *testing.T
	fd     int
	to     unix.SockaddrLinklayer
	frame  []byte
	random *rand.Rand
}

func newFlooder(t *testing.T, l *netlab.Lab, port uint16) *flooder {
	f := &flooder{t: t, random: rand.New(rand.NewPCG(1, 2)), to: unix.SockaddrLinklayer{Ifindex: l.Kernel.Index, Halen: 6}}
	err := l.Kernel.Do(func() (err error) {
		f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(f.fd) })
	f.frame = make([]byte, 14+20+20)
	copy(f.frame, l.Stack.MAC[:])
	copy(f.frame[6:], l.Kernel.MAC[:])
	f.frame[12] = 8
	h := ipv4.Header{TotalLen: 40, TTL: 64, Proto: ipv4.ProtoTCP, DF: true, Src: ipv4.Addr{192, 0, 2, 1}, Dst: l.Stack.Address.Addr().As4()}
	h.Marshal(f.frame[14:])
	binary.BigEndian.PutUint16(f.frame[36:], port)
	f.frame[46] = 5 << 4
	return f
}

// send sends a segment from a random source.
func (f *flooder) send(flags tcp.Flags) {
	ip, seg := f.frame[14:34], f.frame[34:]
	binary.BigEndian.PutUint32(ip[12:], 0xc6120000|f.random.Uint32()&0x1ffff) // 198.18.0.0/15, RFC 2544
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], checksum.Finish(checksum.Sum(ip, 0)))
	binary.BigEndian.PutUint16(seg, uint16(1024+f.random.IntN(60000)))
	binary.BigEndian.PutUint32(seg[4:], f.random.Uint32())
	binary.BigEndian.PutUint32(seg[8:], f.random.Uint32())
	seg[13], seg[16], seg[17] = byte(flags), 0, 0
	sum := ipv4.PseudoHeaderSum(ipv4.Addr(ip[12:16]), ipv4.Addr(ip[16:20]), ipv4.ProtoTCP, len(seg))
	binary.BigEndian.PutUint16(seg[16:], checksum.Finish(checksum.Sum(seg, sum)))
	if err := unix.Sendto(f.fd, f.frame, 0, &f.to); err != nil && err != unix.ENOBUFS {
		f.t.Error(err)
	}
}

// TestShieldFlood floods a port with SYNs and ACKs of strangers. Connections that were there go on, new ones are opened, and the stack
// sees next to nothing of the flood.
func TestShieldFlood(t *testing.T) {
	s, l := openShielded(t, netlab.Config{}, Config{Shield: bpf.ShieldAuto})
	ln, err := s.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	before := connect(t, s, l, ln, nil, true)
	f := newFlooder(t, l, 7)
	for range 3000 { // to come under pressure
		f.send(tcp.FlagSYN)
	}
	time.Sleep(20 * time.Millisecond)
	calm, _ := shieldCounts(t, s)
	if calm.Syns > 800 {
		t.Errorf("the stack got %d SYNs of the first 3000", calm.Syns)
	}
	frames := func() uint64 { r, _ := s.Report(); return r[0].Stats.Rx.Frames }
	runtime.GC()
	var mem [2]runtime.MemStats
	runtime.ReadMemStats(&mem[0])
	seen := frames()
	const flood = 60000
	for i := range flood / 2 {
		f.send(tcp.FlagSYN)
		f.send(tcp.FlagACK)
		if i%100 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	time.Sleep(20 * time.Millisecond)
	if n := frames() - seen; n > 100 {
		t.Errorf("of %d segments of the flood %d came to the stack", flood, n)
	}
	runtime.GC()
	runtime.ReadMemStats(&mem[1])
	if grown := int64(mem[1].HeapAlloc) - int64(mem[0].HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}

	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 50 {
				f.send(tcp.FlagSYN)
				f.send(tcp.FlagACK)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	for range 20 {
		p := connect(t, s, l, ln, nil, true)
		if err := p.transfer(1, 50<<10); err != nil {
			t.Error(err)
		}
	}
	if err := before.transfer(1, 1<<20); err != nil {
		t.Errorf("the connection that was there: %v", err)
	}
	close(stop)
	<-done
	total, program := shieldCounts(t, s)
	// Some of the ACKs share the place of a half-open connection's mark: one in 8,000.
	if total.CookiesRejected > 30 || total.Syns > calm.Syns+100 || program.Answered.SYNCookie < flood/4 || program.Dropped.BadCookie < flood/4 {
		t.Errorf("the stack: %+v; the program answered %+v, dropped %+v", total, program.Answered, program.Dropped)
	}
}
