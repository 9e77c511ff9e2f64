package ss

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of a filter: it comes over a socket.
const (
	maxFilter = 4096 // bytes
	maxNested = 64   // parentheses and negations
)

// SyntaxError says what is wrong with a filter, and where.
type SyntaxError struct {
	Text string // the filter
	At   int    // the byte where what is wrong begins
	What string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("filter, at character %d: %s\n  %s\n  %s^", e.At+1, e.What, e.Text, strings.Repeat(" ", e.At))
}

// Services knows the ports of names, for parsers. Without, or for others, there are a few that everybody knows.
type Services func(name string) (port uint16, ok bool)

var wellKnown = map[string]uint16{
	"echo": 7, "discard": 9, "chargen": 19, "ftp": 21, "ssh": 22, "smtp": 25, "domain": 53, "http": 80, "ntp": 123, "https": 443,
}

// Parse reads a filter. Its errors are of type *SyntaxError.
func Parse(text string, services Services) (*Filter, error) {
	p := parser{text: text, services: services}
	if len(text) > maxFilter {
		p.text = text[:16] + "…"
		return nil, p.fail(0, "longer than %d bytes", maxFilter)
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' && c != '\n' || c >= 0x7f {
			return nil, p.fail(i, "a character that no filter has")
		}
	}
	p.text = strings.NewReplacer("\t", " ", "\n", " ").Replace(text)
	p.advance()
	f, err := p.filter()
	if err != nil {
		return nil, err
	}
	return f, nil
}

// parser has one token in hand.
type parser struct {
	text     string
	services Services
	next     int // where the token after that begins, or blanks before it
	at       int // where it begins
	token    string
	depth    int
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &SyntaxError{Text: p.text, At: at, What: fmt.Sprintf(format, args...)}
}

// advance takes the next token, "" at the end: a run of the characters of an operator, a parenthesis, or a word.
func (p *parser) advance() {
	for p.next < len(p.text) && p.text[p.next] == ' ' {
		p.next++
	}
	p.at = p.next
	rest := p.text[p.at:]
	n := 0
	switch {
	case rest == "":
	case strings.ContainsRune("()", rune(rest[0])):
		n = 1
	case strings.ContainsRune("=!<>", rune(rest[0])):
		if n = 1; len(rest) > 1 && rest[1] == '=' {
			n = 2
		}
	case strings.ContainsRune("&|", rune(rest[0])):
		if n = 1; len(rest) > 1 && rest[1] == rest[0] {
			n = 2
		}
	default:
		if n = strings.IndexAny(rest, " ()=!<>&|"); n < 0 {
			n = len(rest)
		}
	}
	p.token, p.next = rest[:n], p.at+n
}

// is takes the token if it is one of some.
func (p *parser) is(tokens ...string) bool {
	for _, t := range tokens {
		if strings.EqualFold(p.token, t) {
			p.advance()
			return true
		}
	}
	return false
}

// here describes the token in hand.
func (p *parser) here() string {
	if p.token == "" {
		return "the end"
	}
	return strconv.Quote(p.token)
}

func (p *parser) filter() (*Filter, error) {
	f := &Filter{}
	for {
		exclude := false
		switch {
		case p.is("state"):
		case p.is("exclude"):
			exclude = true
		default:
			if p.token == "" {
				return f, nil
			}
			root, err := p.or()
			if err == nil && p.token != "" {
				err = p.fail(p.at, "want \"and\", \"or\" or the end, not %s", p.here())
			}
			f.root = root
			return f, err
		}
		set, ok := namedStates(p.token)
		if !ok {
			return nil, p.fail(p.at, "no state is called %s: want one of %s", p.here(), strings.Join(StateNames(), ", "))
		}
		p.advance()
		switch {
		case !exclude && !f.hasStates:
			f.states = set
		case !exclude:
			f.states |= set
		case !f.hasStates:
			f.states = StatesAll &^ set
		default:
			f.states &^= set
		}
		f.hasStates = true
	}
}

func (p *parser) or() (expr, error) {
	l, err := p.and()
	for err == nil && p.is("or", "|", "||") {
		var r expr
		if r, err = p.and(); err == nil {
			l = orExpr{l, r}
		}
	}
	return l, err
}

func (p *parser) and() (expr, error) {
	l, err := p.not()
	for err == nil {
		if !p.is("and", "&", "&&") && (p.token == "" || p.token == ")" || strings.EqualFold(p.token, "or") || p.token[0] == '|') {
			break
		}
		var r expr
		if r, err = p.not(); err == nil {
			l = andExpr{l, r}
		}
	}
	return l, err
}

func (p *parser) not() (expr, error) {
	if p.depth++; p.depth > maxNested {
		return nil, p.fail(p.at, "nested more than %d deep", maxNested)
	}
	defer func() { p.depth-- }()
	begin := p.at
	switch {
	case p.is("not", "!"):
		e, err := p.not()
		return notExpr{e}, err
	case p.is("("):
		e, err := p.or()
		if err == nil && !p.is(")") {
			err = p.fail(p.at, "want \")\" for the \"(\" at character %d, not %s", begin+1, p.here())
		}
		return e, err
	}
	return p.condition()
}

func (p *parser) condition() (expr, error) {
	begin := p.at
	switch {
	case p.is("src"):
		return p.host(true)
	case p.is("dst"):
		return p.host(false)
	case p.is("sport"):
		return p.port(true)
	case p.is("dport"):
		return p.port(false)
	}
	if n := findNumber(p.token); n != nil {
		p.advance()
		return p.number(n)
	}
	return nil, p.fail(begin, "want src, dst, sport, dport, or a number such as rtt, not %s", p.here())
}

// comparison takes one of the six, which the words of ss(8) name too.
func (p *parser) comparison() (compare, bool) {
	for op, names := range [...][]string{
		equal: {"=", "==", "eq"}, notEqual: {"!=", "ne", "neq"}, greater: {">", "gt"}, greaterEqual: {">=", "ge", "geq"},
		less: {"<", "lt"}, lessEqual: {"<=", "le", "leq"},
	} {
		if p.is(names...) {
			return compare(op), true
		}
	}
	return equal, false
}

func (p *parser) number(n *number) (expr, error) {
	op, ok := p.comparison()
	if !ok {
		return nil, p.fail(p.at, "want a comparison of %s, such as >, not %s", n.name, p.here())
	}
	v, err := n.parse(p.token)
	if err != nil {
		return nil, p.fail(p.at, "%s: %v, not %s", n.name, err, p.here())
	}
	p.advance()
	return numberExpr{n, op, v}, nil
}

func (p *parser) port(local bool) (expr, error) {
	op, _ := p.comparison() // "dport 80" is "dport = 80"
	port, err := p.portValue(strings.TrimPrefix(p.token, ":"), p.at)
	if err != nil {
		return nil, err
	}
	p.advance()
	return portExpr{local, op, port}, nil
}

func (p *parser) portValue(s string, at int) (uint16, error) {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		return uint16(n), nil
	}
	if s != "" && (s[0] < '0' || s[0] > '9') && s[0] != '-' {
		if p.services != nil {
			if n, ok := p.services(s); ok {
				return n, nil
			}
		}
		if n, ok := wellKnown[strings.ToLower(s)]; ok {
			return n, nil
		}
		return 0, p.fail(at, "no service is called %q: give the port's number", s)
	}
	if s == "" {
		return 0, p.fail(at, "want a port from 0 to 65535, not the end")
	}
	return 0, p.fail(at, "want a port from 0 to 65535, not %q", s)
}

func (p *parser) host(local bool) (expr, error) {
	op, _ := p.comparison()
	if op > notEqual {
		return nil, p.fail(p.at, "addresses are only compared with = and !=")
	}
	e := hostExpr{local: local, port: -1}
	if p.token == "" || p.token == ")" {
		return nil, p.fail(p.at, "want an address, a network or :port, not %s", p.here())
	}
	if strings.Count(p.token, ":") > 1 {
		return nil, p.fail(p.at, "%s: the stack has IPv4 addresses only", p.here())
	}
	addr, port, hasPort := strings.Cut(p.token, ":")
	if addr != "" && addr != "*" {
		net, err := parseNet(addr)
		if err != nil {
			return nil, p.fail(p.at, "%v", err)
		}
		e.net = net
	}
	if hasPort && port != "*" {
		n, err := p.portValue(port, p.at+len(addr)+1)
		if err != nil {
			return nil, err
		}
		e.port = int(n)
	}
	p.advance()
	if op == notEqual {
		return notExpr{e}, nil
	}
	return e, nil
}

// parseNet reads an address or a network.
func parseNet(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is4() {
			return netip.Prefix{}, fmt.Errorf("want an IPv4 address such as 10.0.0.1, not %q", s)
		}
		return netip.PrefixFrom(a, 32), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || !n.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("want an IPv4 network such as 10.0.0.0/8, not %q", s)
	}
	return n.Masked(), nil
}
