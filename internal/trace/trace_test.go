package trace

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

func flow(local, remote string) tcp.Flow {
	l, r := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	return tcp.Flow{LocalAddr: l.Addr().As4(), LocalPort: l.Port(), RemoteAddr: r.Addr().As4(), RemotePort: r.Port()}
}

func TestTuple(t *testing.T) {
	f := flow("10.0.0.1:80", "10.0.0.2:4000")
	for s, want := range map[string]bool{
		"10.0.0.1:80-10.0.0.2:4000": true, "10.0.0.2:4000-10.0.0.1:80": true, "*:80": true, ":80": true, "10.0.0.2": true, "*": true,
		"10.0.0.2:*-*:80": true, "10.0.0.2-10.0.0.1": true, "*:4000": true,
		"10.0.0.1:4000": false, "10.0.0.1:80-10.0.0.1:4000": false, "*:81": false, "10.0.0.3": false, "*:80-*:80": false,
	} {
		p, err := ParseTuple(s)
		if err != nil || p.Match(f) != want {
			t.Errorf("%s, which is %v: %v, %v", s, p, p.Match(f), err)
		}
		if again, err := ParseTuple(p.String()); err != nil || again != p {
			t.Errorf("%s is %s, which is %v, %v", s, p, again, err)
		}
	}
	for s, says := range map[string]string{
		"": "want ADDRESS:PORT", "-": "want ADDRESS:PORT", "10.0.0.1:80-": "want ADDRESS:PORT", "10.0.0:80": "IPv4 address", "10.0.0.1:http": "want a port",
		"10.0.0.1:99999": "want a port", "2001:db8::1": "IPv4", "a-b-c": "IPv4 address", "10.0.0.1:1:2": "want ADDRESS:PORT",
		strings.Repeat("x", 5000): "…",
	} {
		if _, err := ParseTuple(s); err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 200 {
			t.Errorf("%.50q: %v, want %q", s, err, says)
		}
	}
}

func FuzzParseTuple(f *testing.F) {
	for _, s := range []string{"10.0.0.1:80-10.0.0.2:4000", "*:80", ":", "1.2.3.4", "*:*-*:*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseTuple(s)
		if err != nil {
			return
		}
		if again, err := ParseTuple(p.String()); err != nil || again != p {
			t.Errorf("%q is %s, which is %v, %v", s, p, again, err)
		}
	})
}

func TestQueries(t *testing.T) {
	for query, says := range map[string]string{
		"": "tuple= is missing", "tuple=x": "IPv4 address", "tuple=*&conns=0": "want 1 to 1024", "tuple=*&conns=1025": "want 1 to 1024",
		"tuple=*&interval=-1s": "want a duration", "tuple=*&interval=x": "want a duration", "tuple=*&tuple=*": "2 times", "tuple=*&x=y": `called "x"`,
		"tuple=*:80&conns=3&interval=1s": "",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		switch _, cfg, err := parseQuery(v); {
		case says == "" && (err != nil || cfg.Conns != 3 || cfg.Interval != time.Second || cfg.Match == nil):
			t.Errorf("%s: %+v, %v", query, cfg, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v, want %q", query, err, says)
		}
	}
}

// TestText has an event of each kind.
func TestText(t *testing.T) {
	e := stack.TraceEvent{
		Conn: 1, Flow: flow("10.0.0.1:80", "10.0.0.2:4000"), State: tcp.StateEstablished, From: tcp.StateSynReceived, N: 3, For: 1500 * time.Millisecond,
		CWnd: 14480, SSThresh: 1<<31 - 1, InFlight: 2896, MSS: 1448, SRTT: 20 * time.Millisecond, Acked: 5, Err: errors.New("reset by peer"),
		Time: clock.Time(2500 * time.Millisecond),
	}
	const numbers = "cwnd 10 in flight 2 srtt 20ms acked 5 received 0"
	for kind, want := range map[stack.TraceKind]string{
		stack.TraceBegin:        "10.0.0.1:80-10.0.0.2:4000 ESTABLISHED, tracing begins  ",
		stack.TraceState:        "SYN-RECEIVED → ESTABLISHED  ",
		stack.TraceSample:       "",
		stack.TraceLostAgain:    "LOSS: 3 segments sent again were lost too  ",
		stack.TraceRetransmit:   "sent again: 3 segments  ",
		stack.TraceMarked:       "a router marked what was sent (ECN)  ",
		stack.TraceWindowOpen:   "the peer's window is open again, after 1.5s  ",
		stack.TraceStall:        "the application had written nothing for 1.5s  ",
		stack.TraceEnd:          "the connection is over: reset by peer  ",
		stack.TraceFastRecovery: "LOSS: found by SACK, RACK or duplicate ACKs, fast recovery  ",
	} {
		e.Kind = kind
		got := event(&e, clock.Time(time.Second), 0)
		if text := got.Text(); text != "    1.500000  #1  "+want+numbers {
			t.Errorf("%d: %q", kind, text)
		}
	}
	for i := range kinds {
		if k, ok := kindNamed(kinds[i].name); !ok || int(k) != i || kinds[i].name == "" {
			t.Errorf("kind %d is called %q", i, kinds[i].name)
		}
	}
	e.MSS, e.Kind = 0, stack.TraceBegin
	got := event(&e, 0, 7)
	if text := got.Text(); strings.Contains(text, "cwnd") || got.Dropped != 7 {
		t.Errorf("before the handshake: %q", text)
	}
}

func TestChart(t *testing.T) {
	var c Chart
	if err := c.SVG(io.Discard); !errors.Is(err, errEmpty) {
		t.Errorf("of nothing: %v", err)
	}
	c.Add(&Event{Conn: 1, Kind: "begin", Flow: "a<b", MSS: 1448, CWnd: 14480})
	for i := range 100_000 {
		e := Event{Conn: 1 + i%2, Time: float64(i) / 1000, Kind: "sample", MSS: 1448, CWnd: uint32(10_000 + i), InFlight: uint32(i), SRTT: 0.01, SSThresh: 9000}
		if i%1000 == 0 {
			e.Kind = "rto"
		}
		c.Add(&e)
	}
	if len(c.points) > maxPoints || len(c.points) < maxPoints/2 || len(c.losses) != 100 {
		t.Errorf("%d points, %d losses", len(c.points), len(c.losses))
	}
	var svg, page bytes.Buffer
	if err := errors.Join(c.SVG(&svg), c.HTML(&page)); err != nil {
		t.Fatal(err)
	}
	var tree struct{ XMLName xml.Name }
	if err := xml.Unmarshal(svg.Bytes(), &tree); err != nil || tree.XMLName.Local != "svg" {
		t.Errorf("%v, %v", tree, err)
	}
	for _, want := range []string{"congestion window", "ssthresh", "in flight", "smoothed round-trip time", "loss", "a&lt;b"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
	if !strings.HasPrefix(page.String(), "<!doctype html>") || !strings.Contains(page.String(), "trace of a&lt;b</title>\n<svg") {
		t.Errorf("the page begins %.200q", page.String())
	}
}

func TestChartOfText(t *testing.T) {
	var c Chart
	var b bytes.Buffer
	if err := c.Text(&b, 80, false); !errors.Is(err, errEmpty) {
		t.Errorf("of nothing: %v", err)
	}
	c.Add(&Event{Conn: 1, Kind: "begin", Flow: "a-b"})
	c.Add(&Event{Conn: 1, Kind: "state", MSS: 1448, CWnd: 14480})
	if err := c.Text(&b, 80, false); err != nil || !strings.Contains(b.String(), "a-b: congestion window, kB") {
		t.Errorf("of one point: %v: %s", err, &b)
	}
	for i := range 1000 {
		e := Event{Conn: 1, Time: float64(i) / 100, Kind: "sample", MSS: 1448, CWnd: 50_000, SSThresh: 25_000, SRTT: 0.02}
		switch {
		case i == 500:
			e.Kind = "rto"
		case i > 500:
			e.CWnd = 10_000
		}
		c.Add(&e)
	}
	for _, columns := range []int{-1, 80, 100_000} {
		b.Reset()
		if err := c.Text(&b, columns, false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		for _, l := range lines {
			if n := utf8.RuneCountInString(l); n > min(max(columns, 60), maxColumns) {
				t.Errorf("of %d columns: a line has %d: %s", columns, n, l)
			}
		}
		// The cross is where the window falls, below the corner of its line.
		fall := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "╮") })
		mark := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, "×") })
		if fall < 0 || mark < fall {
			t.Fatalf("no fall, or no mark below:\n%s", &b)
		}
		at := func(l, s string) int { return utf8.RuneCountInString(l[:strings.Index(l, s)]) }
		if d := at(lines[fall], "╮") - at(lines[mark], "×"); d < -1 || d > 1 {
			t.Errorf("the mark is %d columns beside the fall:\n%s", d, &b)
		}
		if !strings.Contains(b.String(), "ssthresh (┄), congestion window, kB") || !strings.Contains(b.String(), "smoothed round-trip time, ms") {
			t.Errorf("drawn:\n%s", &b)
		}
	}
	b.Reset()
	if err := c.Text(&b, 80, true); err != nil || !strings.Contains(b.String(), "\x1b[") {
		t.Errorf("no colors: %v", err)
	}
}
