package pkt

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// scanner reads a script from left to right. What a character means depends on where it is (a dot is a flag, a decimal point,
// a third of an ellipsis), so there are no tokens: the parser asks for what may come next. The first error stays, and stops
// everything.
type scanner struct {
	name   string
	src    string
	pos    int
	python bool // in a %{ }% block, where // divides
	err    error
}

// Error is what is wrong with a script, or with what the stack did.
type Error struct {
	File  string
	Line  int
	Text  string
	Trace string // everything that happened until then, one line each; empty for an error of syntax
}

// Error returns file:line, the text and the trace.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	if e.Trace != "" {
		s += "\nwhat happened:\n" + e.Trace
	}
	return s
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = &Error{File: s.name, Line: s.line(), Text: fmt.Sprintf(format, args...)}
	}
}

func (s *scanner) line() int { return 1 + strings.Count(s.src[:s.pos], "\n") }

// space skips white space and comments.
func (s *scanner) space() {
	for s.pos < len(s.src) {
		rest := s.src[s.pos:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			s.pos++
		case rest[0] == '#', !s.python && strings.HasPrefix(rest, "//"):
			s.skipPast("\n")
		case strings.HasPrefix(rest, "/*"):
			s.pos += 2
			s.skipPast("*/")
		default:
			return
		}
	}
}

// skipPast goes behind the next end, or to the end of the script.
func (s *scanner) skipPast(end string) {
	if i := strings.Index(s.src[s.pos:], end); i >= 0 {
		s.pos += i + len(end)
	} else {
		s.pos = len(s.src)
	}
}

// done reports whether nothing more can be read.
func (s *scanner) done() bool {
	s.space()
	return s.err != nil || s.pos == len(s.src)
}

// next returns what comes next, at most n bytes of it, for decisions and messages.
func (s *scanner) next(n int) string {
	s.space()
	return s.src[s.pos:min(s.pos+n, len(s.src))]
}

// accept skips the literal if it comes next.
func (s *scanner) accept(literal string) bool {
	if s.err != nil || s.next(len(literal)) != literal {
		return false
	}
	s.pos += len(literal)
	return true
}

func (s *scanner) expect(literal string) {
	if !s.accept(literal) {
		s.fail("%q expected before %q", literal, s.next(20))
	}
}

// run takes the longest run of bytes for which ok holds; it may be empty.
func (s *scanner) run(ok func(byte) bool) string {
	s.space()
	start := s.pos
	for s.err == nil && s.pos < len(s.src) && ok(s.src[s.pos]) {
		s.pos++
	}
	return s.src[start:s.pos]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool  { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || isDigit(c) }

// word takes a name; it is empty if none comes next.
func (s *scanner) word() string {
	if c := s.next(1); c == "" || isDigit(c[0]) {
		return ""
	}
	return s.run(isWord)
}

// acceptWord skips the word if it comes next as a whole.
func (s *scanner) acceptWord(w string) bool {
	at := s.pos
	if s.word() == w {
		return true
	}
	s.pos = at
	return false
}

// integer takes a number, decimal or with 0x, perhaps with a sign.
func (s *scanner) integer() int64 {
	sign := ""
	if s.accept("-") {
		sign = "-"
	}
	text := s.run(isWord)
	n, err := strconv.ParseInt(sign+text, 0, 64)
	if err != nil {
		s.fail("a number expected before %q", text+s.next(20))
	}
	return n
}

// unsigned takes a number of so many bits.
func (s *scanner) unsigned(bits int) uint32 {
	n := s.integer()
	if s.err == nil && (n < 0 || n >= 1<<bits) {
		s.fail("%d does not fit %d bits", n, bits)
	}
	return uint32(n)
}

// maxTime is the longest time that a script can name.
const maxTime = 1000 * time.Hour

// duration takes a number of seconds, with at most nine decimals.
func (s *scanner) duration() time.Duration {
	text := s.run(isDigit)
	// Three dots are an ellipsis.
	if rest := s.src[s.pos:]; len(rest) > 1 && rest[0] == '.' && isDigit(rest[1]) {
		s.pos++
		text += "." + s.run(isDigit)
	}
	d, err := time.ParseDuration(text + "s")
	if err != nil || d > maxTime {
		s.fail("a time in seconds, at most 1000 hours, expected before %q", text+s.next(20))
	}
	return d
}
