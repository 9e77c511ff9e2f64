package pkt

import (
	"time"
)

// Script is a packet script that was read.
type Script struct {
	Name    string
	options []option
	events  []event
}

// option is one --name=value of the top.
type option struct {
	line        int
	name, value string
}

// event is one thing that is done, or expected, at a time. One of the pointers is set.
type event struct {
	line  int
	when  when
	in    *packet // injected
	out   *packet // expected
	icmp  *icmpError
	call  *call
	check []assertion
}

// when says at which time an event is due.
type when struct {
	any      bool // at any time
	relative bool // to the event before
	exact    bool // from and to are the same
	from, to time.Duration
}

// Parse reads a script. The name is for messages.
func Parse(name, src string) (*Script, error) {
	s := &scanner{name: name, src: src}
	out := &Script{Name: name}
	for s.accept("--") {
		out.options = append(out.options, s.option())
	}
	for !s.done() {
		out.events = append(out.events, s.event())
	}
	if s.err != nil {
		return nil, s.err
	}
	return out, nil
}

func (s *scanner) option() option {
	o := option{line: s.line(), name: s.word()}
	if o.name == "" {
		s.fail("the name of an option expected after --")
	}
	if s.pos < len(s.src) && s.src[s.pos] == '=' {
		s.pos++
		start := s.pos
		for s.pos < len(s.src) && s.src[s.pos] > ' ' {
			s.pos++
		}
		o.value = s.src[start:s.pos]
	}
	return o
}

func (s *scanner) event() event {
	s.space()
	e := event{line: s.line()}
	if s.next(1) != "`" {
		e.when = s.when()
	}
	switch {
	case s.accept("`"):
		s.fail("shell commands are not run here; set what they would set with --name=value at the top")
		return e
	case s.accept("<"):
		if s.acceptWord("icmp") {
			e.icmp = s.icmpError()
		} else {
			e.in = s.packet(false)
		}
	case s.accept(">"):
		e.out = s.packet(true)
	case s.accept("%{"):
		e.check = s.assertions()
	case s.accept("..."):
		end := s.duration()
		e.call = s.call()
		e.call.blocks, e.call.end = true, end
	default:
		e.call = s.call()
	}
	if e.when.any && e.out == nil {
		s.fail("only an expected segment can have * for its time")
	}
	if !e.when.exact && !e.when.any && e.out == nil {
		s.fail("only an expected segment can have a range for its time")
	}
	return e
}

// when reads 0.1, +0.1, 0.1~0.2, +0.1~+0.2 or *.
func (s *scanner) when() when {
	if s.accept("*") {
		return when{any: true}
	}
	w := when{exact: true, relative: s.accept("+")}
	w.from = s.duration()
	w.to = w.from
	if s.accept("~") {
		w.exact = false
		if s.accept("+") != w.relative {
			s.fail("both ends of a range of times must be absolute, or both relative")
		}
		w.to = s.duration()
		if w.to < w.from {
			s.fail("the range of times ends before it begins")
		}
	}
	return w
}
