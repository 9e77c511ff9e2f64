package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// device is a copy of stack.Device, which this package cannot import.
type device interface {
	Pool() *frame.Pool
	HardwareAddr() [6]byte
	MTU() int
	ChecksumOffload() (rx, tx bool)
	Receive(batch []frame.Desc) int
	Room() int
	Transmit(batch []frame.Desc) int
	Flush() error
	Recycle() int
	Wait(timeout time.Duration) error
	Wake()
	Close() error
}

var _ device = (*Device)(nil)

// pair makes two joined devices.
func pair(t *testing.T, seed uint64, cfg Config, imp Impairment) (n *Network, a, b *Device, l *Link) {
	t.Helper()
	n = NewNetwork(seed)
	var err error
	if a, err = n.NewDevice(cfg); err != nil {
		t.Fatal(err)
	}
	if b, err = n.NewDevice(cfg); err != nil {
		t.Fatal(err)
	}
	if l, err = n.Link(a, b, imp); err != nil {
		t.Fatal(err)
	}
	return n, a, b, l
}

// packet makes an IPv4 packet to a device, with a number in it.
func packet(to *Device, number, size int) []byte {
	b := make([]byte, max(size, 18))
	addr := to.HardwareAddr()
	copy(b, addr[:])
	b[12], b[13] = 0x08, 0
	binary.BigEndian.PutUint32(b[14:], uint32(number))
	return b
}

func number(b []byte) int { return int(binary.BigEndian.Uint32(b[14:])) }

// transmit sends one packet as a stack does, in as many frames as it needs, and reports whether the device took it.
func transmit(d *Device, b []byte) bool {
	p := d.Pool()
	var frames []frame.Desc
	for more := true; more; {
		f := p.Alloc()
		if f == frame.None {
			return false
		}
		desc := frame.Desc{Frame: f, Off: 100, Len: uint32(copy(p.Chunk(f)[100:], b))}
		b = b[desc.Len:]
		more = len(b) > 0
		desc.More = more
		frames = append(frames, desc)
	}
	n := d.Transmit(frames)
	for _, desc := range frames {
		p.Release(desc.Frame)
	}
	return n == len(frames)
}

// receive takes all received packets of a device.
func receive(d *Device) (packets [][]byte) {
	batch := make([]frame.Desc, frame.MaxFrames)
	for {
		n := d.Receive(batch)
		var b []byte
		for _, desc := range batch[:n] {
			b = append(b, d.Pool().Bytes(desc)...)
			d.Pool().Release(desc.Frame)
			if !desc.More {
				packets = append(packets, b)
				b = nil
			}
		}
		if n == 0 {
			d.Recycle()
			return packets
		}
	}
}

// TestLargePackets sends packets that lie in several frames, and more than the receiver has frames for.
func TestLargePackets(t *testing.T) {
	n, a, b, _ := pair(t, 1, Config{MTU: 65535, FrameSize: 4096, Frames: 256, CompletionDelay: time.Millisecond}, Impairment{})
	sizes := []int{60, 3840, 3841, 9000, 65535, 3996, 3997, 65549}
	for _, size := range sizes {
		p := packet(b, size, size)
		for i := 18; i < size; i++ {
			p[i] = byte(i * 7)
		}
		if !transmit(a, p) {
			t.Fatalf("%d bytes: not taken", size)
		}
	}
	a.Flush()
	n.RunFor(time.Second)
	a.Recycle()
	got := receive(b)
	if len(got) != len(sizes) {
		t.Fatalf("%d packets of %d: %+v", len(got), len(sizes), a.Stats())
	}
	for i, p := range got {
		if len(p) != sizes[i] || number(p) != sizes[i] || len(p) > 18 && p[len(p)-1] != byte((len(p)-1)*7) {
			t.Errorf("packet %d of %d bytes, want %d", i, len(p), sizes[i])
		}
	}
	for i := range 10 { // the receiver has 128 frames to receive into
		transmit(a, packet(b, i, 65549))
		a.Flush()
		n.RunFor(time.Second)
		a.Recycle()
	}
	got = receive(b)
	if st := a.Stats(); len(got) != 7 || st.PeerNoFrame+st.PeerRxFull != 3 {
		t.Errorf("%d large packets arrived: %+v", len(got), st)
	}
	checkFrames(t, a)
	checkFrames(t, b)
	if err := n.Err(); err != nil {
		t.Error(err)
	}
}

// stream is a Stepper that sends numbered packets, one a step, and another that keeps what it receives.
type stream struct {
	from, to *Device
	count    int
	size     int
	every    time.Duration
	sent     int
	next     clock.Time
	got      [][]byte
	at       []clock.Time
}

func (s *stream) Step(now clock.Time) bool {
	got := receive(s.to)
	s.got = append(s.got, got...)
	for range got {
		s.at = append(s.at, now)
	}
	s.from.Recycle()
	if s.sent == s.count || now < s.next || !transmit(s.from, packet(s.to, s.sent, s.size)) {
		return len(got) > 0
	}
	s.sent++
	s.next = now.Add(s.every)
	return s.from.Flush() == nil
}

func (s *stream) Deadline() clock.Time {
	if s.sent == s.count {
		return clock.Never
	}
	return s.next
}

// checkFrames checks that every frame of the devices is where it can be: with the device, or free.
func checkFrames(t *testing.T, devices ...*Device) {
	t.Helper()
	for _, d := range devices {
		if err := d.Pool().Check(); err != nil {
			t.Errorf("%s: %v", d.Name(), err)
		}
		if a := d.Pool().Account(); a.Held != 0 {
			t.Errorf("%s: %d frames are held: %+v", d.Name(), a.Held, a)
		}
	}
}

func TestPerfectLink(t *testing.T) {
	n, a, b, _ := pair(t, 1, Config{}, Impairment{Delay: 5 * time.Millisecond})
	s := &stream{from: a, to: b, count: 5000, size: 1514}
	n.RunFor(time.Second, s)
	if len(s.got) != s.count {
		t.Fatalf("received %d of %d", len(s.got), s.count)
	}
	for i, p := range s.got {
		if !bytes.Equal(p, packet(b, i, 1514)) {
			t.Fatalf("packet %d arrived as number %d with %d bytes", i, number(p), len(p))
		}
	}
	if d := s.at[0].Sub(Start); d != 5*time.Millisecond {
		t.Errorf("the first packet took %v", d)
	}
	if a.Stats().Sent != 5000 || b.Stats().Received != 5000 {
		t.Errorf("stats %+v %+v", a.Stats(), b.Stats())
	}
	checkFrames(t, a, b)
}

func TestReceivedFramesBelongToTheCaller(t *testing.T) {
	n, a, b, _ := pair(t, 1, Config{}, Impairment{})
	transmit(a, packet(b, 7, 60))
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	n.RunFor(time.Millisecond)
	batch := make([]frame.Desc, 4)
	if got := b.Receive(batch); got != 1 {
		t.Fatalf("received %d", got)
	}
	m := b.Pool().Meta(batch[0].Frame)
	if m.Off != batch[0].Off || m.Len != 60 || batch[0].Off != 256 {
		t.Errorf("record %+v, descriptor %+v", m, batch[0])
	}
	if acc := b.Pool().Account(); acc.Held != 1 {
		t.Errorf("account %+v", acc)
	}
	b.Pool().Release(batch[0].Frame)
	checkFrames(t, a, b)
}

func TestSameSeedSameRun(t *testing.T) {
	trace := func(seed uint64) string {
		imp := Impairment{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.1, Reorder: 0.1, Duplicate: 0.1, Corrupt: 0.1,
			Burst: Burst{Enter: 0.01, Leave: 0.3}, Rate: 100e6}
		n, a, b, _ := pair(t, seed, Config{}, imp)
		h := fnv.New64()
		n.Tap = func(now clock.Time, from, to *Device, b []byte) {
			fmt.Fprint(h, now, from.Name(), to.Name())
			h.Write(b)
		}
		n.RunFor(time.Second, &stream{from: a, to: b, count: 2000, size: 300}, &stream{from: b, to: a, count: 2000, size: 200})
		return fmt.Sprintf("%x", h.Sum64())
	}
	first, again, other := trace(1), trace(1), trace(2)
	if first != again {
		t.Error("two runs with the same seed differ")
	}
	if first == other {
		t.Error("two runs with different seeds are the same")
	}
}

func TestImpairments(t *testing.T) {
	const count = 20000
	for name, test := range map[string]struct {
		imp   Impairment
		check func(s *stream, st LinkStats) string
	}{
		"loss": {Impairment{Loss: 0.1}, func(s *stream, st LinkStats) string {
			return near("lost", count-len(s.got), int(st.Lost), count/10)
		}},
		"burst": {Impairment{Burst: Burst{Enter: 0.01, Leave: 0.1}}, func(s *stream, st LinkStats) string {
			return near("lost", count-len(s.got), int(st.BurstLost), count/11)
		}},
		"duplicate": {Impairment{Duplicate: 0.2}, func(s *stream, st LinkStats) string {
			return near("duplicated", len(s.got)-count, int(st.Duplicated), count/5)
		}},
		"reorder": {Impairment{Reorder: 0.1}, func(s *stream, st LinkStats) string {
			return near("late", late(s), int(st.Reordered), count/10)
		}},
		"jitter keeps the order": {Impairment{Jitter: 3 * time.Millisecond}, func(s *stream, _ LinkStats) string {
			return near("late", late(s), 0, 0)
		}},
		"corrupt": {Impairment{Corrupt: 0.3}, func(s *stream, st LinkStats) string {
			return near("corrupted", corrupted(t, s), int(st.Corrupted), count*3/10)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n, a, b, l := pair(t, 42, Config{}, test.imp)
			s := &stream{from: a, to: b, count: count, size: 64}
			n.RunFor(time.Second, s)
			if msg := test.check(s, l.Stats(a)); msg != "" {
				t.Error(msg)
			}
			if st := l.Stats(a); st.Packets != count {
				t.Errorf("stats %+v", st)
			}
			checkFrames(t, a, b)
		})
	}
}

// near compares an observed number with the counter, and with what is expected on average.
func near(what string, got, counted, want int) string {
	if got != counted || got < want*8/10 || got > want*12/10 {
		return fmt.Sprintf("%s: %d, counted %d, want about %d", what, got, counted, want)
	}
	return ""
}

// late counts the packets that arrived after one with a higher number.
func late(s *stream) (n int) {
	highest := -1
	for _, p := range s.got {
		if number(p) < highest {
			n++
		}
		highest = max(highest, number(p))
	}
	return n
}

// corrupted counts the packets that differ from what was sent, in one bit behind the Ethernet header.
func corrupted(t *testing.T, s *stream) (n int) {
	for i, p := range s.got {
		diff := 0
		for j, c := range packet(s.to, i, s.size) {
			for x := c ^ p[j]; x != 0; x &= x - 1 {
				diff++
				if j < ethernetHeader {
					t.Errorf("packet %d: byte %d of the Ethernet header changed", i, j)
				}
			}
		}
		if diff > 1 {
			t.Errorf("packet %d: %d bits changed", i, diff)
		}
		n += diff
	}
	return n
}

func TestRateAndQueue(t *testing.T) {
	n, a, b, l := pair(t, 1, Config{}, Impairment{Rate: 10e6, QueueLen: 20})
	s := &stream{from: a, to: b, count: 1000, size: 1250, every: 500 * time.Microsecond} // twice the rate
	n.RunFor(10*time.Second, s)
	if got := len(s.got); got < 500 || got > 530 {
		t.Errorf("received %d, want half and the queue", got)
	}
	if st := l.Stats(a); int(st.QueueFull) != 1000-len(s.got) {
		t.Errorf("stats %+v", st)
	}
	took := s.at[len(s.at)-1].Sub(s.at[0])
	if rate := float64(len(s.got)-1) * 1250 * 8 / took.Seconds(); rate < 9.9e6 || rate > 10.1e6 {
		t.Errorf("rate %.0f bit/s", rate)
	}
	entered := Start.Add(time.Duration(number(s.got[300])) * s.every)
	if wait := s.at[300].Sub(entered); wait < 20*time.Millisecond || wait > 22*time.Millisecond {
		t.Errorf("a packet waited %v, want the time of the queue's 20 packets and its own", wait)
	}
}

func TestDownAndFilter(t *testing.T) {
	n, a, b, l := pair(t, 1, Config{}, Impairment{})
	l.Down = true
	s := &stream{from: a, to: b, count: 10}
	n.RunFor(time.Millisecond, s)
	l.Down = false
	l.Filter = func(_ clock.Time, from *Device, p []byte) bool { return from == a && number(p)%2 == 0 }
	s.count = 20
	n.RunFor(time.Millisecond, s)
	if st := l.Stats(a); st.Down != 10 || st.Filtered != 5 || len(s.got) != 5 {
		t.Errorf("stats %+v, received %d", st, len(s.got))
	}
}

func TestReceiverWithoutRoom(t *testing.T) {
	for name, test := range map[string]struct {
		cfg     Config
		noFrame uint64
		rxFull  uint64
	}{
		"fill ring": {Config{FillRing: 8, RxRing: 16}, 12, 0},
		"rx ring":   {Config{FillRing: 16, RxRing: 4}, 0, 16},
	} {
		n, a, b, _ := pair(t, 1, test.cfg, Impairment{})
		for i := range 20 {
			transmit(a, packet(b, i, 60))
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		n.RunFor(time.Millisecond)
		if st := a.Stats(); st.PeerNoFrame != test.noFrame || st.PeerRxFull != test.rxFull {
			t.Errorf("%s: stats %+v", name, st)
		}
		if got := len(receive(b)); got != 20-int(test.noFrame+test.rxFull) {
			t.Errorf("%s: received %d", name, got)
		}
		a.Recycle()
		checkFrames(t, a, b)
		transmit(a, packet(b, 99, 60))
		_ = a.Flush()
		n.RunFor(time.Millisecond)
		if got := receive(b); len(got) != 1 || number(got[0]) != 99 {
			t.Errorf("%s: after there was room again: %d packets", name, len(got))
		}
	}
}

func TestTxRingIsBounded(t *testing.T) {
	n, a, b, _ := pair(t, 1, Config{TxRing: 8, CompletionDelay: time.Millisecond}, Impairment{})
	taken := 0
	for i := range 20 {
		if transmit(a, packet(b, i, 60)) {
			taken++
		}
	}
	if err := a.Flush(); err != nil || taken != 8 || a.Room() != 0 {
		t.Fatalf("took %d, room for %d, %v", taken, a.Room(), err)
	}
	if got := a.Recycle(); got != 0 || a.Room() != 0 || a.Pool().Account().TX != 8 {
		t.Fatalf("recycled %d before completion, room %d, %+v", got, a.Room(), a.Pool().Account())
	}
	n.RunFor(2 * time.Millisecond)
	if got := a.Recycle(); got != 8 || a.Room() != 8 {
		t.Errorf("recycled %d, room %d", got, a.Room())
	}
	receive(b)
	checkFrames(t, a, b)
}

// TestCompletionOrder has frames completed late, in another order than they were sent in, and in bulk.
func TestCompletionOrder(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     Config
		between [2]time.Duration // after the transmission
		bulk    bool
	}{
		"in order":     {Config{CompletionDelay: time.Millisecond}, [2]time.Duration{time.Millisecond, time.Millisecond}, true},
		"out of order": {Config{CompletionSpread: time.Second}, [2]time.Duration{0, time.Second}, false},
		"in bulk": {
			Config{CompletionDelay: time.Millisecond, CompletionPeriod: 300 * time.Millisecond},
			[2]time.Duration{200 * time.Millisecond, 200 * time.Millisecond}, true, // the network begins at a second
		},
	} {
		n, a, b, _ := pair(t, 7, c.cfg, Impairment{})
		for i := range 20 {
			transmit(a, packet(b, i, 60))
		}
		_ = a.Flush()
		start, times, last := n.Now(), map[time.Duration]bool{}, frame.Index(0)
		limit, sorted := n.Now().Add(2*time.Second), true
		n.RunUntil(limit, func() bool {
			for _, f := range a.done {
				after := n.Now().Sub(start)
				times[after] = true
				sorted = sorted && f >= last
				last = f
				if after < c.between[0] || after > c.between[1] {
					t.Errorf("%s: completed after %v", name, after)
				}
			}
			a.Recycle()
			return a.Room() == a.cfg.TxRing
		})
		if (len(times) == 1) != c.bulk || sorted != c.bulk || a.Room() != a.cfg.TxRing {
			t.Errorf("%s: completed at %d different times, in order: %v, %d in transmission", name, len(times), sorted, a.cfg.TxRing-a.Room())
		}
		receive(b)
		checkFrames(t, a, b)
	}
}

func TestWriteDuringTransmissionIsFound(t *testing.T) {
	for _, overwrite := range []bool{false, true} {
		n, a, b, _ := pair(t, 1, Config{CompletionDelay: time.Millisecond}, Impairment{})
		f := a.Pool().Alloc()
		d := frame.Desc{Frame: f, Len: 60}
		copy(a.Pool().Bytes(d), packet(b, 1, 60))
		a.Transmit([]frame.Desc{d})
		_ = a.Flush()
		if overwrite {
			a.Pool().Bytes(d)[20]++
		}
		n.RunFor(2 * time.Millisecond)
		a.Recycle()
		a.Pool().Release(f)
		if err := n.Err(); (err != nil) != overwrite {
			t.Errorf("overwritten: %v, error: %v", overwrite, err)
		}
		if got := receive(b); number(got[0]) != 1 || got[0][20] != 0 {
			t.Error("the change reached the receiver")
		}
	}
}

func TestPacketsThatCannotBeSent(t *testing.T) {
	_, a, b, _ := pair(t, 1, Config{MTU: 500}, Impairment{})
	for _, d := range []frame.Desc{{Off: 0, Len: 523}, {Off: 2000, Len: 60}, {Off: 4000, Len: 1}, {Off: 1 << 31, Len: 1 << 31}} {
		d.Frame = a.Pool().Alloc()
		a.Transmit([]frame.Desc{d})
		a.Pool().Release(d.Frame)
	}
	_ = a.Flush()
	if st := a.Stats(); st.TxOversize != 1 || st.TxMalformed != 3 || st.Sent != 0 {
		t.Errorf("stats %+v", st)
	}
	a.Recycle()
	checkFrames(t, a, b)
}

func TestSeveralLinks(t *testing.T) {
	n := NewNetwork(1)
	var devs []*Device
	for range 4 {
		d, err := n.NewDevice(Config{})
		if err != nil {
			t.Fatal(err)
		}
		devs = append(devs, d)
	}
	for _, d := range devs[1:] {
		if _, err := n.Link(devs[0], d, Impairment{}); err != nil {
			t.Fatal(err)
		}
	}
	transmit(devs[0], packet(devs[2], 5, 60))
	everyone := packet(devs[2], 6, 60)
	copy(everyone, "\xff\xff\xff\xff\xff\xff")
	transmit(devs[0], everyone)
	_ = devs[0].Flush()
	n.RunFor(time.Millisecond)
	for i, want := range []int{0, 1, 2, 1} {
		if got := len(receive(devs[i])); got != want {
			t.Errorf("device %d received %d, want %d", i, got, want)
		}
	}
	if _, err := n.Link(devs[0], devs[0], Impairment{}); err == nil {
		t.Error("a device can be linked to itself")
	}
}

func TestCloseReturnsEveryFrame(t *testing.T) {
	n, a, b, _ := pair(t, 1, Config{CompletionDelay: time.Millisecond}, Impairment{})
	for i := range 10 {
		transmit(a, packet(b, i, 60))
		if i == 5 {
			_ = a.Flush()
		}
	}
	n.RunFor(100 * time.Microsecond)
	for range 2 {
		_ = a.Close()
		_ = b.Close()
	}
	n.RunFor(time.Second)
	for _, d := range []*Device{a, b} {
		if err := d.Pool().Check(); err != nil || d.Pool().Free() != d.Pool().Size() {
			t.Errorf("%v, %+v", err, d.Pool().Account())
		}
		if d.Transmit(make([]frame.Desc, 1)) != 0 || d.Receive(make([]frame.Desc, 1)) != 0 || d.Recycle() != 0 || d.Flush() != nil {
			t.Error("a closed device works")
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for want, cfg := range map[string]Config{
		"minimum":      {MTU: 67},
		"does not fit": {MTU: 65535},
		"headroom":     {Headroom: -1},
		"none is left": {Frames: 64, FillRing: 64},
		"TX ring":      {TxRing: -1},
		"completion":   {CompletionSpread: -1},
		"fill ring":    {FillRing: 100},
		"RX ring":      {RxRing: 100},
		"chunk size":   {FrameSize: 3000},
		"memory":       {Frames: -1, FillRing: -2},
	} {
		if _, err := NewNetwork(1).NewDevice(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", cfg, err, want)
		}
	}
}
