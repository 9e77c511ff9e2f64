package gen

import (
	"fmt"
	"strings"
)

// Mistake is one thing that is wrong with a stream or a profile.
type Mistake struct {
	File   string // "" where there is none: a stream on the command line
	Line   int    // from 1; 0 without a file
	Column int    // from 1, in bytes; 0: not known
	Field  string // such as stream[1].udp.sport, or udp.sport; "" if it is none in particular
	Text   string // what was expected, and what is there
}

// String returns the mistake as compilers write theirs.
func (m Mistake) String() string {
	var b strings.Builder
	if m.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", m.File, m.Line)
	}
	if m.Field != "" {
		fmt.Fprintf(&b, "%s: ", m.Field)
	}
	b.WriteString(m.Text)
	return b.String()
}

// Mistakes are all that is wrong with a profile or with a stream.
type Mistakes struct {
	List []Mistake
	Text string // the stream that the columns are in, if it is one of the command line
}

// Error has a line for each mistake, and for streams of the command line a pointer to the place.
func (m *Mistakes) Error() string {
	var b strings.Builder
	for i, x := range m.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.String())
		if m.Text != "" && x.Column > 0 {
			fmt.Fprintf(&b, "\n    %s\n    %s^", m.Text, strings.Repeat(" ", x.Column-1))
		}
	}
	return b.String()
}

// err returns m as an error, or nil if there is none.
func (m *Mistakes) err() error {
	if len(m.List) == 0 {
		return nil
	}
	return m
}

// place is where something stands.
type place struct {
	file         string
	line, column int
}

// after returns the place n bytes further on.
func (p place) after(n int) place {
	if p.column > 0 {
		p.column += n
	}
	return p
}

// add notes a mistake.
func (m *Mistakes) add(at place, field, format string, args ...any) {
	m.List = append(m.List, Mistake{at.file, at.line, at.column, field, fmt.Sprintf(format, args...)})
}

// suggest returns " (did you mean X?)" if one of the names is close to what was written, and else what there is.
func suggest(word string, names []string) string {
	best, least := "", 3 // two letters wrong at most
	for _, n := range names {
		if d := distance(word, n); d < least && d < len(n) {
			best, least = n, d
		}
	}
	if best != "" {
		return fmt.Sprintf(" (did you mean %s?)", best)
	}
	return "; expected one of " + strings.Join(names, ", ")
}

// distance returns how many letters must be changed, added, removed or swapped with the next to make b of a.
func distance(a, b string) int {
	if len(a) > 32 || len(b) > 32 {
		return 32 // no name is so long
	}
	var d [33][33]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
