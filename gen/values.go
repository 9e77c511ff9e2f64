package gen

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/ethernet"
)

// Values are the values that a field takes, packet after packet: one, or a list of values and ranges from the first to the last and from
// the beginning again, or a random one of them for each packet.
type Values struct {
	spans  []span
	random bool
}

// span is a range: first, first+step, … up to last. step is not 0.
type span struct {
	first, last uint64
	step        uint64
}

// maxList is how many values a list may have that is not a single range, which may have any number.
const maxList = 1 << 16

func (s span) count() uint64 { return (s.last-s.first)/s.step + 1 }

// constant returns the values of a field that does not vary.
func constant(v uint64) Values { return Values{spans: []span{{v, v, 1}}} }

// count returns how many values there are; one that occurs twice counts twice.
func (v *Values) count() uint64 {
	var n uint64
	for _, s := range v.spans {
		n += s.count()
	}
	return n
}

// varies reports whether there is more than one value.
func (v *Values) varies() bool { return v.count() > 1 }

// first returns the first value.
func (v *Values) first() uint64 { return v.spans[0].first }

// list returns all values, of which there must be few.
func (v *Values) list() []uint64 {
	l := make([]uint64, 0, v.count())
	for _, s := range v.spans {
		for i := range s.count() {
			l = append(l, s.first+i*s.step)
		}
	}
	return l
}

// text returns v as parseValues reads it.
func (v *Values) text(f *field) string {
	var parts []string
	for _, s := range v.spans {
		p := f.text(s.first)
		if s.last != s.first {
			p += "-" + f.text(s.last)
		}
		if s.step != 1 {
			p += fmt.Sprintf("/%d", s.step)
		}
		parts = append(parts, p)
	}
	t := strings.Join(parts, ",")
	if v.random {
		t = "random:" + t
	}
	return t
}

// text returns a value as parseValue reads it.
func (f *field) text(v uint64) string {
	switch f.format {
	case address:
		return toAddr(v).String()
	case hardware:
		return ethernet.Addr{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}.String()
	}
	return strconv.FormatUint(v, 10)
}

// valueError says what is wrong with the text of values, and where in it.
type valueError struct {
	at   int
	text string
}

func (e *valueError) Error() string { return e.text }

// parseValues reads the text of a field's values:
//
//	9             one value
//	53,80,443     a list
//	1024-65535    a range, also /STEP behind it; and these in a list
//	10.0.0.0/24   the addresses of a prefix, but for the first and the last where it has more than two
//	random:…      a random one of any of these for each packet; random alone: of all values
func parseValues(text string, f *field) (Values, *valueError) {
	var v Values
	at := 0
	if rest, ok := strings.CutPrefix(text, "random"); ok && (rest == "" || rest[0] == ':') {
		v.random = true
		switch {
		case rest != "":
		case f.format == hardware: // of single stations, administered locally
			v.spans = []span{{0x020000000000, 0x02ffffffffff, 1}}
			return v, nil
		case f.format != address:
			v.spans = []span{{0, f.max, 1}}
			return v, nil
		default:
			return v, &valueError{0, "random of which addresses? Expected a range or a prefix, such as random:10.0.0.0/8"}
		}
		at = len("random:")
	}
	for _, item := range strings.Split(text[at:], ",") {
		s, err := parseSpan(item, f)
		if err != nil {
			err.at += at
			return v, err
		}
		v.spans = append(v.spans, s)
		at += len(item) + 1
	}
	if len(v.spans) > 1 && v.count() > maxList {
		return v, &valueError{0, fmt.Sprintf("a list of %d values: expected at most %d where it is not a single range", v.count(), maxList)}
	}
	return v, nil
}

// parseSpan reads a value, a range or a prefix.
func parseSpan(item string, f *field) (span, *valueError) {
	from, to, isRange := strings.Cut(item, "-")
	if !isRange {
		if f.format == address && strings.Contains(item, "/") {
			return parsePrefix(item)
		}
		v, err := parseValue(item, f)
		return span{v, v, 1}, err
	}
	first, err := parseValue(from, f)
	if err != nil {
		return span{}, err
	}
	step := uint64(1)
	end, stepText, hasStep := strings.Cut(to, "/")
	last, err := parseValue(end, f)
	if err != nil {
		err.at += len(from) + 1
		return span{}, err
	}
	if last < first {
		return span{}, &valueError{0, fmt.Sprintf("the range %q ends before it begins", item)}
	}
	if hasStep {
		n, e := strconv.ParseUint(stepText, 10, 64)
		if e != nil || n == 0 {
			return span{}, &valueError{len(from) + len(end) + 2,
				fmt.Sprintf("expected a step of at least 1 behind the /, got %q", stepText)}
		}
		step = n
	}
	return span{first, last - (last-first)%step, step}, nil
}

// parsePrefix returns the addresses of a prefix that hosts may have: without those of the network and of its broadcast where there are
// more than two (RFC 3021).
func parsePrefix(item string) (span, *valueError) {
	p, err := netip.ParsePrefix(item)
	if err != nil || !p.Addr().Is4() {
		return span{}, &valueError{0, fmt.Sprintf("expected an IPv4 prefix such as 10.0.0.0/24, got %q", item)}
	}
	if p.Masked().Addr() != p.Addr() && p.Bits() < 31 {
		return span{}, &valueError{0,
			fmt.Sprintf("%s is an address of %s: expected one or the other, without or with zeros behind the prefix", p.Addr(), p.Masked())}
	}
	first := fromAddr(p.Masked().Addr())
	last := first + 1<<(32-p.Bits()) - 1
	if p.Bits() < 31 {
		first, last = first+1, last-1
	}
	return span{first, last, 1}, nil
}

// fromAddr returns an IPv4 address as a number.
func fromAddr(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

// toAddr is its inverse.
func toAddr(v uint64) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// parseValue reads one value.
func parseValue(text string, f *field) (uint64, *valueError) {
	var v uint64
	ok := false
	switch f.format {
	case number:
		v, ok = parseNumber(text)
	case address:
		var a netip.Addr
		a, err := netip.ParseAddr(text)
		if ok = err == nil && a.Is4(); ok {
			v = fromAddr(a)
		}
	case hardware:
		v, ok = parseHardware(text)
	case boolean:
		v, ok = parseBoolean(text)
	case arpOp:
		if v, ok = oneOf(text, arpOps); !ok {
			v, ok = parseNumber(text)
		}
	case sumMode:
		v, ok = oneOf(text, sumModes[:f.max+1])
	case tcpFlags:
		v, ok = parseFlags(text)
	}
	if !ok || v > f.max {
		return 0, &valueError{0, fmt.Sprintf("expected %s, got %q", f.expected(), text)}
	}
	return v, nil
}

// expected describes the values that a field takes.
func (f *field) expected() string {
	switch f.format {
	case address:
		return "an IPv4 address such as 10.0.0.1"
	case hardware:
		return "a MAC address such as 02:00:00:00:00:01"
	case boolean:
		return "on or off"
	case arpOp:
		return "request, reply or a number up to 65535"
	case sumMode:
		return strings.Join(sumModes[:f.max], ", ") + " or " + sumModes[f.max]
	case tcpFlags:
		return "names of flags joined by + (" + strings.Join(flagNames, " ") + "), none, or a number up to 255"
	}
	return fmt.Sprintf("a number from 0 to %d", f.max)
}

var (
	arpOps    = []string{"", "request", "reply"}
	sumModes  = []string{sumGood: "good", sumBad: "bad", sumNone: "none"}
	flagNames = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"} // from bit 0 on
)

// oneOf returns which of the names text is.
func oneOf(text string, names []string) (uint64, bool) {
	i := slices.Index(names, text)
	return uint64(i), i >= 0 && text != ""
}

// parseBoolean reads what people write for yes and no.
func parseBoolean(text string) (uint64, bool) {
	switch text {
	case "on", "yes", "true", "1":
		return 1, true
	case "off", "no", "false", "0":
		return 0, true
	}
	return 0, false
}

// parseNumber reads a decimal number, or a hexadecimal one that begins with 0x.
func parseNumber(text string) (uint64, bool) {
	base := 10
	if rest, ok := strings.CutPrefix(text, "0x"); ok {
		text, base = rest, 16
	}
	v, err := strconv.ParseUint(text, base, 64)
	return v, err == nil
}

// parseHardware reads a MAC address with colons.
func parseHardware(text string) (uint64, bool) {
	if len(text) != 17 {
		return 0, false
	}
	var v uint64
	for i := 0; i < 17; i += 3 {
		b, err := hex.DecodeString(text[i : i+2])
		if err != nil || i > 0 && text[i-1] != ':' {
			return 0, false
		}
		v = v<<8 | uint64(b[0])
	}
	return v, true
}

// parseFlags reads TCP flags.
func parseFlags(text string) (uint64, bool) {
	if text == "none" {
		return 0, true
	}
	if v, ok := parseNumber(text); ok {
		return v, true
	}
	var v uint64
	for name := range strings.SplitSeq(text, "+") {
		bit, ok := oneOf(name, flagNames)
		if !ok {
			return 0, false
		}
		v |= 1 << bit
	}
	return v, true
}
