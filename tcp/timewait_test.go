package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// timeWaitRecord is a connection that has numbers about to wrap on both sides.
var timeWaitRecord = TimeWaitRecord{SndNxt: 1<<32 - 1, RcvNxt: 100, TSRecent: 1<<32 - 10, TSOffset: 77, Window: 512, HasTS: true}

func TestTimeWaitInput(t *testing.T) {
	const now = clock.Time(time.Hour)
	ts := func(s Segment, v uint32) Segment { s.HasTS, s.TSVal = true, v; return s }
	const fresh, stale = 5, 1<<32 - 11 // timestamps: after the last one, before it
	for _, c := range []struct {
		name    string
		seg     Segment
		noTS    bool // the connection had no timestamps
		want    Verdict
		restart bool
	}{
		{"FIN again", ts(Segment{Seq: 99, Ack: 1<<32 - 1, Flags: FlagFIN | FlagACK}, fresh), false, VerdictReply, true},
		{"FIN again, no timestamps", Segment{Seq: 99, Ack: 1<<32 - 1, Flags: FlagFIN | FlagACK}, true, VerdictReply, true},
		{"data and FIN again", ts(Segment{Seq: 89, PayloadLen: 10, Flags: FlagFIN | FlagACK}, fresh), false, VerdictReply, true},
		{"FIN with an old timestamp", ts(Segment{Seq: 99, Flags: FlagFIN | FlagACK}, stale), false, VerdictReply, false},
		{"another FIN", ts(Segment{Seq: 150, Flags: FlagFIN | FlagACK}, fresh), false, VerdictReply, false},
		{"old data", ts(Segment{Seq: 50, PayloadLen: 10, Flags: FlagACK}, fresh), false, VerdictReply, false},
		{"data after the FIN", ts(Segment{Seq: 100, PayloadLen: 10, Flags: FlagACK}, fresh), false, VerdictReply, false},
		{"ACK", ts(Segment{Seq: 100, Flags: FlagACK}, fresh), false, VerdictDrop, false},
		{"old ACK", ts(Segment{Seq: 20, Flags: FlagACK}, stale), false, VerdictDrop, false},
		{"reset", Segment{Seq: 100, Flags: FlagRST}, false, VerdictDrop, false},
		{"reset with ACK", Segment{Seq: 100, Flags: FlagRST | FlagACK}, false, VerdictDrop, false},

		{"SYN, newer timestamp, number before", ts(Segment{Seq: 1 << 31, Flags: FlagSYN}, fresh), false, VerdictReopen, false},
		{"SYN, same timestamp, number after", ts(Segment{Seq: 100, Flags: FlagSYN}, 1<<32-10), false, VerdictReopen, false},
		{"SYN, same timestamp, number before", ts(Segment{Seq: 99, Flags: FlagSYN}, 1<<32-10), false, VerdictReply, false},
		{"SYN, older timestamp, number after", ts(Segment{Seq: 500, Flags: FlagSYN}, stale), false, VerdictReply, false},
		{"SYN, timestamp gone, number after", Segment{Seq: 100, Flags: FlagSYN}, false, VerdictReopen, false},
		{"SYN, timestamp gone, number before", Segment{Seq: 99, Flags: FlagSYN}, false, VerdictReply, false},
		{"SYN, timestamp is new, number before", ts(Segment{Seq: 5, Flags: FlagSYN}, 3), true, VerdictReopen, false},
		{"SYN, never timestamps, number after", Segment{Seq: 100, Flags: FlagSYN}, true, VerdictReopen, false},
		{"SYN, never timestamps, number before", Segment{Seq: 5, Flags: FlagSYN}, true, VerdictReply, false},
		{"SYN-ACK", ts(Segment{Seq: 500, Flags: FlagSYN | FlagACK}, fresh), false, VerdictReply, false},
	} {
		table := NewTimeWaitTable(newTestCore(t, Config{}), 0)
		rec := timeWaitRecord
		rec.HasTS = !c.noTS
		table.Add(testFlow, rec, now)
		var out OutSegment
		found, v := table.Input(testFlow, &c.seg, true, now.Add(10*time.Second), &out)
		if !found || v != c.want {
			t.Errorf("%s: found %v, verdict %d; want verdict %d", c.name, found, v, c.want)
			continue
		}
		switch v {
		case VerdictReopen:
			if table.Has(testFlow) || out.Seq != rec.SndNxt.Add(1<<16+1) {
				t.Errorf("%s: initial number %d, still there: %v", c.name, out.Seq, table.Has(testFlow))
			}
			continue
		case VerdictReply:
			if out.Flags != FlagACK || out.Seq != rec.SndNxt || out.Ack != rec.RcvNxt || out.Window != rec.Window || out.HasTS == c.noTS {
				t.Errorf("%s: answer %+v", c.name, out)
			}
			if wantTS := now.Add(10*time.Second).Millis() + 77; out.HasTS && out.TSVal != wantTS {
				t.Errorf("%s: timestamp %d, want %d", c.name, out.TSVal, wantTS)
			}
		}
		want := now.Add(60 * time.Second)
		if c.restart {
			want = want.Add(10 * time.Second)
		}
		if got := table.Deadline(); got != want {
			t.Errorf("%s: ends after %v, want %v", c.name, got.Sub(now), want.Sub(now))
		}
	}
}

func TestTimeWaitUnknownFlow(t *testing.T) {
	table := NewTimeWaitTable(newTestCore(t, Config{}), 0)
	var out OutSegment
	if found, _ := table.Input(testFlow, &Segment{Flags: FlagACK}, true, 1, &out); found || table.Has(testFlow) {
		t.Error("found in an empty table")
	}
	table.Remove(testFlow)
	if table.Deadline() != clock.Never {
		t.Error("an empty table has a deadline")
	}
}

func TestTimeWaitExpires(t *testing.T) {
	k := newTestCore(t, Config{TimeWait: 10 * time.Second})
	table := NewTimeWaitTable(k, 0)
	start := clock.Time(1e9)
	for i := range 1000 {
		table.Add(flowNo(i), timeWaitRecord, start.Add(time.Duration(i)*ms))
	}
	table.Add(flowNo(5), timeWaitRecord, start.Add(time.Second)) // again: its time begins anew
	if table.Len() != 1000 {
		t.Errorf("%d records, want 1000", table.Len())
	}
	table.Expire(start.Add(10*time.Second + 499*ms))
	for i := range 1000 {
		if got, want := table.Has(flowNo(i)), i >= 500 || i == 5; got != want {
			t.Errorf("flow %d: %v after half of them expired", i, got)
		}
	}
	table.Remove(flowNo(500))
	if got := table.Deadline(); got != start.Add(10*time.Second+501*ms) {
		t.Errorf("the next ends after %v", got.Sub(start))
	}
	table.Expire(start.Add(time.Hour))
	if table.Len() != 0 || table.Deadline() != clock.Never || k.Stats.TimeWait.Expired != 999 {
		t.Errorf("%d records left, %d expired", table.Len(), k.Stats.TimeWait.Expired)
	}
}

func TestTimeWaitEvictsOldest(t *testing.T) {
	k := newTestCore(t, Config{})
	table := NewTimeWaitTable(k, 100)
	for i := range 250 {
		table.Add(flowNo(i), timeWaitRecord, clock.Time(i))
	}
	if table.Len() != 100 || k.Stats.TimeWait.Evicted != 150 {
		t.Errorf("%d records, %d evicted", table.Len(), k.Stats.TimeWait.Evicted)
	}
	for i := range 250 {
		if table.Has(flowNo(i)) != (i >= 150) {
			t.Errorf("flow %d: %v", i, table.Has(flowNo(i)))
		}
	}
}

// TestFlowTable compares the table with a map, through growth and reuse.
func TestFlowTable(t *testing.T) {
	keys := NewKeys([16]byte{9})
	table := newFlowTable[int32](&keys, nil, 5000)
	want := map[Flow]int32{}
	for i := range int32(30_000) {
		f := flowNo(int(i*7919%9973) + 1)
		if at := table.find(f); at != none {
			if table.at(at).rec != want[f] {
				t.Fatalf("flow %v has %d, want %d", f, table.at(at).rec, want[f])
			}
			table.remove(at)
			delete(want, f)
			continue
		}
		at := table.add(f)
		if at == none {
			if len(want) != 5000 {
				t.Fatalf("full with %d records", len(want))
			}
			continue
		}
		table.at(at).rec = i
		want[f] = i
	}
	if table.n != len(want) {
		t.Errorf("%d records, want %d", table.n, len(want))
	}
	for f, i := range want {
		if at := table.find(f); at == none || table.at(at).rec != i {
			t.Errorf("flow %v is lost", f)
		}
	}
}

func TestTimeWaitDoesNotAllocate(t *testing.T) {
	table := NewTimeWaitTable(newTestCore(t, Config{}), 256)
	var out OutSegment
	i := 0
	run := func() {
		f := flowNo(i)
		now := clock.Time(i)
		table.Add(f, timeWaitRecord, now)
		table.Input(f, &Segment{Seq: 99, Flags: FlagFIN | FlagACK, Options: Options{HasTS: true}}, true, now, &out)
		i++
	}
	for range 1000 {
		run()
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTimeWaitAdd(b *testing.B) {
	table := NewTimeWaitTable(newTestCore(b, Config{}), 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Add(flowNo(i), timeWaitRecord, clock.Time(i))
	}
}
