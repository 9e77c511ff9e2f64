package afxdp

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

func tai(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_TAI, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

func needsTimestamps(t *testing.T, q Queue) {
	t.Helper()
	m := q.Mode()
	if !m.TxTimestamps && errnoOf(m.NoTxTimestamps) == unix.EINVAL {
		t.Skipf("this kernel has no metadata: %v", m.NoTxTimestamps)
	}
	if !m.TxTimestamps || !strings.Contains(m.String(), "transmit timestamps") {
		t.Fatalf("no times can be had: %+v", m)
	}
}

// TestTransmitTimestamps sends packets of which every third asks for its time, some with a checksum to be completed and some of
// several frames, and compares the times with the clock before and after.
func TestTransmitTimestamps(t *testing.T) {
	mtus := []int{1500, 9000}
	if _, cards, _ := netlab.CardsOfEnvironment(); cards {
		mtus = mtus[:1] // they take seconds to open
	}
	for _, mtu := range mtus {
		r := newRig(t, netlab.Config{MTU: mtu, Qdisc: "pfifo"}, Options{Mode: ModeCopy, TxStamps: 64, TxChecksum: TxChecksumDevice})
		q := r.queue()
		needsTimestamps(t, q)
		const packets = 120
		var want []uint32
		var got []TxStamp
		start := tai(t)
		for n := range uint32(packets) {
			d := r.sumless(q, n, 64, 200+int(n))
			if n%2 == 0 {
				d.Ask = 0
			}
			if n%3 == 0 {
				d.Ask |= frame.AskStamp
				want = append(want, 1000+n)
			}
			q.Pool().Meta(d.Frame).Seq = 1000 + n
			packet := []frame.Desc{d}
			if q.Mode().MultiBuffer && d.Ask&^frame.AskStamp != 0 && n%5 == 0 {
				packet = r.split(q, d, 5000)
			}
			r.sendPacket(q, packet)
			if n%40 == 39 {
				r.settle(q)
				var some [5]TxStamp
				for k := q.TxStamps(some[:]); k > 0; k = q.TxStamps(some[:]) {
					got = append(got, some[:k]...)
				}
			}
		}
		end := tai(t)
		var seqs []uint32
		for _, s := range got {
			seqs = append(seqs, s.Seq)
			if s.At < start || s.At > end {
				t.Errorf("packet %d was sent at %d, not between %d and %d", s.Seq, s.At, start, end)
			}
			start = s.At
		}
		if !slices.Equal(seqs, want) {
			t.Errorf("times of the packets %d, want of %d", seqs, want)
		}
		if s := q.Stats(); s.TxStampsLost != 0 || s.TxMalformed != 0 {
			t.Errorf("%+v", *s)
		}
		for n := range packets {
			if b := r.peer.readPacket(); b == nil || binary.BigEndian.Uint32(b[udpStart+8:]) != uint32(n) {
				t.Fatalf("packet %d arrived as %x", n, b)
			}
		}
		r.allBack(q)
		r.close()
		r.lab.Close()
	}
}

// TestTransmitTimestampsAreBounded asks for more times than are kept: those that are too many are counted, and the oldest are
// there.
func TestTransmitTimestampsAreBounded(t *testing.T) {
	r := newRig(t, netlab.Config{Qdisc: "pfifo"}, Options{Mode: ModeCopy, TxStamps: 10})
	q := r.queue()
	needsTimestamps(t, q)
	if _, tx := q.ChecksumOffload(); tx {
		t.Error("the device is to complete checksums, for which nobody asked")
	}
	for n := range uint32(25) {
		d := r.sumless(q, n, 64, 200)
		d.Ask = frame.AskStamp
		q.Pool().Meta(d.Frame).Seq = n
		r.sendPacket(q, []frame.Desc{d})
		if n == 3 { // so that the ring does not begin at its beginning
			r.settle(q)
			if got := q.TxStamps(make([]TxStamp, 3)); got != 3 {
				t.Errorf("%d times of 3", got)
			}
		}
	}
	r.settle(q)
	got := make([]TxStamp, 100)
	got = got[:q.TxStamps(got)]
	if len(got) != 10 || got[0].Seq != 3 || got[9].Seq != 12 || q.Stats().TxStampsLost != 25-13 {
		t.Errorf("%d times, %+v; %d lost", len(got), got, q.Stats().TxStampsLost)
	}
	if q.TxStamps(got) != 0 {
		t.Error("the times can be taken twice")
	}
	r.allBack(q)
}

// TestTransmitTimestampNotToBeHad asks for times of queues that do not give them: the packets are dropped and counted.
func TestTransmitTimestampNotToBeHad(t *testing.T) {
	forDrivers(t, Options{TxChecksum: TxChecksumStack}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		d := r.sumless(q, 1, 64, 200)
		d.Ask = frame.AskStamp
		r.sendPacket(q, []frame.Desc{d})
		if s := q.Stats(); s.TxMalformed != 1 || s.TxPackets != 0 || q.TxStamps(make([]TxStamp, 1)) != 0 {
			t.Errorf("%+v", *s)
		}
		r.allBack(q)
	})
}

// TestTransmitTimestampsDoNotAllocate sends packets that ask for their times, takes the times, and counts allocations.
func TestTransmitTimestampsDoNotAllocate(t *testing.T) {
	r := newRig(t, netlab.Config{}, Options{Mode: ModeCopy, TxStamps: 64})
	q := r.queue()
	needsTimestamps(t, q)
	taken, dst := 0, make([]TxStamp, 16)
	if allocs := testing.AllocsPerRun(50, func() {
		for i := range 8 {
			d := r.sumless(q, 1, 64, 1000)
			d.Ask = frame.AskStamp
			r.batch[i] = d
		}
		q.Transmit(r.batch[:8])
		for _, d := range r.batch[:8] {
			q.Pool().Release(d.Frame)
		}
		if err := q.Flush(); err != nil {
			t.Error(err)
		}
		q.Recycle()
		taken += q.TxStamps(dst)
	}); allocs != 0 {
		t.Errorf("%v allocations per turn", allocs)
	}
	r.settle(q) // a card takes its time
	if taken += q.TxStamps(make([]TxStamp, 64)); taken < 50*8 {
		t.Errorf("only %d times", taken)
	}
	r.allBack(q)
}
