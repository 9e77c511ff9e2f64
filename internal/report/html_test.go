package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var pageFile = flag.String("page", "", "write the page of TestHTML to a file, to look at it")

// busy is a run of two minutes with a warm-up, a stall, and failures of two kinds.
func busy(t testing.TB) *Result {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	g := newGenerator()
	connect := hdrhistogram.New(lowest, highest, digits)
	record := func(h *hdrhistogram.Histogram, v float64) {
		if err := h.RecordValue(int64(v)); err != nil {
			t.Fatal(err)
		}
	}
	start := began
	h := head(0, 1)
	h.Setup = []Setting{{"mode", "requests, open loop"}, {"target", "http://192.0.2.10/"}, {"rate", "2,000/s, Poisson"}, {"connections", "64"}}
	h.Command = strings.Fields("xdpstack load -i eth0 -a 192.0.2.11/24 http://192.0.2.10/ --rate 2000 --for 2m --html run.html")
	r := NewRecorder(h, start)
	now := start
	totals := func() Totals {
		out := g.now()
		out.Histograms["connect"] = connect.Clone()
		return out
	}
	for second := range 125 {
		g.totals.Warmup = second < 5
		if second == 5 {
			start = now
			g, connect = newGenerator(), hdrhistogram.New(lowest, highest, digits)
			g.totals.Since = start
		}
		n := 2000
		g.totals.Counters["started"] += uint64(n)
		for i := range n {
			took := 0.4e6 * (1 + rng.ExpFloat64()*0.3)
			if rng.Float64() < 0.01 {
				took *= 12
			}
			if second == 70 { // nothing is answered for half of it
				took += max(0, 0.5e9-float64(i)*1e9/float64(n))
			}
			record(g.hist, took)
			g.totals.Counters["done"]++
			if i%100 == 0 {
				record(connect, 0.1e6*(1+rng.ExpFloat64()))
				g.totals.Counters["connects"]++
			}
		}
		if second > 69 && second < 75 {
			g.totals.Errors["timeout"] += uint64(20 + rng.IntN(10))
			g.totals.Errors["refused"] += uint64(rng.IntN(10))
		}
		g.totals.TCP["segs_out"] += uint64(4 * n)
		g.totals.TCP["retransmits"] += uint64(rng.IntN(3))
		g.totals.CPU.User += 180 * time.Millisecond
		g.totals.CPU.System += 90 * time.Millisecond
		now = NextTick(now)
		r.Tick(now, totals())
	}
	return r.End(now.Add(400*time.Millisecond), totals())
}

// The page is complete in itself, well formed where a browser would not say so, and has what the result has.
func TestHTML(t *testing.T) {
	r := busy(t)
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if *pageFile != "" {
		if err := r.WriteHTMLFile(*pageFile, nil); err != nil {
			t.Fatal(err)
		}
	}
	page := b.String()
	checkPage(t, page)
	for _, want := range []string{"Throughput", "Latency over time", "Latency by percentile", "Errors over time", "p99.99", "timeout", "refused",
		"retransmits", "192.0.2.10", "warm-up", "99.9", ">connect<", "--rate 2000"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if n := strings.Count(page, "<svg"); n != 4 {
		t.Errorf("%d charts, want 4", n)
	}
	if len(page) > 500_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// outside finds what a browser would fetch.
var outside = regexp.MustCompile(`(?i)<script|<link|<iframe|<img|@import|url\(|src=|href="[^#]`)

func checkPage(t *testing.T, page string) {
	t.Helper()
	if found := outside.FindString(page); found != "" {
		t.Errorf("the page refers to something outside: %q", found)
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a chart is no XML: %v", err)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Error("a chart has a place that is no number")
		}
	}
}

// Pages of runs with nothing, or hardly anything, in them are pages too, and names that come from outside are only text.
func TestHTMLOfLittle(t *testing.T) {
	nothing := head(0, 1)
	nothing.Start = began
	short := sample(t, 2, 4, began)
	short.Series = short.Series[:1]
	hostile := sample(t, 0, 1, began)
	const evil = `<script>alert("x")</script>&amp;`
	hostile.Errors[evil], hostile.Notes, hostile.Setup = 3, []string{evil}, []Setting{{evil, evil}}
	hostile.Histograms[evil] = hostile.Histograms["total"]
	hostile.Series[1].Errors[evil] = 3
	long := sample(t, 0, 1, began)
	for i := range 5000 {
		s := long.Series[1]
		s.Time += int64(i) + 10
		long.Series = append(long.Series, s)
	}
	for i, r := range []*Result{&nothing, short, hostile, long} {
		var b bytes.Buffer
		if err := r.WriteHTML(&b); err != nil {
			t.Fatalf("page %d: %v", i, err)
		}
		checkPage(t, b.String())
		if r == long && b.Len() > 500_000 {
			t.Errorf("the page of 5000 seconds has %d bytes", b.Len())
		}
	}
}

func TestRoundTo125(t *testing.T) {
	for _, c := range []struct{ v, down, up float64 }{{0.003, 0.002, 0.005}, {1, 1, 1}, {7, 5, 10}, {0.00021, 0.0002, 0.0005}, {99, 50, 100}} {
		down, up := roundDown125(c.v), roundUp125(c.v)
		if fmt.Sprintf("%.6g %.6g", down, up) != fmt.Sprintf("%.6g %.6g", c.down, c.up) {
			t.Errorf("%v: %v and %v, want %v and %v", c.v, down, up, c.down, c.up)
		}
	}
}

// A file may say anything; its page is made all the same, and soon.
func TestHTMLOfLies(t *testing.T) {
	for name, lie := range map[string]func(*Result){
		"times far apart":  func(r *Result) { r.Series[0].Time, r.Series[3].Time = math.MinInt64, math.MaxInt64 },
		"a start long ago": func(r *Result) { r.Start = time.Time{} },
		"an endless span":  func(r *Result) { r.Series[1].Span = math.MaxInt64 },
		"no span":          func(r *Result) { r.Series[1].Span, r.Duration = 0, 0 },
		"great counts":     func(r *Result) { r.Series[1].Counters["done"], r.Counters["started"] = math.MaxUint64, 1 },
		"great errors":     func(r *Result) { r.Errors["timeout"], r.Series[1].Errors["timeout"] = math.MaxUint64, math.MaxUint64 },
		"great values": func(r *Result) {
			h := hdrhistogram.New(1, math.MaxInt64, 5)
			_ = h.RecordValues(math.MaxInt64, math.MaxInt64-10)
			_ = h.RecordValue(0)
			r.Histograms["total"] = CopyHistogram(h)
			r.Series[1].Histograms["total"] = r.Histograms["total"]
		},
		"only zeros": func(r *Result) {
			h := NewHistogram()
			_ = h.RecordValues(0, 5)
			r.Histograms, r.Series = map[string]*Histogram{"total": h}, nil
		},
		"all workers": func(r *Result) { r.Workers = maxWorkers },
	} {
		r := sample(t, 0, 1, began)
		lie(r)
		var file, page bytes.Buffer
		if err := r.Write(&file); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		read, err := Read(&file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := errors.Join(read.WriteHTML(&page), read.WriteHDRLog(io.Discard)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkPage(t, page.String())
		if page.Len() > 1<<20 {
			t.Errorf("%s: the page has %d bytes", name, page.Len())
		}
	}
}
