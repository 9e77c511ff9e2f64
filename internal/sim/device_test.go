package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

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
