package pkt

import (
	"strings"
	"time"
)

// call is a socket call with what it is to return.
type call struct {
	text   string // as it is in the script
	name   string
	args   []value
	blocks bool          // it may take until end
	end    time.Duration // counted from where the start is counted from
	result int64
	errno  string // name; empty: none
}

// value is an argument of a call.
type value struct {
	kind   valueKind
	n      int64
	text   string           // of a string
	names  []string         // joined by |
	list   []value          // of an array
	fields map[string]value // of a struct
}

type valueKind uint8

const (
	valueAny valueKind = iota // ...
	valueNumber
	valueString
	valueNames
	valueList
	valueStruct
)

// call reads name(args) = result ERRNO (note).
func (s *scanner) call() *call {
	c := &call{}
	s.space()
	start := s.pos
	c.name = s.word()
	if c.name == "" {
		s.fail("a segment, a call or %%{ expected before %q", s.next(20))
		return c
	}
	c.args = s.arguments()
	s.expect("=")
	c.result = s.integer()
	c.errno = s.word()
	if s.err != nil {
		return c
	}
	if c.errno != "" && (c.result != -1 || c.errno[0] != 'E') {
		s.fail("%q after the result: only -1 can be followed by the name of an error", c.errno)
	}
	c.text = strings.Join(strings.Fields(s.src[start:s.pos]), " ")
	if s.accept("(") {
		s.skipPast(")")
	}
	return c
}

func (s *scanner) arguments() []value {
	var args []value
	s.expect("(")
	for s.err == nil && !s.accept(")") {
		args = append(args, s.value())
		if s.next(1) != ")" {
			s.expect(",")
		}
	}
	return args
}

func (s *scanner) value() value {
	switch c := s.next(1); {
	case s.accept("..."):
		return value{}
	case c == "\"":
		s.pos++
		end := strings.IndexByte(s.src[s.pos:], '"')
		if end < 0 {
			s.fail("the string has no end")
			return value{}
		}
		v := value{kind: valueString, text: s.src[s.pos : s.pos+end]}
		s.pos += end + 1
		return v
	case s.accept("["):
		v := value{kind: valueList}
		for s.err == nil && !s.accept("]") {
			v.list = append(v.list, s.value())
			if s.next(1) != "]" {
				s.expect(",")
			}
		}
		return v
	case s.accept("{"):
		return s.structValue()
	case c != "" && (isDigit(c[0]) || c == "-"):
		return value{kind: valueNumber, n: s.integer()}
	}
	return s.namesValue()
}

// structValue reads field=value pairs up to }.
func (s *scanner) structValue() value {
	v := value{kind: valueStruct, fields: map[string]value{}}
	for s.err == nil && !s.accept("}") {
		name := s.word()
		s.expect("=")
		v.fields[name] = s.value()
		if s.next(1) != "}" {
			s.expect(",")
		}
	}
	return v
}

// namesValue reads A|B|C, or a call like htons(80), which stands for its first argument.
func (s *scanner) namesValue() value {
	v := value{kind: valueNames}
	for {
		name := s.word()
		if name == "" {
			s.fail("an argument expected before %q", s.next(20))
			return v
		}
		if s.next(1) == "(" {
			args := s.arguments()
			if len(args) == 0 {
				s.fail("%s() needs an argument", name)
				return v
			}
			return args[0]
		}
		v.names = append(v.names, name)
		if !s.accept("|") {
			return v
		}
	}
}

// arg returns the i-th argument; "..." if there are fewer.
func (c *call) arg(i int) value {
	if i < len(c.args) {
		return c.args[i]
	}
	return value{}
}

// connects reports whether the call opens a connection.
func (c *call) connects() bool { return c.name == "connect" || c.arg(3).has("MSG_FASTOPEN") }

// has reports whether a value of names contains the name.
func (v value) has(name string) bool {
	for _, n := range v.names {
		if n == name {
			return true
		}
	}
	return false
}

// number returns the number that a value is, or that is the only element of an array, as sockopts have it.
func (v value) number() int64 {
	if v.kind == valueList && len(v.list) == 1 {
		return v.list[0].n
	}
	return v.n
}
