package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var words = Vocabulary{Histograms: []string{"connect", "first_byte", "total"}, Counters: []string{"done", "connects", "retransmissions"},
	Errors: []string{"timeout", "refused"}}

// measured has 990 requests of 1 ms and 10 of 20 ms in 10 s, 4 timeouts, 2 refused.
func measured(t testing.TB) *Result {
	t.Helper()
	h := hdrhistogram.New(lowest, highest, digits)
	if err := errors.Join(h.RecordValues(int64(time.Millisecond), 990), h.RecordValues(int64(20*time.Millisecond), 10)); err != nil {
		t.Fatal(err)
	}
	return &Result{Tool: "load", Main: "total", RateOf: "done", Duration: 10 * time.Second, CPU: CPU{User: 4 * time.Second, System: time.Second},
		Counters: map[string]uint64{"done": 1000, "connects": 7, "retransmissions": 3}, Errors: map[string]uint64{"timeout": 4, "refused": 2},
		TCP:        map[string]uint64{"rsts_sent": 2},
		Histograms: map[string]*Histogram{"total": CopyHistogram(h), "first_byte": CopyHistogram(h), "connect": NewHistogram()}}
}

func TestExpect(t *testing.T) {
	r := measured(t)
	for _, c := range []struct {
		in   string
		met  bool
		line string // what follows "in: "
	}{
		{"p99<5ms", true, "expected below 5ms, measured 1.000447ms"},
		{"p99<1ms", false, "expected below 1ms, measured 1.000447ms"}, // the end of the bucket that holds 1 ms
		{"p99.1<=5ms", false, "expected at most 5ms, measured 20.004863ms"},
		{"first-byte.p99.9 < 25ms", true, "expected below 25ms, measured 20.004863ms"},
		{"first_byte.max>20ms", true, "expected above 20ms, measured 20.004863ms"},
		{"total.min>=900us", true, "expected at least 900us, measured 999.936us"},
		{"mean<1.2ms", true, "expected below 1.2ms, measured 1.190157ms"},
		{"total.count=1000", true, "expected exactly 1000, measured 1000"},
		{"count>=100/s", true, "expected at least 100.0/s, measured 100.0/s"},
		{"connect.p99<5ms", false, "expected below 5ms, measured nothing: the histogram connect is empty"},
		{"errors<1%", true, "expected below 1%, measured 0.5964%"},
		{"errors<0.1%", false, "expected below 0.1%, measured 0.5964%"},
		{"errors<10", true, "expected below 10, measured 6"},
		{"errors<0.5/s", false, "expected below 0.5/s, measured 0.6/s"},
		{"errors=0", false, "expected exactly 0, measured 6"},
		{"errors.timeout<=4", true, "expected at most 4, measured 4"},
		{"errors.refused=0", false, "expected exactly 0, measured 2"},
		{"rate>=100/s", true, "expected at least 100.0/s, measured 100.0/s"},
		{"rate>=0.1k", true, "expected at least 100.0/s, measured 100.0/s"},
		{"rate>1M/s", false, "expected above 1000000.0/s, measured 100.0/s"},
		{"connects!=7", false, "expected other than 7, measured 7"},
		{"retransmissions<1/s", true, "expected below 1.0/s, measured 0.3/s"},
		{"tcp.rsts-sent<3", true, "expected below 3, measured 2"},
		{"tcp.none<3", false, "expected below 3, measured nothing: there is no TCP counter none"},
		{"cpu<0.6", true, "expected below 0.6, measured 0.5"},
		{"duration>=10s", true, "expected at least 10s, measured 10s"},
	} {
		all, err := ParseExpectations(c.in, words)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		met, outcomes := CheckAll(all, r), r.Outcomes
		if met != c.met || len(outcomes) != 1 || outcomes[0].Line != c.in+": "+c.line {
			t.Errorf("%s: met %v, %q, want %v, %q", c.in, met, outcomes[0].Line, c.met, c.line)
		}
	}
}

// What has not happened at all meets no expectation but that there was none of it.
func TestExpectOfNothing(t *testing.T) {
	r := &Result{Main: "total", RateOf: "done", Duration: time.Second, Counters: map[string]uint64{"done": 0}}
	for in, want := range map[string]bool{"p99<5ms": false, "errors<1%": false, "rate>=1/s": false, "done=0": true, "errors<1": true} {
		all, err := ParseExpectations(in, Vocabulary{})
		if err != nil {
			t.Fatal(err)
		}
		if met := CheckAll(all, r); met != want {
			t.Errorf("%s: met %v: %s", in, met, r.Outcomes[0].Line)
		}
	}
}

func TestExpectList(t *testing.T) {
	all, err := ParseExpectations(" p99<5ms , errors<0.1%,rate>=10000/s", words)
	if err != nil || len(all) != 3 || all[1].Text != "errors<0.1%" {
		t.Fatalf("%d, %v", len(all), err)
	}
	r := measured(t)
	met, outcomes := CheckAll(all, r), r.Outcomes
	if met || !outcomes[0].Met || outcomes[1].Met || outcomes[2].Met {
		t.Errorf("%+v", outcomes)
	}
}

func TestExpectMistakes(t *testing.T) {
	for _, c := range []struct {
		in   string
		at   int
		want string
	}{
		{"", 0, "a condition is expected here"},
		{"p99<5ms,", 8, "a condition is expected here"},
		{"p99", 3, "is to be compared"},
		{"p99<", 4, "want a time"},
		{"p99<5", 4, "p99 is compared with a time"},
		{"p99<5%", 4, "p99 is compared with a time"},
		{"p99<fast", 4, "is no value"},
		{"p99<5parsecs", 4, `"parsecs" is no unit`},
		{"p101<5ms", 0, "nothing is measured"},
		{"erors<0.1%", 0, "there are p99 (or another percentile), mean, max, errors, rate"},
		{"p99<5ms,erors<0.1%", 8, "nothing is measured that is called \"erors\""},
		{"errors.tea<1", 7, "there are timeout, refused"},
		{"connect.fast<1ms", 8, "p50, p99.9"},
		{"dns.p99<1ms", 0, "connect.p99"},
		{"connects<5ms", 9, "connects is compared with a number"},
		{"rate>=10,000/s", 9, "nothing is measured"},
		{"p99<5ms errors<1%", 8, "a comma"},
		{"rate>=1..2/s", 6, "is no value"},
		{strings.Repeat("p99<5ms,", 200), 807, "more than 100"},
	} {
		_, err := ParseExpectations(c.in, words)
		var e *ParseError
		if !errors.As(err, &e) || e.At != c.at || !strings.Contains(e.Why, c.want) {
			t.Errorf("%q: %v, want %q at %d", c.in, err, c.want, c.at)
		}
	}
}

func TestParseErrorPoints(t *testing.T) {
	_, err := ParseExpectations("p99<5µs,x<1", words)
	if want := "    p99<5µs,x<1\n            ^"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want an end of\n%s", err, want)
	}
}

func FuzzParseExpectations(f *testing.F) {
	for _, s := range []string{"p99<5ms,errors<0.1%,rate>=10000/s", "first-byte.p99.9 < 2.5s", "tcp.rsts_sent==0", "errors.timeout!=1k", "p99<5µs,x<1"} {
		f.Add(s)
	}
	r := measured(f)
	f.Fuzz(func(t *testing.T, in string) {
		all, err := ParseExpectations(in, words)
		if err != nil {
			var e *ParseError
			if !errors.As(err, &e) || e.At < 0 || e.At > len(in) || e.Error() == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		for i := range all {
			all[i].Check(r)
			if again, err := ParseExpectations(all[i].Text, words); err != nil || len(again) != 1 {
				t.Errorf("%q is a condition, and alone it is not: %v", all[i].Text, err)
			}
		}
	})
}
