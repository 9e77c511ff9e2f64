package filter

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxList bounds the text of a list in bytes: a million rules.
const maxList = 64 << 20

// List is all that a filter is told: rules and rates.
type List struct {
	Rules []Rule
	Rates Rates
}

// ParseList reads the text form, a line for each rule or rate; # begins a comment:
//
//	deny 198.51.100.0/24
//	deny 203.0.113.7 until 2027-01-01T00:00:00Z
//	allow 198.51.100.7
//	rate syn 100/s burst 200
//	rate packets 10k/s
//
// The error names the line.
func ParseList(r io.Reader) (List, error) {
	var l List
	limited := &io.LimitedReader{R: r, N: maxList + 1}
	s := bufio.NewScanner(limited)
	for line := 1; s.Scan(); line++ {
		text, _, _ := strings.Cut(s.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := l.line(words); err != nil {
			return List{}, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := s.Err(); err != nil {
		return List{}, fmt.Errorf("filter: read the list: %w", err)
	}
	if limited.N <= 0 {
		return List{}, fmt.Errorf("filter: the list has more than %d bytes", maxList)
	}
	return l, nil
}

func (l *List) line(words []string) error {
	var v Verdict
	switch {
	case words[0] == "rate":
		return l.rate(words[1:])
	case v.UnmarshalText([]byte(words[0])) != nil:
		return fmt.Errorf("filter: %q is unknown: want deny, allow or rate", words[0])
	case len(words) != 2 && (len(words) != 4 || words[2] != "until"):
		return fmt.Errorf("filter: want %s PREFIX, or %[1]s PREFIX until TIME", words[0])
	}
	p, err := ParsePrefix(words[1])
	if err != nil {
		return err
	}
	r := Rule{Prefix: p, Verdict: v}
	if len(words) == 4 {
		if r.Until, err = time.Parse(time.RFC3339, words[3]); err != nil {
			return fmt.Errorf("filter: %q is no time such as 2027-01-01T00:00:00Z", words[3])
		}
	}
	l.Rules = append(l.Rules, r)
	return nil
}

func (l *List) rate(words []string) error {
	if len(words) != 2 && (len(words) != 4 || words[2] != "burst") {
		return errors.New("filter: want rate syn|packets RATE, or rate syn|packets RATE burst N")
	}
	r, err := ParseRate(words[1])
	if err != nil {
		return err
	}
	if len(words) == 4 {
		if r.Burst, err = strconv.ParseUint(words[3], 10, 32); err != nil || r.Burst == 0 {
			return fmt.Errorf("filter: %q is no burst: want a number of packets", words[3])
		}
	}
	switch words[0] {
	case "syn":
		l.Rates.SYNs = r
	case "packets":
		l.Rates.Packets = r
	default:
		return fmt.Errorf("filter: a rate of %q is unknown: there are syn and packets", words[0])
	}
	return nil
}

// Write writes the text form.
func (l *List) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, r := range l.Rules {
		fmt.Fprintf(b, "%v %v", r.Verdict, r.Prefix)
		if !r.Until.IsZero() {
			fmt.Fprintf(b, " until %s", r.Until.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(b)
	}
	for _, r := range []struct {
		name string
		rate Rate
	}{{"syn", l.Rates.SYNs}, {"packets", l.Rates.Packets}} {
		if r.rate.PerSecond == 0 {
			continue
		}
		fmt.Fprintf(b, "rate %s %v", r.name, r.rate)
		if r.rate.Burst != 0 {
			fmt.Fprintf(b, " burst %d", r.rate.Burst)
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

// Pack makes the text small enough for a request of the control socket.
func Pack(l *List) ([]byte, error) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one that there is
	if err := errors.Join(l.Write(z), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Unpack reads what Pack has made.
func Unpack(b []byte) (List, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return List{}, fmt.Errorf("filter: the list is not packed: %w", err)
	}
	return ParseList(z)
}
