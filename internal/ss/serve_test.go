package ss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

type handler struct{}

func (handler) Opened(*stack.Conn)           {}
func (handler) Received(*stack.Conn, []byte) {}
func (handler) Writable(*stack.Conn)         {}
func (handler) PeerClosed(*stack.Conn)       {}
func (handler) Closed(*stack.Conn, error)    {}

// served is a stack with some connections whose SYNs nobody answers, two listeners and a UDP socket, and its control socket.
func served(t *testing.T) control.Client {
	t.Helper()
	return servedWith(t, 20)
}

// servedWith is served with so many connections.
func servedWith(t *testing.T, conns int) control.Client {
	t.Helper()
	d, err := sim.NewNetwork(1).NewDevice(sim.Config{Name: "stack"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.New(stack.Config{Address: netip.MustParsePrefix("10.0.0.1/8"), Seed: 1}, d)
	if err != nil {
		t.Fatal(err)
	}
	for i := range conns {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i + 1)}), uint16(1000+i))
		if err := s.Connect(to, handler{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range []string{":80", ":7"} {
		if _, err := s.Handle(port, handler{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ListenPacket("udp", ":53"); err != nil {
		t.Fatal(err)
	}
	c, err := control.Listen(control.Config{Path: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	c.HandleStream("GET "+Path, func(w http.ResponseWriter, r *http.Request) error { return Serve(s, w, r) })
	c.HandleJSON("GET "+SummaryPath, func(r *http.Request) (any, error) { return Summarize(s, r) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return control.Client{Path: c.Path()}
}

func ask(t *testing.T, c control.Client, q Query) (all []Entry) {
	t.Helper()
	for a, err := range Ask(t.Context(), c, q) {
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		var e Entry
		if err := json.Unmarshal(a.JSON, &e); err != nil || e.Local != a.Local || e.State != a.State {
			t.Fatal(err)
		}
		all = append(all, a.Entry)
	}
	return all
}

func TestAsk(t *testing.T) {
	c := served(t)
	for _, tt := range []struct {
		query Query
		n     int
		state string // of the first
	}{
		{Query{}, 20, "SYN-SENT"},
		{Query{States: StatesAll}, 23, "LISTEN"},
		{Query{States: StatesListening}, 3, "LISTEN"},
		{Query{States: StatesListening, UDP: true}, 1, "UNCONN"},
		{Query{States: StatesListening, TCP: true}, 2, "LISTEN"},
		{Query{Filter: "state listening sport = :80"}, 1, "LISTEN"},
		{Query{Filter: "dport >= :1015"}, 5, "SYN-SENT"},
		{Query{Filter: "dst 10.1.0.3", Info: true}, 1, "SYN-SENT"},
		{Query{Filter: "exclude all"}, 0, ""},
		{Query{Filter: "state time-wait", UDP: true}, 0, ""},
		{Query{Sort: "rto", Top: 3}, 3, "SYN-SENT"},
	} {
		all := ask(t, c, tt.query)
		if len(all) != tt.n || tt.n > 0 && all[0].State != tt.state {
			t.Errorf("%+v: %d, want %d: %+v", tt.query, len(all), tt.n, all)
		}
		for _, e := range all {
			if (e.Info != nil) != tt.query.Info {
				t.Errorf("%+v: info is %+v", tt.query, e.Info)
			}
		}
	}
	l := ask(t, c, Query{Filter: "state listening sport = :80"})[0]
	if l.Local != "0.0.0.0:80" || l.Remote != noPeer || l.SendQ != 1024 || l.Handler != "ss.handler" || l.Shard != -1 {
		t.Errorf("listener: %+v", l)
	}
	var sum Summary
	if err := c.Get(t.Context(), SummaryPath, &sum); err != nil || sum.TCP["SYN-SENT"] != 20 || sum.TCP["LISTEN"] != 2 ||
		sum.UDP["UNCONN"] != 1 || sum.Shards[0] != 20 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A long answer is a stream: neither end has more of it in memory than a little, and nothing of it is missing.
func TestLongAnswer(t *testing.T) {
	const conns, most = 20_000, 4 << 20
	c := servedWith(t, conns)
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	seen := make(map[string]bool, conns)
	table := live() - before
	size := 0
	for a, err := range Ask(t.Context(), c, Query{TCP: true, Info: true, Raw: true}) {
		if err != nil {
			t.Fatal(err)
		}
		size += len(a.JSON)
		var e struct{ Remote string }
		if err := json.Unmarshal(a.JSON, &e); err != nil || seen[e.Remote] || a.Local != "" {
			t.Fatalf("%s: %v", a.JSON, err)
		}
		if seen[e.Remote] = true; len(seen)%(conns/4) == 0 {
			if grown := live() - before - table - uint64(len(seen)*len(e.Remote)); int64(grown) > most {
				t.Errorf("after %d lines, %d bytes, %d bytes more are in memory", len(seen), size, grown)
			}
		}
	}
	if len(seen) != conns || size < 4*most {
		t.Errorf("%d connections were listed in %d bytes", len(seen), size)
	}
}

func TestTop(t *testing.T) {
	for sort, want := range map[string]string{"send-q": "9 8 7 6", "-send-q": "0 1 2 3"} {
		best := newTop(sort, 4)
		for _, n := range []int{5, 3, 9, 0, 7, 1, 8, 2, 6, 4} {
			best.add(&stack.ConnInfo{SendQueue: n})
		}
		var got []string
		for _, r := range best.sorted() {
			got = append(got, fmt.Sprint(r.conn.SendQueue))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", sort, got, want)
		}
	}
}

func TestBadQueries(t *testing.T) {
	c := served(t)
	for query, says := range map[string]string{
		"filter=dport": "at character 6", "filter=" + strings.Repeat("x", 5000): "longer than",
		"tcp=maybe":         "want 0 or 1",
		"states=open":       `no state is called \"open\"`,
		"sort=beauty":       "nothing is called that",
		"top=0":             "want 1 to 10000",
		"top=10001":         "want 1 to 10000",
		"color=red":         `no parameter is called \"color\"`,
		"tcp=1&tcp=0":       "is given 2 times",
		"states=1,2":        "no state is called",
		"states=99999999":   "no state is called",
		"filter=%00":        "a character that no filter has",
		"filter=dst+%ff%fe": "a character that no filter has",
	} {
		var e control.Error
		r, err := c.Stream(t.Context(), Path+"?"+query)
		if err == nil {
			r.Close()
		}
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest || !strings.Contains(string(must(json.Marshal(e))), says) {
			t.Errorf("%s: %v, want %s", query, err, says)
		}
	}
}

func must(b []byte, _ error) []byte { return b }

// TestParseLine reads what a process of another kind, or of none, may answer.
func TestParseLine(t *testing.T) {
	if _, last, err := parseLine([]byte(`{"end":{"shown":3}}`), true); !last || err != nil {
		t.Errorf("the end: %v, %v", last, err)
	}
	if _, last, err := parseLine([]byte(`{"end":{"shown":3,"error":"closed"}}`), true); !last || err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("an end with an error: %v, %v", last, err)
	}
	for _, s := range []string{"", "x", `{"recv_q":"much"}`, "[1]"} {
		if _, _, err := parseLine([]byte(s), false); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}
