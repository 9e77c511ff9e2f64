package pkt

import (
	"fmt"
	"strings"
)

// assertion is one assert of a %{ }% block.
type assertion struct {
	line    int
	text    string
	holds   expr
	message expr // nil: none
}

// expr is an expression: it looks names up and returns an int64, or a string for messages.
type expr func(lookup) (any, error)

// lookup returns the value of a name.
type lookup func(name string) (int64, bool)

// assertions reads a block up to }%.
func (s *scanner) assertions() []assertion {
	s.python = true
	defer func() { s.python = false }()
	var list []assertion
	for s.err == nil && !s.accept("}%") {
		s.space()
		a := assertion{line: s.line()}
		if !s.acceptWord("assert") {
			s.fail("assert or }%% expected before %q; nothing else of Python is known here", s.next(20))
			break
		}
		start := s.pos
		a.holds = s.or()
		a.text = strings.TrimSpace(s.src[start:s.pos])
		if s.accept(",") {
			a.message = s.or()
		}
		s.accept(";")
		list = append(list, a)
	}
	return list
}

// check reports an error if the assertion does not hold.
func (a *assertion) check(env lookup) error {
	v, err := a.holds(env)
	if err != nil {
		return err
	}
	if v != any(int64(0)) {
		return nil
	}
	if a.message == nil {
		return fmt.Errorf("assert %s", a.text)
	}
	m, err := a.message(env)
	if err != nil {
		return err
	}
	return fmt.Errorf("assert %s: %v", a.text, m)
}

// combine makes an expression of two and what is done with their values.
func combine(a, b expr, op func(x, y int64) (int64, error)) expr {
	return func(env lookup) (any, error) {
		x, err := number(a, env)
		if err != nil {
			return nil, err
		}
		y, err := number(b, env)
		if err != nil {
			return nil, err
		}
		return op(x, y)
	}
}

func number(e expr, env lookup) (int64, error) {
	v, err := e(env)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("%q is not a number", v)
	}
	return n, nil
}

func truth(b bool) (int64, error) {
	if b {
		return 1, nil
	}
	return 0, nil
}

func (s *scanner) or() expr {
	e := s.and()
	for s.acceptWord("or") {
		e = combine(e, s.and(), func(x, y int64) (int64, error) { return truth(x != 0 || y != 0) })
	}
	return e
}

func (s *scanner) and() expr {
	e := s.not()
	for s.acceptWord("and") {
		e = combine(e, s.not(), func(x, y int64) (int64, error) { return truth(x != 0 && y != 0) })
	}
	return e
}

func (s *scanner) not() expr {
	if s.acceptWord("not") {
		return combine(s.not(), constant(0), func(x, _ int64) (int64, error) { return truth(x == 0) })
	}
	return s.comparison()
}

func (s *scanner) comparison() expr {
	e := s.sum()
	switch {
	case s.accept("=="):
		return combine(e, s.sum(), func(x, y int64) (int64, error) { return truth(x == y) })
	case s.accept("!="):
		return combine(e, s.sum(), func(x, y int64) (int64, error) { return truth(x != y) })
	case s.accept("<="):
		return combine(e, s.sum(), func(x, y int64) (int64, error) { return truth(x <= y) })
	case s.accept(">="):
		return combine(e, s.sum(), func(x, y int64) (int64, error) { return truth(x >= y) })
	case s.accept("<"):
		return combine(e, s.sum(), func(x, y int64) (int64, error) { return truth(x < y) })
	case s.accept(">"):
		return combine(e, s.sum(), func(x, y int64) (int64, error) { return truth(x > y) })
	}
	return e
}

func (s *scanner) sum() expr {
	e := s.product()
	for {
		switch {
		case s.accept("+"):
			e = combine(e, s.product(), func(x, y int64) (int64, error) { return x + y, nil })
		case s.accept("-"):
			e = combine(e, s.product(), func(x, y int64) (int64, error) { return x - y, nil })
		case s.accept("&"):
			e = combine(e, s.product(), func(x, y int64) (int64, error) { return x & y, nil })
		case s.accept("|"):
			e = combine(e, s.product(), func(x, y int64) (int64, error) { return x | y, nil })
		default:
			return e
		}
	}
}

func (s *scanner) product() expr {
	e := s.atom()
	for {
		switch {
		case s.accept("*"):
			e = combine(e, s.atom(), func(x, y int64) (int64, error) { return x * y, nil })
		case s.accept("//"), s.accept("/"):
			e = combine(e, s.atom(), divide(func(x, y int64) int64 { return x / y }))
		case s.next(2) != "%}" && s.accept("%"):
			e = combine(e, s.atom(), divide(func(x, y int64) int64 { return x % y }))
		default:
			return e
		}
	}
}

func divide(op func(x, y int64) int64) func(x, y int64) (int64, error) {
	return func(x, y int64) (int64, error) {
		if y == 0 {
			return 0, fmt.Errorf("division by zero")
		}
		return op(x, y), nil
	}
}

func constant(v int64) expr { return func(lookup) (any, error) { return v, nil } }

func (s *scanner) atom() expr {
	c := s.next(1)
	switch {
	case s.accept("("):
		e := s.or()
		s.expect(")")
		return e
	case c == `"` || c == "'":
		s.pos++
		start := s.pos
		s.skipPast(c)
		text := s.src[start:max(s.pos-1, start)]
		return func(lookup) (any, error) { return text, nil }
	case c != "" && (isDigit(c[0]) || c == "-"):
		return constant(s.integer())
	}
	name := s.word()
	if name == "" {
		s.fail("a number, a name or ( expected before %q", s.next(20))
		return constant(0)
	}
	return func(env lookup) (any, error) {
		v, ok := env(name)
		if !ok {
			return nil, fmt.Errorf("%s is not known; known are the names of tcpInfo in internal/pkt/info.go", name)
		}
		return v, nil
	}
}
