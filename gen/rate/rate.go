package rate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Unit is what a rate is of.
type Unit uint8

const (
	Packets   Unit = iota // a second
	L2                    // bits a second of frames with their FCS
	L1                    // bits a second of all that the line is taken for: preamble and gap, too
	Line                  // percent of the rate of the line, which is of L1
	Unlimited             // as much as the device takes
)

// Bytes that a frame has beyond what a program gives to a packet socket, and the least of those that it gives.
const (
	FCS      = 4      // the frame check sequence
	Overhead = 20     // preamble and start of frame, 8, and interpacket gap, 12
	Shortest = 64 - 4 // shorter ones are padded
)

// Rate is how much is to leave in a second. The zero Rate is none.
type Rate struct {
	Value float64 // packets or bits a second, or percent
	Unit  Unit
}

// Max is the rate of who does not wait.
var Max = Rate{Unit: Unlimited}

// PPS is a rate in packets a second.
func PPS(n float64) Rate { return Rate{Value: n, Unit: Packets} }

// ErrRate is in every error about a rate that cannot be.
var ErrRate = errors.New("no rate")

const wanted = "want 10kpps, 1.5Mpps, 2Gbit (with FCS), 2Gbit-l1 (with preamble and gap), 40% of the line, or max"

var prefixes = []struct {
	name   string
	factor float64
}{{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}}

// Parse reads a rate: "10kpps", "1.5Mpps", "2Gbit" (of L2, as "2Gbit-l2" says too), "2Gbit-l1", "40%" or "max". Letters may be of either
// case, and "bit/s" or "bps" may stand for "bit".
func Parse(s string) (Rate, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	if text == "max" {
		return Max, nil
	}
	digits := text[:digitsOf(text)]
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(value >= 0) || math.IsInf(value, 0) {
		return Rate{}, fmt.Errorf("%w: %q: %s", ErrRate, s, wanted)
	}
	factor, unit, ok := parseUnit(strings.TrimSpace(text[len(digits):]))
	if !ok {
		return Rate{}, fmt.Errorf("%w: %q: %s", ErrRate, s, wanted)
	}
	r := Rate{Value: value * factor, Unit: unit}
	if r.Value > 1e15 || unit == Line && value > 100 {
		return Rate{}, fmt.Errorf("%w: %q is more than any line has", ErrRate, s)
	}
	return r, nil
}

// digitsOf returns how many bytes at the start are those of a number.
func digitsOf(s string) int {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' {
			return i
		}
	}
	return len(s)
}

// parseUnit reads what stands behind the number, in small letters.
func parseUnit(s string) (factor float64, unit Unit, ok bool) {
	if s == "%" {
		return 1, Line, true
	}
	for _, p := range prefixes {
		rest, found := strings.CutPrefix(s, strings.ToLower(p.name))
		if !found {
			continue
		}
		switch rest {
		case "pps":
			return p.factor, Packets, true
		case "bit", "bps", "bit/s", "bit-l2", "bit/s-l2", "bps-l2":
			return p.factor, L2, true
		case "bit-l1", "bit/s-l1", "bps-l1":
			return p.factor, L1, true
		}
	}
	return 0, 0, false
}

// String writes the rate as Parse reads it.
func (r Rate) String() string {
	switch r.Unit {
	case Unlimited:
		return "max"
	case Line:
		return strconv.FormatFloat(r.Value, 'f', -1, 64) + "%"
	case L1:
		return scaled(r.Value) + "bit-l1"
	case L2:
		return scaled(r.Value) + "bit"
	}
	return scaled(r.Value) + "pps"
}

// scaled writes a number with the largest prefix that leaves one before the point.
func scaled(v float64) string {
	best := prefixes[0]
	for _, p := range prefixes {
		if v >= p.factor {
			best = p
		}
	}
	return strconv.FormatFloat(v/best.factor, 'f', -1, 64) + best.name
}

// Set, Type and String make a *Rate a flag's value.
func (r *Rate) Set(s string) (err error) {
	*r, err = Parse(s)
	return err
}

// Type names the value in a command's help.
func (r *Rate) Type() string { return "rate" }

// Resolve makes bits of a share of the line, whose rate is in bits a second, 0 if it is not known. Other rates it leaves alone.
func (r Rate) Resolve(line float64) (Rate, error) {
	if r.Unit != Line {
		return r, nil
	}
	if line <= 0 {
		return r, fmt.Errorf("%w: %v of the line: its rate is not known", ErrRate, r)
	}
	return Rate{Value: line * r.Value / 100, Unit: L1}, nil
}

// Costs returns what a packet costs in the rate's unit: so much, and so much for each of its bytes, FCS not counted.
func (u Unit) Costs() (packet, perByte float64) {
	switch u {
	case L2:
		return FCS * 8, 8
	case L1, Line:
		return (FCS + Overhead) * 8, 8
	}
	return 1, 0
}

// PPS returns how many packets a second the rate is, of so many bytes in the mean, FCS not counted. Of a share of the line and of Max it
// is not known: +Inf.
func (r Rate) PPS(mean float64) float64 {
	if r.Unit == Line || r.Unit == Unlimited {
		return math.Inf(1)
	}
	packet, perByte := r.Unit.Costs()
	return r.Value / (packet + perByte*mean)
}
