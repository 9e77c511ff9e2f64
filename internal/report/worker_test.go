package report

import (
	"strings"
	"testing"
	"time"
)

func TestParseWorker(t *testing.T) {
	env := map[string]string{"JOB_COMPLETION_INDEX": "2"}
	for _, c := range []struct {
		in              string
		worker, workers int
		env             map[string]string
		fails           string
	}{
		{in: "0/1", worker: 0, workers: 1},
		{in: "3/4", worker: 3, workers: 4},
		{in: "auto/4", worker: 2, workers: 4, env: env},
		{in: "1/4", worker: 1, workers: 4, env: env},
		{in: "auto/4", fails: "no JOB_COMPLETION_INDEX"},
		{in: "auto/2", env: env, fails: "2 is none of the workers 0 to 1"},
		{in: "4/4", fails: "0 to 3"},
		{in: "-1/4", fails: "0 to 3"},
		{in: "1", fails: "want the number"},
		{in: "1/x", fails: "want the number"},
		{in: "1/0", fails: "want the number"},
		{in: "/4", fails: "none of the workers"},
		{in: "0/1000000", fails: "want the number"},
	} {
		worker, workers, err := ParseWorker(c.in, func(name string) string { return c.env[name] })
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%q: %d/%d, %v, want %q", c.in, worker, workers, err, c.fails)
			}
		} else if err != nil || worker != c.worker || workers != c.workers {
			t.Errorf("%q: %d/%d, %v", c.in, worker, workers, err)
		}
	}
}

func TestParseStart(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for in, want := range map[string]time.Duration{
		"1800000010":                  10 * time.Second,
		"1800000000.25":               250 * time.Millisecond,
		"2027-01-15T08:00:30Z":        30 * time.Second,
		"2027-01-15T09:00:00.5+01:00": 500 * time.Millisecond,
	} {
		got, err := ParseStart(in, now)
		if err != nil || got.Sub(now) != want {
			t.Errorf("%q: in %v, %v, want %v", in, got.Sub(now), err, want)
		}
	}
	for in, want := range map[string]string{
		"1799999990":           "10s ago",
		"1800000000":           "0s ago",
		"1800000010000":        "not milliseconds",
		"2027-01-15T07:00:00Z": "1h0m0s ago",
		"noon":                 "want a time",
		"":                     "want a time",
		"NaN":                  "want a time",
		"1e300":                "want a time",
	} {
		if got, err := ParseStart(in, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", in, got, err, want)
		}
	}
}
