package tcp

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestFlowMarks has neighbours in one word be counted apart, from many goroutines.
func TestFlowMarks(t *testing.T) {
	words, regions := make([]uint32, 4), make([]uint32, 2)
	m := NewFlowMarks(words, regions)
	var all sync.WaitGroup
	for h := range uint32(16) {
		all.Go(func() {
			for range 200 {
				m.Add(h)
			}
			for range 200 - h {
				m.Remove(h)
			}
		})
	}
	all.Wait()
	for h := range uint32(64) {
		if got := words[h%16/4] >> (h % 4 * 8) & 0xff; got != h%16 || m.Has(h) != (h%16 != 0) {
			t.Errorf("place %d has %d, Has %v", h, got, m.Has(h))
		}
	}
	if regions[0] != 0+1+2+3+4+5+6+7 || regions[1] != 8+9+10+11+12+13+14+15 {
		t.Errorf("marks in each region: %d", regions)
	}
	if allocs := testing.AllocsPerRun(100, func() { m.Add(7); m.Remove(7) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestRecordsAreMarked takes half-open connections and TIME-WAIT through everything that can become of them.
func TestRecordsAreMarked(t *testing.T) {
	words, regions := make([]uint32, 1<<14), make([]uint32, 1<<9)
	k := newTestCore(t, Config{})
	k.Marks = NewFlowMarks(words, regions)
	l, err := NewListener(k, ListenerConfig{Backlog: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := &handshakePeer{t: t, l: l, now: clock.Time(1000 * time.Second)}
	table := NewTimeWaitTable(k, 50)
	random := rand.New(rand.NewPCG(1, 2))
	check := func() {
		t.Helper()
		total := 0
		for _, w := range words {
			for ; w != 0; w >>= 8 {
				total += int(w & 0xff)
			}
		}
		inRegions := 0
		for _, n := range regions {
			inRegions += int(n)
		}
		if total != inRegions || total != p.l.SynCount()+table.Len() {
			t.Fatalf("%d marks, %d in regions, for %d half-open and %d in TIME-WAIT", total, inRegions, p.l.SynCount(), table.Len())
		}
	}
	for i := range 3000 {
		f := flowNo(i)
		switch random.IntN(5) {
		case 0:
			p.handshake(f)
		case 1:
			p.want("SYN", f, syn(clientISS), VerdictReply)
			if !k.Marks.Has(k.Keys.Hash(f)) {
				t.Fatal("a half-open connection is not marked")
			}
		case 2:
			p.want("SYN", f, syn(clientISS), VerdictReply)
			p.want("RST", f, Segment{Seq: clientISS + 1, Flags: FlagRST}, VerdictDrop)
		case 3:
			table.Add(f, timeWaitRecord, p.now)
			if random.IntN(2) == 0 {
				table.Remove(f)
			}
		case 4:
			p.now = p.now.Add(time.Second)
			p.l.Expire(p.now)
			table.Expire(p.now)
		}
		if i%100 == 0 {
			check()
		}
	}
	check()
	p.l.Close()
	check()
	table.Unmark()
	if slices.ContainsFunc(slices.Concat(words, regions), func(w uint32) bool { return w != 0 }) {
		t.Error("marks are left")
	}
}

// TestCookieOfAnother has a listener take cookies that another sent with its secret, and only for as long as they are good.
func TestCookieOfAnother(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{})
	returned := func(f Flow) Segment {
		return Segment{Seq: 8, Ack: p.l.core.Keys.cookie(f, 7, 1460, p.now) + 1, Flags: FlagACK, HeaderLen: 20, Options: Options{WScale: -1}}
	}
	p.want("before", testFlow, returned(testFlow), VerdictReset)
	p.l.CookiesSent(p.now)
	p.want("after", testFlow, returned(testFlow), VerdictAccept)
	p.l.CookiesSent(p.now.Add(-time.Hour)) // what is known already does not end by that
	p.want("and again", flowNo(1), returned(flowNo(1)), VerdictAccept)

	// The SYN came again when the pressure was over: there is a record as well, with another number.
	s := syn(7)
	p.want("SYN", flowNo(2), s, VerdictReply)
	p.want("cookie beside a record", flowNo(2), returned(flowNo(2)), VerdictAccept)
	if p.l.SynCount() != 0 || p.l.Accepted().ISS != p.l.core.Keys.cookie(flowNo(2), 7, 1460, p.now) {
		t.Errorf("%d half open, accepted %+v", p.l.SynCount(), p.l.Accepted())
	}
	p.want("SYN", flowNo(3), s, VerdictReply)
	bad := returned(flowNo(3))
	bad.Ack += 100
	p.want("no cookie beside a record", flowNo(3), bad, VerdictReset)
	good := returned(flowNo(3))
	p.now = p.now.Add(2 * cookiePeriod)
	p.want("too late", flowNo(3), good, VerdictReset)
}
