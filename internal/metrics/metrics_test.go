package metrics

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

type inner struct {
	Timeouts uint64 `help:"gave up"`
	hidden   uint64
}

type Embedded struct {
	FromBelow uint64
}

type stats struct {
	RxPackets uint64 `help:"packets received"`
	Free      uint64 `help:"free frames" kind:"gauge"`
	Embedded
	Reasm    inner
	PerQueue [2]inner
	ByAction [2]uint64 `help:"by action"`
	Shards   []inner
	More     *inner
	Name     string
	Small    uint32
	Names    []string
	private  uint64
}

func sample() stats {
	return stats{
		RxPackets: 1, Free: 2, Embedded: Embedded{3}, Reasm: inner{4, 99}, PerQueue: [2]inner{{5, 99}, {6, 99}},
		ByAction: [2]uint64{7, 8}, Shards: []inner{{9, 99}}, More: &inner{10, 99}, Name: "x", Small: 99,
		Names: []string{"y"}, private: 99,
	}
}

func TestWalk(t *testing.T) {
	want := []Metric{
		{"s_rx_packets", "packets received", 1, false},
		{"s_free", "free frames", 2, true},
		{"s_from_below", "", 3, false},
		{"s_reasm_timeouts", "gave up", 4, false},
		{"s_per_queue_0_timeouts", "gave up", 5, false},
		{"s_per_queue_1_timeouts", "gave up", 6, false},
		{"s_by_action_0", "by action", 7, false},
		{"s_by_action_1", "by action", 8, false},
		{"s_shards_0_timeouts", "gave up", 9, false},
		{"s_more_timeouts", "gave up", 10, false},
	}
	s := sample()
	for _, in := range []any{s, &s} {
		var got []Metric
		Walk("s", in, func(m Metric) { got = append(got, m) })
		if !slices.Equal(got, want) {
			t.Errorf("%T:\ngot  %v\nwant %v", in, got, want)
		}
	}
}

func TestWalkNoPrefixNoStruct(t *testing.T) {
	var got []string
	Walk("", inner{}, func(m Metric) { got = append(got, m.Name) })
	for _, in := range []any{nil, 7, "x", (*inner)(nil), stats{}.Shards} {
		Walk("no", in, func(m Metric) { got = append(got, m.Name) })
	}
	if !slices.Equal(got, []string{"timeouts"}) {
		t.Errorf("got %v", got)
	}
}

func TestSnakeCase(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Rx": "rx", "RxPackets": "rx_packets", "RSTsSent": "rsts_sent", "ACKs": "acks", "DupACKs": "dup_acks",
		"SYNCookies": "syn_cookies", "IPv4BadLength": "ipv4_bad_length", "BadIPv6": "bad_ipv6", "KickEAGAIN": "kick_eagain",
		"OOOSegments": "ooo_segments", "TX": "tx", "A": "a", "ARPRequests": "arp_requests", "Over2MSL": "over2_msl",
		"BadChecksum": "bad_checksum", "MSSClamped": "mss_clamped", "already_snake": "already_snake",
	} {
		if got := SnakeCase(in); got != want {
			t.Errorf("SnakeCase(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSub(t *testing.T) {
	a, b := sample(), sample()
	a.RxPackets, a.Free = 11, 5
	a.Shards = []inner{{20, 0}, {3, 0}}
	a.More, b.More = &inner{4, 0}, nil
	got := Sub(a, b)
	if got.RxPackets != 10 || got.Reasm.Timeouts != 0 || got.ByAction != [2]uint64{} || got.FromBelow != 0 {
		t.Errorf("counters: %+v", got)
	}
	if got.Free != 5 {
		t.Errorf("gauge is %d, want the later snapshot's 5", got.Free)
	}
	if got.Shards[0].Timeouts != 11 || got.Shards[1].Timeouts != 3 || got.More.Timeouts != 4 {
		t.Errorf("referred: %+v %+v", got.Shards, got.More)
	}
	if a.Shards[0].Timeouts != 20 || a.More == got.More {
		t.Error("the result shares memory with an argument")
	}
	if got.Name != "x" || got.private != 99 || got.Small != 99 {
		t.Errorf("other fields: %+v", got)
	}
	if p := Sub(&a, &b); p.RxPackets != 10 || a.RxPackets != 11 {
		t.Errorf("of pointers: %+v from %+v", p, a)
	}
}

func TestAddIsInverse(t *testing.T) {
	a, b := sample(), sample()
	sum := Add(a, b)
	if sum.RxPackets != 2 || sum.Free != 4 || sum.PerQueue[1].Timeouts != 12 || sum.Shards[0].Timeouts != 18 {
		t.Errorf("sum: %+v", sum)
	}
	b.Free = 0
	a.Free = sum.Free
	if diff := Sub(sum, b); !reflect.DeepEqual(values(diff), values(a)) {
		t.Errorf("(a+b)-b = %v, want %v", values(diff), values(a))
	}
	if zero := Add(stats{}, stats{}); zero.Shards != nil || zero.More != nil {
		t.Errorf("sum of nothing: %+v", zero)
	}
}

func values(s stats) (v []uint64) {
	Walk("", s, func(m Metric) { v = append(v, m.Value) })
	return v
}

func TestRegistry(t *testing.T) {
	var r Registry
	broken := errors.New("shard is gone")
	r.Register("a", func() (any, error) { return inner{Timeouts: 1}, nil })
	drop := r.Register("b", func() (any, error) { return nil, broken })
	r.Register("c", func() (any, error) { return &inner{Timeouts: 3}, nil })
	got, err := r.Collect()
	if len(got) != 2 || got[0].Name != "a_timeouts" || got[1].Name != "c_timeouts" {
		t.Errorf("got %v", got)
	}
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("error %v", err)
	}
	drop()
	drop()
	if got, err := r.Collect(); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRegistryConcurrently(t *testing.T) {
	var r Registry
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				drop := r.Register("x", func() (any, error) { return inner{}, nil })
				if _, err := r.Collect(); err != nil {
					t.Error(err)
				}
				drop()
			}
		})
	}
	wg.Wait()
	if got, _ := r.Collect(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}
