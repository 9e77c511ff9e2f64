package report

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Three workers' results, merged in any order and any grouping, are the same: all of what each counted, second by second.
func TestMerge(t *testing.T) {
	parts := func() []*Result {
		return []*Result{sample(t, 0, 3, began), sample(t, 1, 3, began), sample(t, 2, 3, began.Add(20*time.Millisecond))}
	}
	must := func(r *Result, err error) *Result {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	p := parts()
	all := must(Merge(p...))
	p2 := parts()
	slices.Reverse(p2)
	for _, other := range []*Result{must(Merge(p2...)), must(Merge(must(Merge(p2[1:]...)), p2[0]))} {
		if !reflect.DeepEqual(all.Counters, other.Counters) || !reflect.DeepEqual(all.Of, other.Of) ||
			!reflect.DeepEqual(all.Histograms["total"].Values(), other.Histograms["total"].Values()) || len(all.Series) != len(other.Series) {
			t.Errorf("the order matters: %v %v, %v %v", all.Counters, all.Of, other.Counters, other.Of)
		}
	}
	if all.Counters["done"] != 1200 || all.Errors["timeout"] != 12 || all.CPU.User != 3600*time.Millisecond {
		t.Errorf("%v %v %v", all.Counters, all.Errors, all.CPU)
	}
	h := all.Histograms["total"]
	if h.TotalCount() != 1200 || h.ValueAtPercentile(30)/1e6 != 1 || h.ValueAtPercentile(60)/1e6 != 2 || h.Max()/1e6 != 3 {
		t.Errorf("%d values, %d ns at most", h.TotalCount(), h.Max())
	}
	if len(all.Series) != 4 || all.Series[1].Counters["done"] != 300 || all.Series[1].Span != time.Second ||
		all.Series[1].Histograms["total"].TotalCount() != 300 {
		t.Errorf("series: %+v", all.Series)
	}
	if all.Duration != 3020*time.Millisecond || !all.Start.Equal(began) || len(all.Missing()) != 0 {
		t.Errorf("%v from %v, missing %v", all.Duration, all.Start, all.Missing())
	}
	if p[0].Counters["done"] != 400 || p[0].Series[1].Counters["done"] != 100 || p[0].Histograms["total"].TotalCount() != 400 {
		t.Error("merging changed one of the parts")
	}
}

func TestMergeSaysWhoIsMissingAndLate(t *testing.T) {
	r, err := Merge(sample(t, 3, 4, began), sample(t, 1, 4, began.Add(-1500*time.Millisecond)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Missing(), []int{0, 2}) || !slices.Equal(r.Of, []int{1, 3}) {
		t.Errorf("workers %v, missing %v", r.Of, r.Missing())
	}
	if len(r.Notes) != 1 || r.Notes[0] != "worker 1 started 1.5s before worker 3" {
		t.Errorf("notes %q", r.Notes)
	}
	if len(r.Series) != 6 || r.Series[0].Counters["done"] != 100 || r.Series[2].Counters["done"] != 200 {
		t.Errorf("series %+v", r.Series)
	}
}

func TestMergeRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Result)
		want   string
	}{
		{"another schema", func(r *Result) { r.Schema++ }, "schema 1 and schema 2"},
		{"another tool", func(r *Result) { r.Tool = "gen" }, "one is of load, another of gen"},
		{"another number of workers", func(r *Result) { r.Workers = 3 }, "of 2 workers, another of 3"},
		{"the same worker", func(r *Result) { r.Of = []int{0} }, "number 0 of 2"},
		{"another rate", func(r *Result) { r.Setup = []Setting{{"rate", "5/s"}} }, "rate is 1000/s for one, 5/s for another"},
		{"more setup", func(r *Result) { r.Setup = append(slices.Clone(r.Setup), Setting{"tls", "yes"}) }, "tls is nothing for one"},
		{"other figures", func(r *Result) { r.RateOf = "sent" }, "done and sent"},
		{"another time", func(r *Result) { r.Start = r.Start.Add(time.Hour) }, "--start-at"},
	} {
		other := sample(t, 1, 2, began)
		c.change(other)
		_, err := Merge(sample(t, 0, 2, began), other)
		if !errors.Is(err, ErrMerge) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if errors.Is(err, ErrSameWork) != (c.name == "the same worker") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Merge(); !errors.Is(err, ErrMerge) {
		t.Errorf("of nothing: %v", err)
	}
}
