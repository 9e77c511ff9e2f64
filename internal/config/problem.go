package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File   string `json:"file,omitempty"`   // where the key was set,
	Line   int    `json:"line,omitempty"`   // from 1; 0: it was not set there
	Column int    `json:"column,omitempty"` // from 1, in bytes
	Flag   string `json:"flag,omitempty"`   // or by which flag
	Key    string `json:"key,omitempty"`    // empty: it is not about one key
	Text   string `json:"problem"`
}

// String is one line that an editor can jump from.
func (p Problem) String() string {
	switch {
	case p.Flag != "":
		return p.Flag + ": " + p.Text
	case p.Line > 0 && p.Key != "":
		return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Key, p.Text)
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	case p.File != "":
		return p.File + ": " + p.Text
	}
	return p.Text
}

// Problems are everything that is wrong with a configuration, in the order of the file, then of the flags. There is at least one.
type Problems []Problem

// Error has a line for each.
func (p Problems) Error() string {
	var b strings.Builder
	for i, one := range p {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.String())
	}
	return b.String()
}

// OfFlags reports whether all of them are mistakes in a command line.
func (p Problems) OfFlags() bool {
	return !slices.ContainsFunc(p, func(one Problem) bool { return one.File != "" })
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
