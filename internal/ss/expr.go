package ss

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/stack"
)

// Filter chooses some of a stack's connections. It is made by Parse, and may be used by any number of goroutines.
type Filter struct {
	states    States
	hasStates bool
	root      expr // nil: all
}

// States returns the states that the filter names, or what it is given if it names none.
func (f *Filter) States(otherwise States) States {
	if f.hasStates {
		return f.states
	}
	return otherwise
}

// Match reports whether a connection matches, whatever its state.
func (f *Filter) Match(c *stack.ConnInfo) bool { return f.root == nil || f.root.match(c) }

// String returns the filter in the one form that has numbers for names and parentheses everywhere.
func (f *Filter) String() string {
	var b strings.Builder
	if f.hasStates {
		all := f.states
		for _, s := range stateNames[:11] { // the single ones
			if all&s.set != 0 {
				b.WriteString("state " + s.name + " ")
			}
		}
		if all == 0 {
			b.WriteString("exclude all ")
		}
	}
	if f.root != nil {
		f.root.write(&b)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// expr is a node of a filter.
type expr interface {
	match(c *stack.ConnInfo) bool
	write(b *strings.Builder)
}

type andExpr struct{ a, b expr }
type orExpr struct{ a, b expr }
type notExpr struct{ a expr }

func (e andExpr) match(c *stack.ConnInfo) bool { return e.a.match(c) && e.b.match(c) }
func (e orExpr) match(c *stack.ConnInfo) bool  { return e.a.match(c) || e.b.match(c) }
func (e notExpr) match(c *stack.ConnInfo) bool { return !e.a.match(c) }

func (e andExpr) write(b *strings.Builder) { writePair(b, e.a, " and ", e.b) }
func (e orExpr) write(b *strings.Builder)  { writePair(b, e.a, " or ", e.b) }
func (e notExpr) write(b *strings.Builder) { b.WriteString("not "); e.a.write(b) }

func writePair(b *strings.Builder, l expr, op string, r expr) {
	b.WriteString("( ")
	l.write(b)
	b.WriteString(op)
	r.write(b)
	b.WriteString(" )")
}

// hostExpr compares an end with a network, and with a port unless that is -1.
type hostExpr struct {
	local bool
	net   netip.Prefix // invalid: any
	port  int
}

func (e hostExpr) match(c *stack.ConnInfo) bool {
	end := c.Remote
	if e.local {
		end = c.Local
	}
	if e.net.IsValid() && !e.net.Contains(end.Addr()) {
		return false
	}
	return e.port < 0 || end.IsValid() && int(end.Port()) == e.port
}

func (e hostExpr) write(b *strings.Builder) {
	b.WriteString(map[bool]string{true: "src ", false: "dst "}[e.local])
	if e.net.IsValid() {
		b.WriteString(e.net.String())
	} else {
		b.WriteByte('*')
	}
	if e.port >= 0 {
		b.WriteString(":" + strconv.Itoa(e.port))
	}
}

// compare is one of the six comparisons.
type compare uint8

const (
	equal compare = iota
	notEqual
	greater
	greaterEqual
	less
	lessEqual
)

var compareNames = [...]string{"=", "!=", ">", ">=", "<", "<="}

func (op compare) holds(a, b int64) bool {
	switch op {
	case equal:
		return a == b
	case notEqual:
		return a != b
	case greater:
		return a > b
	case greaterEqual:
		return a >= b
	case less:
		return a < b
	}
	return a <= b
}

// portExpr compares a port. What has no peer has no port of it, and is not even different from one.
type portExpr struct {
	local bool
	op    compare
	port  uint16
}

func (e portExpr) match(c *stack.ConnInfo) bool {
	end := c.Remote
	if e.local {
		end = c.Local
	}
	return end.IsValid() && e.op.holds(int64(end.Port()), int64(e.port))
}

func (e portExpr) write(b *strings.Builder) {
	b.WriteString(map[bool]string{true: "sport ", false: "dport "}[e.local] + compareNames[e.op] + " :" + strconv.Itoa(int(e.port)))
}

type numberExpr struct {
	number *number
	op     compare
	value  int64
}

func (e numberExpr) match(c *stack.ConnInfo) bool { return e.op.holds(e.number.of(c), e.value) }

func (e numberExpr) write(b *strings.Builder) {
	b.WriteString(e.number.name + " " + compareNames[e.op] + " " + e.number.format(e.value))
}
