package gen

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/gen/rate"
)

func TestLoadProfile(t *testing.T) {
	p, err := LoadProfile("testdata/imix.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Streams) != 3 || p.Streams[0].Name != "web" || p.Streams[0].Weight != 6 || !p.Streams[1].Nested || p.Streams[2].Size.String() != "98" {
		t.Errorf("streams %+v", p.Streams)
	}
	want := rate.Constant(rate.Rate{Value: 50, Unit: rate.Line}, 30*time.Second)
	if s := p.Schedule; !slices.Equal(s.Phases, []rate.Phase{want}) || s.WarmUp != 2*time.Second || p.Duration != 30*time.Second {
		t.Errorf("schedule %+v", p)
	}
	program, err := Compile(p.Streams, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, b := range write(program, 1200) {
		switch {
		case b[23] == 6:
			names["web"]++
		case b[23] == 17 && len(b) == 71 && string(b[55:62]) == "example":
			names["dns"]++
		case b[23] == 1 && len(b) == 94:
			names["ping"]++
		}
		judge(t, b)
	}
	if names["web"] != 720 || names["dns"] != 360 || names["ping"] != 120 {
		t.Errorf("packets %v", names)
	}
}

// TestRates: rates of streams become weights and one rate.
func TestRates(t *testing.T) {
	p, err := LoadProfile("testdata/tunnels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if p.Streams[0].Weight != 4 || p.Streams[1].Weight != 1 {
		t.Errorf("weights %d and %d, want 4 and 1", p.Streams[0].Weight, p.Streams[1].Weight)
	}
	if want := []rate.Phase{rate.Constant(rate.PPS(250e3), 10*time.Second)}; !slices.Equal(p.Schedule.Phases, want) || p.Schedule.Burst != 8 {
		t.Errorf("schedule %+v", p.Schedule)
	}
	program, err := Compile(p.Streams, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range write(program, 500) {
		judge(t, b)
	}
	for _, c := range []struct {
		rates []string
		sizes []string
		want  []int
		pps   float64
	}{
		{[]string{"3kpps", "2kpps"}, []string{"64", "1518"}, []int{3, 2}, 5000},
		{[]string{"1Mbit", "1Mbit"}, []string{"125", "1000"}, []int{8, 1}, 1125},
		{[]string{"1Mbit-l1", "1Mbit-l1"}, []string{"105", "480"}, []int{4, 1}, 1250},
		{[]string{"31.4kpps", "27.1kpps"}, []string{"64", "64"}, []int{314, 271}, 58500},
	} {
		text := ""
		for i := range c.rates {
			text += "[[stream]]\nrate = '" + c.rates[i] + "'\nsize = " + c.sizes[i] + "\npacket = 'udp'\n"
		}
		p, err := ParseProfile("x.toml", []byte(text))
		if err != nil {
			t.Errorf("%v: %v", c.rates, err)
			continue
		}
		for i, w := range c.want {
			if got := p.Streams[i].Weight; got != w {
				t.Errorf("%v: weight %d is %d, want %d", c.rates, i, got, w)
			}
		}
		if got := p.Schedule.Phases[0].From; got.Unit != rate.Packets || got.Value < c.pps*0.999999 || got.Value > c.pps*1.000001 {
			t.Errorf("%v: rate %v, want %v pps", c.rates, got, c.pps)
		}
	}
}

// TestProfileMistakes: all mistakes of a file are told, each with its line.
func TestProfileMistakes(t *testing.T) {
	for file, want := range map[string][]string{
		"testdata/mistakes.toml": {
			`F:1: rate: no rate: "10Mpss": want 10kpps, 1.5Mpps, 2Gbit (with FCS), 2Gbit-l1 (with preamble and gap), 40% of the line, or max`,
			`F:2: duratoin: no such setting (did you mean duration?)`,
			`F:3: ramp: contradicts rate: expected one of the two`,
			`F:6: stream[1].weight: expected a number from 1 to 1048576, got "0"`,
			`F:7: stream[1].sise: no such setting (did you mean size?)`,
			`F:11: stream[1].ipv4.src: expected an IPv4 address such as 10.0.0.1, got "10.0.0.300"`,
			`F:15: stream[1].udp: no field "flags": tcp has one`,
			`F:16: stream[1].udp.dport: expected a number from 0 to 65535, got "70000"`,
			`F:20: stream[2].vlan.id: expected a number from 0 to 4095, got "5000"`,
			`F:20: stream[2]: no layer "upd" (did you mean udp?)`,
			`F:23: stream[3].size: expected at least 64 bytes, the 4 of the frame check sequence counted, got 60`,
			`F:24: stream[3].udp.dport: expected a number from 0 to 65535, got "x"`,
			`F:27: stream[4].size: 64 is smaller than the headers (70), the payload (0) and the frame check sequence (4)`,
			`F:31: stream[5].packet: contradicts layer: expected one of the two`,
			`F:32: stream[5].layer: expected a list of tables ([[stream.layer]] in TOML), got a value`,
		},
		"testdata/mistakes.yaml": {
			`F:1: count: expected a number from 1 to 9223372036854775807, got "many"`,
			`F:2: burst: expected a number from 1 to 2147483647, got "0"`,
			`F:3: step: no rate: step "20kpps": want RATE:TIME, such as 10kpps:5s`,
			`F:3: step: contradicts the rates of the streams: expected either`,
			`F:4: duration: expected a time such as 30s, got ""`,
			`F:7: stream[1].rate: expected packets or bits a second, such as 10kpps or 2Gbit, got "10%"`,
			`F:7: stream[1].rate: contradicts weight: expected one of the two`,
			`F:9: stream[2].layer: expected a list of tables ([[stream.layer]] in TOML), got a table`,
			`F:9: stream[2]: expected a rate, as other streams have one`,
			`F:10: stream[3].layer.udp.sport: expected a value or a list of values, got a table`,
			`F:10: stream[3]: expected a rate, as other streams have one`,
			`F:11: stream[4]: expected a table, got a value`,
			`F:12: count: is given twice`,
		},
	} {
		_, err := LoadProfile(file)
		var m *Mistakes
		if !errors.As(err, &m) {
			t.Errorf("%s: got %v", file, err)
			continue
		}
		got := strings.Split(strings.ReplaceAll(m.Error(), file, "F"), "\n")
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n\t\t\t`%s`,\nwant\n\t\t\t`%s`,", file, strings.Join(got, "`,\n\t\t\t`"), strings.Join(want, "`,\n\t\t\t`"))
		}
	}
}

func TestProfileSyntax(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.toml", "rate = \n", "a.toml:1: not TOML: "},
		{"a.toml", "\n\nrate = 'max'\nrate = 'max'\n", "a.toml:4: not TOML: "},
		{"a.yaml", "stream:\n - x: [\n", "a.yaml:"},
		{"a.yaml", "rate: 1pps\nstream:\n  - packet: udp\nrate: 2pps\n", "a.yaml:4: rate: is given twice"},
		{"a.yaml", "- a\n", "a.yaml:1: expected a table with stream and settings, got a list"},
		{"a.yaml", "", "a.yaml:1: stream: is missing: expected at least one stream"},
		{"a.toml", "stream = 3", "a.toml:1: stream: expected a list of tables ([[stream]] in TOML), got a value"},
		{"a.toml", "stream = []", "a.toml:1: stream: expected 1 to 256, got 0"},
		{"a.toml", "[[stream]]\npacket='udp'\nrate='1Mpps'\n[[stream]]\npacket='udp'\nrate='1pps'\n",
			"a.toml:3: stream: the rates are too far apart: expected at least 1 packet of 4096 of each stream"},
		{"a.json", "{}", "gen: profile a.json: expected a name that ends in .toml, .yaml or .yml"},
	} {
		if _, err := ParseProfile(c.name, []byte(c.text)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
		}
	}
	// Aliases that would make billions of values of a few lines.
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 10) + "]\n"
	}
	if _, err := ParseProfile("a.yaml", []byte(bomb)); err == nil || !strings.Contains(err.Error(), "too many values") {
		t.Errorf("a bomb: got %.200v", err)
	}
	if _, err := LoadProfile(os.DevNull + "/none.toml"); err == nil {
		t.Error("a file that is not there: no error")
	}
}
