package stack

import (
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// watchedDevice is a queue that loses packets in both directions, at times takes no completions for a while, and makes sure that nobody
// writes to a frame which the kernel, or the card, has to send.
type watchedDevice struct {
	Device
	random   *rand.Rand
	loss     float64
	lazy     time.Duration // how long completions are left at most
	until    time.Time     // they are left until then
	sums     map[frame.Index]watchedFrame
	lost     int
	stayed   int // frames that were in transmission still when they were looked at
	rewrites int
}

type watchedFrame struct {
	frame.Desc
	sum uint32
}

func (d *watchedDevice) Receive(batch []frame.Desc) int {
	n, kept := d.Device.Receive(batch), 0
	for _, p := range batch[:n] {
		if d.random.Float64() < d.loss {
			d.Pool().Release(p.Frame)
			d.lost++
			continue
		}
		batch[kept] = p
		kept++
	}
	return kept
}

func (d *watchedDevice) Transmit(batch []frame.Desc) int {
	p := d.Pool()
	for i := range batch {
		if d.random.Float64() < d.loss {
			d.lost++
			continue
		}
		if d.Device.Transmit(batch[i:i+1]) == 0 {
			return i
		}
		d.sums[batch[i].Frame] = watchedFrame{batch[i], crc32.ChecksumIEEE(p.Bytes(batch[i]))}
	}
	return len(batch)
}

func (d *watchedDevice) Recycle() int {
	d.look()
	now := time.Now()
	if d.lazy > 0 && now.After(d.until) && d.random.IntN(100) == 0 {
		d.until = now.Add(time.Duration(d.random.Int64N(int64(d.lazy))))
	}
	if now.Before(d.until) {
		return 0
	}
	return d.Device.Recycle()
}

// look compares what is in transmission with what it was when it was given.
func (d *watchedDevice) look() {
	p := d.Pool()
	for f, w := range d.sums {
		if !p.InTransmission(f) {
			delete(d.sums, f)
			continue
		}
		d.stayed++
		if crc32.ChecksumIEEE(p.Bytes(w.Desc)) != w.sum {
			d.rewrites++
			delete(d.sums, f)
		}
	}
}

// newWatched opens a stack on one end of the lab over a watched queue.
func newWatched(t *testing.T, opt afxdp.Options, loss float64, lazy time.Duration) (*Stack, *netlab.Lab, *watchedDevice) {
	t.Helper()
	l := netlab.ForTest(t, netlab.Config{})
	var iface *afxdp.Interface
	err := l.Stack.Do(func() (err error) {
		iface, err = afxdp.Open(l.Stack.Interface, opt, bpf.Config{Mode: bpf.OwnAddress})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { iface.Close() })
	if err := iface.Program().AddAddress(l.Stack.Address.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Log(iface.Describe())
	d := &watchedDevice{
		Device: iface.Queues()[0], random: rand.New(rand.NewPCG(1, 2)), loss: loss, lazy: lazy,
		sums: make(map[frame.Index]watchedFrame),
	}
	s, err := New(Config{Address: l.Stack.Address}, d)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { closeChecked(t, s) })
	if err := l.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return s, l, d
}

// TestFramesInTransmission has the kernel's TCP, of an impatient client and of one that goes away, get data back from an echo on the
// stack over a queue that loses packets and takes completions late. No frame that is in transmission is written to, and all come back.
func TestFramesInTransmission(t *testing.T) {
	small := afxdp.Options{Frames: 512, FillRing: 128, RxRing: 64, TxRing: 64, CompletionRing: 64}
	for name, c := range map[string]struct {
		opt  afxdp.Options
		loss float64
		lazy time.Duration
	}{
		"loss":             {afxdp.Options{}, 0.02, 0},
		"late completions": {afxdp.Options{}, 0.01, 300 * time.Millisecond},
		"small rings":      {small, 0.01, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s, l, d := newWatched(t, c.opt, c.loss, c.lazy)
			if _, err := s.Handle(":7", &slowEcho{}); err != nil {
				t.Fatal(err)
			}
			for _, away := range []bool{false, true} {
				// A slow machine may take so long to answer ARP, of which some is lost, that the kernel gives up.
				conn, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
				for end := time.Now().Add(30 * time.Second); errors.Is(err, syscall.EHOSTUNREACH) && time.Now().Before(end); {
					conn, err = l.Kernel.Dial("tcp", addr(s.Address(), 7))
				}
				if err != nil {
					t.Fatal(err)
				}
				echoPattern(t, conn.(*net.TCPConn), 1<<20, away)
			}
			pool := s.shards[0].pool
			eventually(t, "every frame to be back", func() bool {
				var a frame.Account
				s.shards[0].call(func(*Shard) { a = pool.Account() })
				return a.Held == 0 && a.TX == 0
			})
			s.shards[0].call(func(*Shard) {
				if err := pool.Check(); err != nil {
					t.Error(err)
				}
				if d.rewrites != 0 || d.lost == 0 {
					t.Errorf("%d frames were written to while they were in transmission, %d packets lost", d.rewrites, d.lost)
				}
				t.Logf("%d packets lost, %d looks at frames in transmission", d.lost, d.stayed)
			})
		})
	}
}

// echoPattern sends size bytes and compares what comes back, or goes away in the middle of it.
func echoPattern(t *testing.T, c *net.TCPConn, size int, away bool) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	value := func(i int) byte { return byte(i ^ i>>8 ^ i>>16) }
	go func() {
		b := make([]byte, 16<<10)
		for n := 0; n < size; n += len(b) {
			for i := range b {
				b[i] = value(n + i)
			}
			if _, err := c.Write(b); err != nil {
				if !away {
					t.Errorf("write: %v", err)
				}
				return
			}
		}
	}()
	if away {
		if _, err := io.ReadFull(c, make([]byte, size/4)); err != nil {
			t.Error(err)
		}
		c.SetLinger(0)
		return
	}
	got := make([]byte, size)
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
	for i, b := range got {
		if b != value(i) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}
