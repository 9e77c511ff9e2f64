package iperf3

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestParseUnits(t *testing.T) {
	for text, want := range map[string][2]int64{
		"0": {0, 0}, "17": {17, 17}, "128K": {128 << 10, 128e3}, "1m": {1 << 20, 1e6}, "2.5G": {5 << 29, 2500e6}, "1T": {1 << 40, 1e12},
	} {
		b, err1 := ParseBytes(text)
		r, err2 := ParseRate(text)
		if err1 != nil || err2 != nil || b != want[0] || r != want[1] {
			t.Errorf("%q is %d bytes (%v), %d bits/s (%v), want %v", text, b, err1, r, err2, want)
		}
	}
	for _, text := range []string{"", "K", "-1", "1X", "1e30", "NaN", "1 K", "1KB"} {
		if v, err := ParseBytes(text); err == nil {
			t.Errorf("%q is %d", text, v)
		}
	}
}

// The expected texts are those of iperf3 3.12.
func TestFormatUnits(t *testing.T) {
	for want, got := range map[string]string{
		"0.00 Bytes":      formatBytes(0),
		"10.0 MBytes":     formatBytes(10 << 20),
		"1.05 GBytes":     formatBytes(1.05 * (1 << 30)),
		" 994 MBytes":     formatBytes(994 << 20),
		"1023 KBytes":     formatBytes(1023 << 10),
		"0.00 bits/sec":   formatRate(0, 0),
		"23.4 Gbits/sec":  formatRate(23.4e9, 0),
		" 995 Kbits/sec":  formatRate(995e3, 0),
		"0.02 Gbits/sec":  formatRate(23.4e6, 'g'),
		"2.79 MBytes/sec": formatRate(23.4e6, 'M'),
		"23400 Kbits/sec": formatRate(23.4e6, 'k'),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]Number{
		"0": 0, "-3": -3, "9007199254740993": 9007199254740993, "1e+12": 1e12, "1.5": 1, "18446744073709551615": -1,
		"1.8446744073709552e+19": -1, "9.3e18": math.MaxInt64, "-1e30": math.MinInt64, "1e999": -1, "null": 0,
	} {
		var n Number
		if err := json.Unmarshal([]byte(text), &n); err != nil || n != want {
			t.Errorf("%s is %d, %v, want %d", text, n, err, want)
		}
	}
	var n Number
	if err := json.Unmarshal([]byte(`"x"`), &n); err == nil {
		t.Error("a text is a number")
	}
}

func TestFlag(t *testing.T) {
	for text, want := range map[string]Flag{"true": true, "1": true, "false": false, "0": false, "null": false} {
		var f Flag
		if err := json.Unmarshal([]byte(text), &f); err != nil || f != want {
			t.Errorf("%s is %v, %v", text, f, err)
		}
	}
}

// The lines are those that iperf3 3.12 wrote for such a test.
func TestText(t *testing.T) {
	var b strings.Builder
	r := textReport{w: &b, client: true, bidir: true, many: true}
	again, none := int64(3), int64(0)
	piece := func(socket int, sender bool, end float64, retrans *int64, path *Path) Piece {
		return Piece{Socket: socket, Start: end - 1, End: end, Bytes: 382 << 20, BitsPerSecond: 3.21e9, Retransmits: retrans, Path: path, Sender: sender}
	}
	path := &Path{SndCwnd: 5 << 18}
	up, down := piece(5, true, 1, &again, path), piece(9, false, 1, nil, nil)
	sumUp, sumDown := piece(0, true, 1, &again, nil), piece(0, false, 1, nil, nil)
	r.interval(Interval{Streams: []Piece{up, down}, Sum: &sumUp, SumReverse: &sumDown})
	down.Omitted = true
	r.interval(Interval{Streams: []Piece{up, down}, Sum: &sumUp, SumReverse: &sumDown})
	total := func(socket int, sender bool, retrans *int64) Total {
		return Total{Socket: socket, End: 2.001, Bytes: 882 << 20, BitsPerSecond: 3.7e9, Retransmits: retrans, Sender: sender}
	}
	sent, received := total(0, true, &again), total(0, true, nil)
	sentBack, receivedBack := total(0, false, &none), total(0, false, nil)
	r.summary(&End{
		Streams: []StreamEnd{{total(5, true, &again), total(5, true, nil)}, {total(9, false, &none), total(9, false, nil)}},
		SumSent: &sent, SumReceived: &received, SumSentReverse: &sentBack, SumReceivedReverse: &receivedBack, reverse: true,
	})
	const want = `[ ID][Role] Interval           Transfer     Bitrate         Retr  Cwnd
[  5][TX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec    3   1.25 MBytes       ~
[SUM][TX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec    3             ~
[  9][RX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec                  ~
[SUM][RX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec                  ~
- - - - - - - - - - - - - - - - - - - - - - - - -
[  5][TX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec    3   1.25 MBytes       ~
[SUM][TX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec    3             ~
[  9][RX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec                  (omitted)
[SUM][RX-C]   0.00-1.00   sec   382 MBytes  3.21 Gbits/sec                  ~
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID][Role] Interval           Transfer     Bitrate         Retr
[  5][TX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec    3             sender
[  5][TX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec                  receiver
[SUM][TX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec    3             sender
[SUM][TX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec                  receiver
[  9][RX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec    0             sender
[  9][RX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec                  receiver
[SUM][RX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec    0             sender
[SUM][RX-C]   0.00-2.00   sec   882 MBytes  3.70 Gbits/sec                  receiver
`
	if got := b.String(); got != strings.ReplaceAll(want, "~", "") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Another machine's text cannot move the cursor.
func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2Jb\u009bc\n\td\x7f"); got != "a?[2Jb?c\n\td?" {
		t.Errorf("%q", got)
	}
}
