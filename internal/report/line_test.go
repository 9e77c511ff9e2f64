package report

import (
	"strings"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	var b strings.Builder
	l := NewLines(&b, "total", Column{"done", "done/s", true}, Column{"connects", "connects", false})
	g := newGenerator()
	g.totals.Counters["connects"] = 1234
	g.do(t, 500_000, time.Millisecond)
	g.do(t, 10_000, 25*time.Millisecond)
	g.totals.Errors["timeout"], g.totals.Errors["refused"], g.totals.Errors["reset"] = 2, 1200, 0
	r := NewRecorder(head(0, 1), began)
	second := r.Tick(began.Add(500*time.Millisecond), g.now())
	l.Print(&second)
	second = Second{Time: began.Unix() + 1, Warmup: true, Span: time.Second}
	l.Print(&second)
	second.Span = time.Millisecond
	l.Print(&second)
	second.Span = time.Second
	got := strings.Split(b.String(), "\n")
	want := []string{
		"time          done/s    connects       p50       p99       max",
		time.Unix(began.Unix(), 0).Format(time.TimeOnly) + "   1,020,000       1,234       1ms      25ms      25ms  refused 1,200, timeout 2",
		time.Unix(began.Unix()+1, 0).Format(time.TimeOnly) + "           0           0         -         -         -  warm-up",
		"",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", b.String(), strings.Join(want, "\n"))
	}
	for range headEvery {
		l.Print(&second)
	}
	if n := strings.Count(b.String(), "time "); n != 2 {
		t.Errorf("%d lines of titles among %d", n, headEvery+2)
	}
}

func TestFormat(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 7: "7", 99.95: "100.0", 0.25: "0.2", -100: "-100", -0.5: "-0.5", -1234: "-1,234", 123.4: "123", 1000: "1,000", 12345678: "12,345,678"} {
		if got := FormatCount(in); got != want {
			t.Errorf("%v is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 1234: "1.234us", 12345: "12.35us", 123456: "123.5us", 1234567: "1.235ms", 12345678: "12.35ms",
		123456789: "123.5ms", 1234567890: "1.23s", 123456789012: "2m3s",
	} {
		if got := FormatDuration(in); got != want {
			t.Errorf("%d ns is %q, want %q", int64(in), got, want)
		}
	}
}
