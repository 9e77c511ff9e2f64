package report

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// readLog reads a log as HdrHistogram's own tools do, and returns all intervals put together by tag, and their number.
func readLog(t *testing.T, log []byte) (sums map[string]*hdrhistogram.Histogram, intervals int) {
	t.Helper()
	sums = make(map[string]*hdrhistogram.Histogram)
	r := hdrhistogram.NewHistogramLogReader(bytes.NewReader(log))
	for {
		h, err := r.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			return sums, intervals
		}
		intervals++
		if sums[h.Tag()] == nil {
			sums[h.Tag()] = hdrhistogram.New(lowest, highest, digits)
		}
		if n := sums[h.Tag()].Merge(h); n > 0 {
			t.Fatalf("%d values do not fit", n)
		}
	}
}

// The logs of two workers, read and merged, have the percentiles of the merged result.
func TestHDRLog(t *testing.T) {
	a, b := sample(t, 0, 2, began), sample(t, 1, 2, began)
	for _, r := range []*Result{a, b} {
		for i := range r.Series {
			r.Series[i].Histograms["connect"] = r.Series[i].Histograms["total"]
		}
	}
	var both []byte
	for _, r := range []*Result{a, b} {
		var log bytes.Buffer
		if err := r.WriteHDRLog(&log); err != nil {
			t.Fatal(err)
		}
		one, n := readLog(t, log.Bytes())
		if n != 2*len(r.Series) || one[""].TotalCount() != 400 || one["connect"].TotalCount() != 400 {
			t.Errorf("%d intervals\n%s", n, log.Bytes())
		}
		both = append(both, log.Bytes()...)
	}
	merged, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	sums, _ := readLog(t, both)
	if got, want := sums[""].ValueAtPercentilesSlice(Percentiles), merged.Histograms["total"].Values(); !slices.Equal(got, want) {
		t.Errorf("percentiles of the logs %v, of the merged result %v", got, want)
	}
}

// The intervals' times are those of the series, and the warm-up is not among them.
func TestHDRLogTimes(t *testing.T) {
	r := sample(t, 0, 1, began)
	r.Series = append([]Second{{Time: began.Unix() - 1, Span: time.Second, Warmup: true, Histograms: r.Series[0].Histograms}}, r.Series...)
	name := filepath.Join(t.TempDir(), "log")
	if err := r.WriteHDRFile(name, nil); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	reader := hdrhistogram.NewHistogramLogReader(bytes.NewReader(log))
	at := began.UnixMilli()
	for i, span := range []int64{600, 1000, 1000, 400} {
		h, err := reader.NextIntervalHistogram()
		if err != nil || h == nil || h.StartTimeMs() != at || h.EndTimeMs() != at+span {
			t.Fatalf("interval %d: %v, %v, want %d ms from %d\n%s", i, h, err, span, at, log)
		}
		at += span
	}
	if h, err := reader.NextIntervalHistogram(); h != nil || err != nil {
		t.Errorf("one more: %v, %v", h, err)
	}
}
