package rate

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Rate
		back string // as String writes it
	}{
		{"10kpps", Rate{10e3, Packets}, "10kpps"},
		{"1.5Mpps", Rate{1.5e6, Packets}, "1.5Mpps"},
		{"1234567 pps", Rate{1234567, Packets}, "1.234567Mpps"},
		{"0pps", Rate{}, "0pps"},
		{"0.5pps", Rate{0.5, Packets}, "0.5pps"},
		{"2Gbit", Rate{2e9, L2}, "2Gbit"},
		{"2gbit/s", Rate{2e9, L2}, "2Gbit"},
		{"100Mbps", Rate{100e6, L2}, "100Mbit"},
		{"64kbit-l2", Rate{64e3, L2}, "64kbit"},
		{"2Gbit-l1", Rate{2e9, L1}, "2Gbit-l1"},
		{"2.5Gbps-L1", Rate{2.5e9, L1}, "2.5Gbit-l1"},
		{"40%", Rate{40, Line}, "40%"},
		{" 12.5 %", Rate{12.5, Line}, "12.5%"},
		{"max", Max, "max"},
		{"MAX", Max, "max"},
	} {
		got, err := Parse(c.text)
		if err != nil || got != c.want {
			t.Errorf("%q: %v, %v, want %v", c.text, got, err, c.want)
		}
		if got.String() != c.back {
			t.Errorf("%q is written as %q, want %q", c.text, got, c.back)
		}
	}
	for _, text := range []string{"", "10", "fast", "pps", "-1pps", "1..2pps", "10 packets", "101%", "1e3pps", "9999999Tbit", "NaNpps", "%",
		"1.pps.", "2Gbit-l3", "2kk"} {
		if got, err := Parse(text); !errors.Is(err, ErrRate) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10kpps", "2Gbit-l1", "40%", "max", "1.5.5pps", "1kpps..2kpps/3s", "1pps:1s,max:2s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err == nil {
			if back, err := Parse(r.String()); err != nil || math.Abs(back.Value-r.Value) > 1e-9*r.Value || back.Unit != r.Unit {
				t.Errorf("%q is %v, which reads as %v (%v)", s, r, back, err)
			}
		}
		if p, err := ParseRamp(s); err == nil && (p.For <= 0 || p.check() != nil) {
			t.Errorf("%q: %v", s, p)
		}
		if steps, err := ParseSteps(s); err == nil && len(steps) == 0 {
			t.Errorf("%q has no step", s)
		}
	})
}

// TestPPS has the well-known figures of 10 Gbit/s: 14.88 million of the shortest frames and 812,744 of the longest.
func TestPPS(t *testing.T) {
	line, err := Rate{100, Line}.Resolve(10e9)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rate  Rate
		bytes float64
		want  float64
	}{
		{line, 60, 14880952.38},
		{line, 1514, 812743.82},
		{Rate{7.62e9, L2}, 60, 14882812.5},
		{PPS(1000), 60, 1000},
	} {
		if got := c.rate.PPS(c.bytes); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%v of %v bytes are %.2f packets a second, want %.2f", c.rate, c.bytes, got, c.want)
		}
	}
	if _, err := (Rate{50, Line}).Resolve(0); !errors.Is(err, ErrRate) {
		t.Errorf("a share of an unknown line: %v", err)
	}
}

func TestParsePhases(t *testing.T) {
	ramp, err := ParseRamp("10kpps..1Mpps/30s")
	if want := (Phase{PPS(10e3), PPS(1e6), 30 * time.Second}); err != nil || ramp != want {
		t.Errorf("%v, %v", ramp, err)
	}
	if ramp, err = ParseRamp("1Mbit/s..2Mbit/s/1m30s"); err != nil || ramp.For != 90*time.Second || ramp.To != (Rate{2e6, L2}) {
		t.Errorf("%v, %v", ramp, err)
	}
	for _, text := range []string{"", "1pps..2pps", "1pps/2s", "1pps..2bit/3s", "max..1pps/3s", "1pps..2pps/-1s", "1pps..x/1s", "x..1pps/1s"} {
		if p, err := ParseRamp(text); !errors.Is(err, ErrRate) {
			t.Errorf("ramp %q: %v, %v", text, p, err)
		}
	}
	steps, err := ParseSteps("10kpps:5s,max:1s")
	if err != nil || len(steps) != 2 || steps[0] != Constant(PPS(10e3), 5*time.Second) || steps[1] != Constant(Max, time.Second) {
		t.Errorf("%v, %v", steps, err)
	}
	for _, text := range []string{"", "1pps", "1pps:", "1pps:0s", "1:1s", "1pps:1s,"} {
		if s, err := ParseSteps(text); !errors.Is(err, ErrRate) {
			t.Errorf("steps %q: %v, %v", text, s, err)
		}
	}
}
