package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The language of expectations, blanks allowed between the words:
//
//	list      = condition { "," condition }
//	condition = quantity operator value
//	quantity  = [ histogram "." ] statistic | "errors" [ "." kind ] | "rate" | "duration" | "cpu" | "tcp." counter | counter
//	statistic = "p" percentile | "min" | "mean" | "max" | "count"
//	operator  = "<" | "<=" | ">" | ">=" | "=" | "==" | "!="
//	value     = number [ "k" | "M" | "G" ] [ "/s" ] | number "%" | number ( "ns" | "us" | "ms" | "s" | "m" )
//
// "-" and "_" are the same in names.

// ParseError is a mistake in a list of expectations.
type ParseError struct {
	Input string
	At    int // byte at which the mistake begins
	Why   string
}

// Error says what is wrong, and points at it in a line of its own.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s\n    %s\n    %s^", e.Why, e.Input, strings.Repeat(" ", len([]rune(e.Input[:e.At]))))
}

// maxExpectations bounds a list.
const maxExpectations = 100

// ParseExpectations reads a list of conditions about what a vocabulary names. The error is a *ParseError.
func ParseExpectations(input string, v Vocabulary) ([]Expectation, error) {
	p := expectParser{input: input, known: v}
	var all []Expectation
	for {
		e, err := p.condition()
		if err != nil {
			return nil, err
		}
		if all = append(all, e); len(all) > maxExpectations {
			return nil, p.fail(p.at, "more than %d expectations", maxExpectations)
		}
		p.blanks()
		if p.at == len(input) {
			return all, nil
		}
		if input[p.at] != ',' {
			return nil, p.fail(p.at, "a comma, or nothing, is expected after %q", e.Text)
		}
		p.at++
	}
}

type expectParser struct {
	input string
	at    int
	known Vocabulary
}

func (p *expectParser) fail(at int, format string, args ...any) error {
	return &ParseError{Input: p.input, At: at, Why: fmt.Sprintf(format, args...)}
}

func (p *expectParser) blanks() {
	for p.at < len(p.input) && (p.input[p.at] == ' ' || p.input[p.at] == '\t' || p.input[p.at] == '\n') {
		p.at++
	}
}

// word takes what belongs to a name or a value, up to an operator, comma or blank.
func (p *expectParser) word() (text string, at int) {
	p.blanks()
	at = p.at
	if n := strings.IndexAny(p.input[at:], "<>=!, \t\n"); n >= 0 {
		p.at += n
	} else {
		p.at = len(p.input)
	}
	return p.input[at:p.at], at
}

func (p *expectParser) condition() (e Expectation, err error) {
	name, start := p.word()
	if name == "" {
		return e, p.fail(start, "a condition is expected here, such as p99<5ms")
	}
	if e.name, err = p.quantity(strings.ReplaceAll(name, "-", "_"), start); err != nil {
		return e, err
	}
	p.blanks()
	e.op = operator(slices.IndexFunc(operators, func(o struct {
		text  string
		words string
		holds func(a, b float64) bool
	}) bool {
		return strings.HasPrefix(p.input[p.at:], o.text)
	}))
	if int(e.op) >= len(operators) {
		return e, p.fail(p.at, "%s is to be compared with something: <, <=, >, >=, = or !=", name)
	}
	p.at += len(operators[e.op].text)
	text, at := p.word()
	if text == "" {
		return e, p.fail(at, "%s is compared with nothing: want %s", name, e.name.kinds()[0].want())
	}
	value, k, why := parseValue(text)
	if why != "" {
		return e, p.fail(at, "%s", why)
	}
	if e.value, e.kind, why = e.name.accept(name, value, k); why != "" {
		return e, p.fail(at, "%s", why)
	}
	e.Text = strings.TrimSpace(p.input[start:p.at])
	return e, nil
}

// accept makes a value one that the quantity can be compared with.
func (q quantity) accept(name string, value float64, k kind) (float64, kind, string) {
	all := q.kinds()
	switch {
	case slices.Contains(all, k):
		return value, k, ""
	case k == number && all[0] == perTime: // a rate goes without "/s"
		return value, perTime, ""
	case k == number && value == 0: // and nothing without a unit
		return 0, all[0], ""
	}
	wants := make([]string, len(all))
	for i, a := range all {
		wants[i] = a.want()
	}
	return 0, 0, fmt.Sprintf("%s is compared with %s", name, strings.Join(wants, ", or "))
}

// parseValue reads a number with its unit, or says what is wrong with it.
func parseValue(text string) (v float64, k kind, why string) {
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == '.') {
		end++
	}
	v, err := strconv.ParseFloat(text[:end], 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, 0, fmt.Sprintf("%q is no value: want a number, with a unit where there is one, such as 5ms, 0.1%% or 10k/s", text)
	}
	unit := text[end:]
	if unit == "%" {
		return v / 100, share, ""
	}
	for _, u := range durationUnits {
		if unit == u.name {
			return v * u.of.Seconds(), duration, ""
		}
	}
	scale, isRate := strings.CutSuffix(unit, "/s")
	if isRate {
		k = perTime
	}
	factor, ok := map[string]float64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}[scale]
	if !ok {
		return 0, 0, fmt.Sprintf("%q is no unit: there are ns, us, ms, s, m; %%; k, M, G; /s", unit)
	}
	return v * factor, k, ""
}

var durationUnits = []struct {
	name string
	of   time.Duration
}{{"ns", 1}, {"us", time.Microsecond}, {"µs", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}}

// quantity finds what a name means.
func (p *expectParser) quantity(name string, at int) (quantity, error) {
	first, rest, dotted := strings.Cut(name, ".")
	switch {
	case name == "rate":
		return quantity{of: ofRate}, nil
	case name == "duration":
		return quantity{of: ofDuration}, nil
	case name == "cpu":
		return quantity{of: ofCPU}, nil
	case first == "tcp" && dotted && rest != "":
		return quantity{of: ofTCP, name: rest}, nil
	case name == "errors":
		return quantity{of: ofErrors}, nil
	case first == "errors" && dotted:
		if !knows(p.known.Errors, rest) {
			return quantity{}, p.fail(at+len("errors."), "no error is called %q: there are %s", rest, strings.Join(p.known.Errors, ", "))
		}
		return quantity{of: ofErrors, name: rest}, nil
	}
	if q, ok := statistic(name); ok {
		return q, nil
	}
	if dotted && knows(p.known.Histograms, first) {
		q, ok := statistic(rest)
		if !ok {
			return q, p.fail(at+len(first)+1, "a histogram has no %q: there are p50, p99.9 and the like, min, mean, max and count", rest)
		}
		q.name = first
		return q, nil
	}
	if dotted || !knows(p.known.Counters, name) {
		return quantity{}, p.fail(at, "nothing is measured that is called %q: there are %s", name, p.names())
	}
	return quantity{of: ofCounter, name: name}, nil
}

// statistic reads "p99.9", "max" and the like.
func statistic(s string) (quantity, bool) {
	switch s {
	case "min", "mean", "max", "count":
		return quantity{stat: s}, true
	}
	digits, ok := strings.CutPrefix(s, "p")
	if !ok || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return quantity{}, false
	}
	at, err := strconv.ParseFloat(digits, 64)
	return quantity{stat: "p", at: at}, err == nil && at >= 0 && at <= 100
}

func knows(list []string, name string) bool {
	return name != "" && (len(list) == 0 || slices.Contains(list, name))
}

// names lists what there is, for an error.
func (p *expectParser) names() string {
	all := []string{"p99 (or another percentile)", "mean", "max", "errors", "rate", "cpu", "duration"}
	for _, h := range p.known.Histograms {
		all = append(all, h+".p99")
	}
	return strings.Join(append(all, p.known.Counters...), ", ")
}
