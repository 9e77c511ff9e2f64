package receive

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/measure"
	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// station is a receiver on the stack's side of a lab, with an account of it.
type station struct {
	*Receiver
	*Account
	iface *afxdp.Interface
	stop  func() Where
}

// open opens the lab's interface. The receiver is begun by start.
func open(t *testing.T, lab *netlab.Lab, o afxdp.Options, s Steer) *station {
	t.Helper()
	st := &station{}
	err := lab.Stack.Do(func() (err error) {
		if st.iface, err = Open(lab.Stack.Interface, o, s); err == nil {
			st.Account = NewAccount(st.iface)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, q := range st.iface.Queues() {
			if err := q.Pool().Check(); err != nil {
				t.Error(err)
			}
		}
		if err := st.iface.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// start runs the receiver until stop, which returns where everything went.
func (st *station) start(t *testing.T, lab *netlab.Lab, cfg Config) {
	t.Helper()
	cfg.Queues, cfg.Quiet = st.iface.Queues(), st.Quiet
	var err error
	if st.Receiver, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	stopped := false
	st.stop = func() (w Where) {
		if stopped {
			return w
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = lab.Stack.Do(func() (err error) {
			if w, err = st.Read(st.Receiver); err != nil {
				t.Error(err)
			}
			return nil
		})
		if n := w.Unexplained(); n != 0 {
			t.Errorf("%d frames are unexplained: %+v", n, w)
		}
		return w
	}
	t.Cleanup(func() { st.stop() })
}

func own() Steer { return Steer{Address: ourIP} }

// datagramTo is one that the lab's kernel side can send to its stack side.
func datagramTo(lab *netlab.Lab) datagram {
	d := ordinary()
	d.to, d.from = lab.Stack.MAC, lab.Kernel.MAC
	return d
}

func TestDropsAndSaysSo(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "rx"})
	st := open(t, lab, afxdp.Options{}, own())
	st.start(t, lab, Config{Address: ourIP})
	w := openWire(t, lab.Kernel)
	for range 1000 {
		w.send(datagramTo(lab).bytes())
	}
	d := datagramTo(lab)
	d.dst = senderIP
	w.send(d.bytes())
	c, err := lab.Kernel.Dial("udp", "10.77.0.2:9") // the kernel has to ask for the address
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, st, func(q Queue) bool { return q.Dropped >= 1001 })
	where := st.stop()
	q, redirected := where.Queues[0], where.Program.Redirected
	if redirected.UDP != 1001 || redirected.ARP != 1 || where.Program.Passed.Address != 1 {
		t.Errorf("the program says %+v", where.Program)
	}
	if q.Dropped != 1001 || q.Answered != 1 || q.Stats.RxPackets != 1002 || q.Drops(where.Copying).Sum() != 0 {
		t.Errorf("%+v", q)
	}
}

// waitFor waits until the first queue's counters are as wanted.
func waitFor(t *testing.T, st *station, reached func(Queue) bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all, err := st.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if reached(all[0]) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after ten seconds: %+v", all)
		}
	}
}

// hoarder keeps the frames of what it is given.
type hoarder struct{ kept []frame.Index }

func (h *hoarder) Handle(batch []frame.Desc, pool *frame.Pool, _ uint64, c *Counters) int {
	for _, d := range batch {
		pool.Retain(d.Frame)
		h.kept = append(h.kept, d.Frame)
	}
	return 0
}

// TestEveryDropHasItsReason has the kernel drop frames in each way that it has.
func TestEveryDropHasItsReason(t *testing.T) {
	small := afxdp.Options{RxRing: 64, FillRing: 128, TxRing: 64, Frames: 256}
	t.Run("the RX ring is full", func(t *testing.T) {
		lab := netlab.ForTest(t, netlab.Config{Name: "rxfull"})
		st := open(t, lab, small, own())
		w := openWire(t, lab.Kernel)
		for range 500 {
			w.send(datagramTo(lab).bytes())
		}
		time.Sleep(10 * time.Millisecond)
		st.start(t, lab, Config{})
		waitFor(t, st, func(q Queue) bool { return q.Dropped == 64 })
		where := st.stop()
		// A card with zero-copy may stop to give frames to a full socket.
		full := where.Program.Redirected.UDP - 64
		if d := where.Queues[0].Drops(where.Copying); d != (Drops{RingFull: full}) || full == 0 || lab.Veth() && full != 436 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("no frame is free", func(t *testing.T) {
		lab := netlab.ForTest(t, netlab.Config{Name: "nofill"})
		if !lab.Veth() {
			t.Skip("a card with zero-copy that has no frame drops before the program sees the packet")
		}
		st := open(t, lab, small, own())
		h := &hoarder{}
		st.start(t, lab, Config{Handlers: []Handler{h}})
		w := openWire(t, lab.Kernel)
		for i := range 500 {
			w.send(datagramTo(lab).bytes())
			if i%32 == 31 {
				time.Sleep(time.Millisecond)
			}
		}
		waitFor(t, st, func(q Queue) bool { return q.Stats.RxPackets+q.Kernel.FillRingEmpty >= 500 })
		where := st.stop()
		d := where.Queues[0].Drops(where.Copying)
		if d.NoFrame == 0 || d != (Drops{NoFrame: 500 - uint64(len(h.kept))}) {
			t.Errorf("%+v, %d frames were kept; the kernel says %+v", d, len(h.kept), where.Queues[0].Kernel)
		}
		for _, f := range h.kept {
			st.iface.Queues()[0].Pool().Release(f)
		}
	})
	t.Run("no socket on the queue", func(t *testing.T) {
		lab := netlab.ForTest(t, netlab.Config{Name: "noqueue", Queues: 2})
		st := open(t, lab, afxdp.Options{Queues: []int{1}}, own())
		st.start(t, lab, Config{})
		w := openWire(t, lab.Kernel)
		const ports = 40
		for i := range ports { // the sender's kernel spreads flows over the queues
			d := datagramTo(lab)
			d.src = d.src.Next().Next()
			b := d.bytes()
			b[34], b[40] = byte(i), b[40]-byte(i)
			w.send(b)
		}
		waitFor(t, st, func(q Queue) bool {
			c, _ := st.iface.Program().Counters()
			return c.Redirected.UDP+c.Passed.NoSocket == ports
		})
		where := st.stop()
		if n := where.Queues[0].Dropped; n+where.Program.Passed.NoSocket != ports {
			t.Errorf("%d dropped, the program says %+v", n, where.Program)
		}
	})
}

func TestWholeInterface(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "whole"})
	st := open(t, lab, afxdp.Options{}, Steer{All: true})
	st.start(t, lab, Config{Address: ourIP})
	w := openWire(t, lab.Kernel)
	other := datagramTo(lab)
	other.dst = senderIP
	ipv6 := datagramTo(lab).bytes()
	ipv6[12], ipv6[13] = 0x86, 0xdd
	for _, b := range [][]byte{datagramTo(lab).bytes(), other.bytes(), ipv6, arpRequest(ourIP), arpRequest(senderIP)} {
		w.send(b)
	}
	waitFor(t, st, func(q Queue) bool { return q.Stats.RxPackets == 5 })
	where := st.stop()
	if r := where.Program.Redirected; r.UDP != 2 || r.Other != 1 || r.ARP != 2 || where.Queues[0].Answered != 1 {
		t.Errorf("%+v, %+v", where.Program, where.Queues[0])
	}
}

func TestReflectOverTheWire(t *testing.T) {
	for _, layer := range []Layer{Layer2, Layer3, Layer4} {
		t.Run(fmt.Sprint("layer ", layer), func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "reflect"})
			st := open(t, lab, afxdp.Options{}, own())
			r, err := NewReflector(layer, ourIP, nil)
			if err != nil {
				t.Fatal(err)
			}
			st.start(t, lab, Config{Handlers: []Handler{r}, Address: ourIP})
			w := openWire(t, lab.Kernel)
			const count = 300
			for i := range count {
				d := datagramTo(lab)
				d.src, d.payload = ourIP.Next(), 40+i // which the kernel does not have, so it does not answer
				w.send(d.bytes())
				want := d
				want.to, want.from = d.from, d.to
				if layer > Layer2 {
					want.src, want.dst = d.dst, d.src
				}
				b := want.bytes()
				if layer == Layer4 {
					b[34], b[35], b[36], b[37] = b[36], b[37], b[34], b[35]
				}
				if got := w.receive(); string(got) != string(b) {
					t.Fatalf("packet %d: % x, want\n% x", i, got, b)
				}
			}
			where := st.stop()
			if q := where.Queues[0]; q.Reflected != count || q.NotSent != 0 || q.Stats.TxPackets != count {
				t.Errorf("%+v", q)
			}
		})
	}
}

// tai is the present time by CLOCK_TAI, in ns.
func tai(t *testing.T) uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_TAI, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

// TestMeasuresWhatThePathDid sends packets over a path that loses, doubles, delays and damages them, and compares what the receiver says
// with what the path says it did.
func TestMeasuresWhatThePathDid(t *testing.T) {
	const delay = 2 * time.Millisecond
	for name, tt := range map[string]struct {
		impair impair.Config
		expect func(t *testing.T, path hop.Stats, r measure.Report, passed uint64)
	}{
		"nothing": {expect: func(t *testing.T, path hop.Stats, r measure.Report, _ uint64) {
			if r.Lost+r.Reordered+r.Duplicates != 0 {
				t.Errorf("%+v", r.Counts)
			}
		}},
		"loss": {impair.Config{Loss: 0.02}, func(t *testing.T, path hop.Stats, r measure.Report, _ uint64) {
			if path.Lost == 0 || r.Lost != path.Lost || r.Reordered+r.Duplicates != 0 {
				t.Errorf("lost %d, want %d; %+v", r.Lost, path.Lost, r.Counts)
			}
		}},
		"bursts of loss": {impair.Config{Burst: impair.Burst{Enter: 0.002, Leave: 0.1}},
			func(t *testing.T, path hop.Stats, r measure.Report, _ uint64) {
				if path.BurstLost == 0 || r.Lost != path.BurstLost {
					t.Errorf("lost %d, want %d; %+v", r.Lost, path.BurstLost, r.Counts)
				}
			}},
		"duplicates": {impair.Config{Duplicate: 0.03}, func(t *testing.T, path hop.Stats, r measure.Report, _ uint64) {
			if path.Duplicated == 0 || r.Duplicates != path.Duplicated || r.Lost+r.Reordered != 0 {
				t.Errorf("%d duplicates, want %d; %+v", r.Duplicates, path.Duplicated, r.Counts)
			}
		}},
		// Held back for longer than a sender is kept from its CPU: each is overtaken.
		"reordering": {impair.Config{Reorder: 0.03, ReorderBy: 150 * time.Millisecond},
			func(t *testing.T, path hop.Stats, r measure.Report, _ uint64) {
				if path.Reordered == 0 || r.Reordered != path.Reordered || r.Lost+r.Duplicates != 0 {
					t.Errorf("%d reordered, want %d; %+v", r.Reordered, path.Reordered, r.Counts)
				}
				if r.Extent.Max < 10 {
					t.Errorf("held back for 150 ms, at some 20 µs a packet: extents %+v", r.Extent)
				}
			}},
		"damage": {impair.Config{Corrupt: 0.03}, func(t *testing.T, path hop.Stats, r measure.Report, passed uint64) {
			// The program does not take what is not to our address any more, or has impossible lengths.
			if path.Corrupted == 0 || r.BadChecksum+r.NoSignature+passed != path.Corrupted || r.Lost != path.Corrupted {
				t.Errorf("%d with a wrong checksum, %d lost, %d passed, want %d; %+v", r.BadChecksum, r.Lost, passed, path.Corrupted,
					r.Counts)
			}
		}},
		"all of it": {impair.Config{Loss: 0.01, Duplicate: 0.01, Reorder: 0.02, ReorderBy: 8 * time.Millisecond},
			func(t *testing.T, path hop.Stats, r measure.Report, _ uint64) {
				if r.Lost != path.Lost || r.Duplicates != path.Duplicated {
					t.Errorf("lost %d, want %d; %d duplicates, want %d", r.Lost, path.Lost, r.Duplicates, path.Duplicated)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "path", Hop: true})
			tt.impair.Delay = delay
			path := openHop(t, lab, tt.impair)
			// The rings hold all that is sent: on a machine that does something else nothing is lost in them.
			st := open(t, lab, afxdp.Options{RxHints: true, RxRing: 8192, Frames: 32768}, own())
			recorder, err := measure.NewRecorder(measure.Config{})
			if err != nil {
				t.Fatal(err)
			}
			m := NewMeasurer(recorder, st.iface.Queues()[0])
			st.start(t, lab, Config{Handlers: []Handler{m}, Address: ourIP})
			const count = 4000
			w := openWire(t, lab.Kernel)
			begin := time.Now()
			for i := range count {
				if i == count-50 { // the last ones are not held back, so that they overtake who is
					time.Sleep(5 * time.Millisecond) // after those before them have entered
					path.Impair(impair.Config{Delay: delay}, impair.Config{}, 0)
				}
				d := datagramTo(lab)
				d.sign = &gen.Signature{Worker: 1, Sequence: uint32(i), Time: tai(t)}
				w.send(d.bytes())
				if i%16 == 15 {
					time.Sleep(time.Until(begin.Add(time.Duration(i) * 20 * time.Microsecond)))
				}
			}
			time.Sleep(delay + tt.impair.ReorderBy + 20*time.Millisecond)
			where := st.stop()
			ab, _ := path.Stats()
			report := recorder.Report()
			if err := report.Settle(count); err != nil {
				t.Fatal(err)
			}
			if ab.Overrun+ab.Refused+ab.NoRoom+where.Queues[0].Drops(where.Copying).Sum() != 0 {
				t.Fatalf("something else was lost: %+v, %+v", ab, where)
			}
			_, _, passed := where.Seen()
			tt.expect(t, ab, report, passed-where.Program.Passed.ARP-where.Program.Passed.NoSocket)
			if c := m.Clocks(); c.Kernel != report.Packets || c.Device+c.Worker != 0 {
				t.Errorf("%+v of %d packets", c, report.Packets)
			}
			if l := report.Latency; l.Min < delay.Nanoseconds() || l.Min > 10*delay.Nanoseconds() {
				t.Errorf("a delay of %v: latency %+v", delay, l)
			}
		})
	}
}

// openHop has frames from the kernel's side to the stack's go a bad way.
func openHop(t *testing.T, lab *netlab.Lab, cfg impair.Config) *hop.Hop {
	t.Helper()
	return hop.ForTest(t, lab.Hop.Do, hop.Config{A: lab.Hop.Kernel.Interface, B: lab.Hop.Stack.Interface, AB: cfg, Seed: 7})
}
