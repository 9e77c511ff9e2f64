package stack

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/corpus"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// corpora are the seeds of the fuzz targets whose input comes from the wire, or is as good as such.
var corpora = []struct {
	dir   string // below the module's
	layer corpus.Layer
}{
	{"ethernet/testdata/fuzz/FuzzParse", corpus.Frame},
	{"ethernet/testdata/fuzz/FuzzNeighbours", corpus.ARP},
	{"gen/measure/testdata/fuzz/FuzzPacket", corpus.Frame},
	{"gen/receive/testdata/fuzz/FuzzReflector", corpus.Frame},
	{"ipv4/testdata/fuzz/FuzzParse", corpus.Packet},
	{"ipv4/testdata/fuzz/FuzzReassembler", corpus.Piece},
	{"ipv4/testdata/fuzz/FuzzParse", corpus.Control},
	{"udp/testdata/fuzz/FuzzParse", corpus.UDP},
	{"tcp/testdata/fuzz/FuzzParse", corpus.Segment},
	{"tcp/testdata/fuzz/FuzzListener", corpus.Segment},
	{"tcp/testdata/fuzz/FuzzConn", corpus.Stream},
	{"tcp/testdata/fuzz/FuzzPair", corpus.Stream},
	{"tcp/testdata/fuzz/FuzzReassembly", corpus.Stream},
}

// corpusFrames are sent of each corpus.
const corpusFrames = 10_000

// TestCorporaOnTheWire sends malformed frames at a stack that serves meanwhile. Its clients do not notice, each frame that the XDP program
// redirected was taken in, and no memory is lost.
func TestCorporaOnTheWire(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{Name: "corpora", Qdisc: "pfifo"}, Config{})
	service := startBystander(t, s, l)
	wire := openWire(t, l.Kernel)
	for i, c := range corpora {
		seeds, err := corpus.Read(filepath.Join("..", filepath.FromSlash(c.dir)))
		if err != nil {
			t.Fatal(err)
		}
		ends := corpus.Ends{From: wire.mac, To: s.HardwareAddr(), FromIP: l.Kernel.Address.Addr().As4(), ToIP: s.local, Port: 7}
		// Somebody else than the bystander, so that none of its connections is hit by chance.
		ends.FromIP[3] = 200
		frames := corpus.New(seeds, c.layer, ends, uint64(i)+1)
		for range corpusFrames {
			wire.send(t, frames.Next())
		}
		service.look(t, c.dir)
	}
	service.stop(t)
	settleFrames(t, s)
}

// wire is a packet socket.
type wire struct {
	fd   int
	mac  [6]byte
	sent uint64
}

func openWire(t *testing.T, side *netlab.Side) *wire {
	t.Helper()
	w := &wire{}
	err := side.Do(func() error {
		nic, err := net.InterfaceByName(side.Interface)
		if err != nil {
			return err
		}
		copy(w.mac[:], nic.HardwareAddr)
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Ifindex: nic.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

func (w *wire) send(t *testing.T, b []byte) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		err := unix.Send(w.fd, b, 0)
		if err == nil {
			w.sent++
			return
		}
		if !errors.Is(err, syscall.ENOBUFS) || time.Now().After(end) {
			t.Fatalf("send a frame of %d bytes: %v", len(b), err)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// bystander is a client of the stack's echo, from the kernel's side: one connection that stays, and new ones.
type bystander struct {
	s     *Stack
	stay  net.Conn
	dial  func() (net.Conn, error)
	ended chan error
	quit  chan struct{}
	many  int
}

func startBystander(t *testing.T, s *Stack, l *netlab.Lab) *bystander {
	t.Helper()
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	b := &bystander{s: s, ended: make(chan error, 1), quit: make(chan struct{})}
	b.dial = func() (net.Conn, error) { return l.Kernel.Dial("tcp", addr(s.Address(), 7)) }
	var err error
	if b.stay, err = b.dial(); err != nil {
		t.Fatal(err)
	}
	go func() { b.ended <- b.run() }()
	return b
}

func (b *bystander) run() error {
	defer b.stay.Close()
	for {
		select {
		case <-b.quit:
			return nil
		case <-time.After(5 * time.Millisecond):
		}
		c, err := b.dial()
		if err != nil {
			return err
		}
		err = errors.Join(ask(b.stay), ask(c), c.Close())
		if err != nil {
			return err
		}
		b.many++
	}
}

// ask has an echo send back what it is sent.
func ask(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	text := "is anybody there?"
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return errors.New("the echo differs: " + string(got))
	}
	return nil
}

// look fails the test if service has ended.
func (b *bystander) look(t *testing.T, during string) {
	t.Helper()
	select {
	case err := <-b.ended:
		t.Fatalf("service ended during %s: %v", during, err)
	default:
	}
}

func (b *bystander) stop(t *testing.T) {
	t.Helper()
	close(b.quit)
	if err := <-b.ended; err != nil || b.many == 0 {
		t.Errorf("service: %d connections, %v", b.many, err)
	}
}

// settleFrames checks that what was redirected has been taken in, and that no frame is lost, when the wire is quiet.
func settleFrames(t *testing.T, s *Stack) {
	t.Helper()
	var redirected, received uint64
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		counters, err := s.Interface().Program().Counters()
		if err != nil {
			t.Fatal(err)
		}
		redirected = 0
		metrics.Walk("", counters.Redirected, func(m metrics.Metric) { redirected += m.Value })
		reports, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		r := &reports[0]
		kernel := r.Device.Socket
		received = r.Stats.Rx.Frames + kernel.RxDropped + kernel.RxRingFull + kernel.FillRingEmpty
		if received == redirected && r.Frames.Held == 0 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("%d frames redirected, %d taken in or dropped by the socket; %d are held", redirected, received, r.Frames.Held)
			break
		}
	}
	var err error
	s.shards[0].call(func(sh *Shard) { err = sh.pool.Check() })
	if err != nil {
		t.Error(err)
	}
}
