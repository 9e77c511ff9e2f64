package packets

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Help says what the language has.
const Help = `  host A, src host A, dst host A           an IPv4 address, of ARP too
  net P, src net P, dst net P              a prefix: 192.0.2.0/24
  port N, src port N, dst port N           of TCP or UDP; portrange N-M likewise
  ip, arp, tcp, udp, icmp                  the protocol
  syn, ack, fin, rst                       a TCP flag
  less N, greater N                        the length of the frame in bytes
  and (&&), or (||), not (!), ( )          not binds closest, then and`

// Match reports whether a frame is wanted.
type Match func(frame []byte) bool

// SyntaxError is a mistake in an expression.
type SyntaxError struct {
	Text string
	At   int // byte, from 0
	Msg  string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("capture: %s, at character %d:\n  %s\n  %s^", e.Msg, e.At+1, e.Text, strings.Repeat(" ", e.At))
}

const (
	maxText  = 4096 // bytes of an expression
	maxDepth = 64   // of parentheses and nots
)

// Parse reads an expression; an empty one wants everything. The error is a *SyntaxError.
func Parse(text string) (Match, error) {
	p := parser{text: text}
	if len(text) > maxText {
		return nil, &SyntaxError{Text: text[:40] + "...", Msg: fmt.Sprintf("more than %d characters", maxText)}
	}
	for i, r := range text {
		if r < ' ' || r > '~' {
			return nil, &SyntaxError{Text: strconv.QuoteToASCII(text), At: i, Msg: "a character that no expression has"}
		}
	}
	p.next()
	if p.word == "" {
		return func([]byte) bool { return true }, nil
	}
	t, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.word != "" {
		return nil, p.fail("%q is too much here: are and, or missing?", p.word)
	}
	return func(frame []byte) bool {
		var h header
		h.parse(frame)
		return t(&h)
	}, nil
}

// term is a part of an expression.
type term func(*header) bool

type parser struct {
	text string
	at   int    // of the word
	word string // empty: the end
	rest int    // behind it
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{Text: p.text, At: p.at, Msg: fmt.Sprintf(format, args...)}
}

// next goes to the next word.
func (p *parser) next() {
	at := p.rest
	for at < len(p.text) && p.text[at] == ' ' {
		at++
	}
	end := at
	for end < len(p.text) && !strings.ContainsRune(" ()!&|", rune(p.text[end])) {
		end++
	}
	if end == at && at < len(p.text) {
		end++
		if two := p.text[at:min(at+2, len(p.text))]; two == "&&" || two == "||" {
			end++
		}
	}
	p.at, p.word, p.rest = at, p.text[at:end], end
}

func (p *parser) or(depth int) (term, error) {
	left, err := p.and(depth)
	for err == nil && (p.word == "or" || p.word == "||") {
		p.next()
		var right term
		a := left
		if right, err = p.and(depth); err == nil {
			left = func(h *header) bool { return a(h) || right(h) }
		}
	}
	return left, err
}

func (p *parser) and(depth int) (term, error) {
	left, err := p.not(depth)
	for err == nil && (p.word == "and" || p.word == "&&") {
		p.next()
		var right term
		a := left
		if right, err = p.not(depth); err == nil {
			left = func(h *header) bool { return a(h) && right(h) }
		}
	}
	return left, err
}

func (p *parser) not(depth int) (term, error) {
	if depth > maxDepth {
		return nil, p.fail("more than %d levels", maxDepth)
	}
	switch p.word {
	case "not", "!":
		p.next()
		t, err := p.not(depth + 1)
		return func(h *header) bool { return !t(h) }, err
	case "(":
		open := p.at
		p.next()
		t, err := p.or(depth + 1)
		if err == nil && p.word != ")" {
			p.at = open
			err = p.fail("a parenthesis that is not closed")
		}
		if err == nil {
			p.next()
		}
		return t, err
	}
	return p.primitive()
}

func (p *parser) primitive() (term, error) {
	word := p.word
	switch word {
	case "":
		return nil, p.fail("the end, where a condition is wanted")
	case "src", "dst":
		p.next()
		return p.sided(word == "src", word == "dst")
	case "host", "net", "port", "portrange":
		return p.sided(true, true)
	case "less", "greater":
		p.next()
		n, err := p.number(1 << 20)
		if word == "less" {
			return func(h *header) bool { return h.length <= n }, err
		}
		return func(h *header) bool { return h.length >= n }, err
	}
	t := plainTerm(word)
	if t == nil {
		return nil, p.fail("%q is unknown", word)
	}
	p.next()
	return t, nil
}

func plainTerm(word string) term {
	flag := func(bit uint8) term { return func(h *header) bool { return h.proto == protoTCP && h.flags&bit != 0 } }
	proto := func(n uint8) term { return func(h *header) bool { return h.ip && h.proto == n } }
	switch word {
	case "ip":
		return func(h *header) bool { return h.ip }
	case "arp":
		return func(h *header) bool { return h.arp }
	case "tcp":
		return proto(protoTCP)
	case "udp":
		return proto(protoUDP)
	case "icmp":
		return proto(protoICMP)
	case "fin":
		return flag(1)
	case "syn":
		return flag(2)
	case "rst":
		return flag(4)
	case "ack":
		return flag(16)
	}
	return nil
}

// sided reads what is said of the source, the destination, or either.
func (p *parser) sided(src, dst bool) (term, error) {
	kind := p.word
	if kind != "host" && kind != "net" && kind != "port" && kind != "portrange" {
		return nil, p.fail("after src or dst want host, net, port or portrange")
	}
	p.next()
	if kind == "port" || kind == "portrange" {
		from, to, err := p.ports(kind == "portrange")
		return func(h *header) bool {
			return h.ports && (src && from <= h.srcPort && h.srcPort <= to || dst && from <= h.dstPort && h.dstPort <= to)
		}, err
	}
	prefix, err := netip.ParsePrefix(p.word)
	if kind == "host" {
		var a netip.Addr
		if a, err = netip.ParseAddr(p.word); err == nil {
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if err != nil || !prefix.Addr().Is4() {
		want := map[string]string{"host": "address", "net": "prefix"}[kind]
		return nil, p.fail("%q is no IPv4 %s", p.word, want)
	}
	p.next()
	return func(h *header) bool {
		return h.addresses && (src && prefix.Contains(h.src) || dst && prefix.Contains(h.dst))
	}, nil
}

func (p *parser) ports(isRange bool) (from, to uint16, err error) {
	first, last, dash := strings.Cut(p.word, "-")
	if !dash {
		last = first
	}
	a, err1 := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || dash != isRange || a > b {
		if isRange {
			return 0, 0, p.fail("%q is no range of ports, such as 1000-2000", p.word)
		}
		return 0, 0, p.fail("%q is no port", p.word)
	}
	p.next()
	return uint16(a), uint16(b), nil
}

func (p *parser) number(most int) (int, error) {
	n, err := strconv.Atoi(p.word)
	if err != nil || n < 0 || n > most {
		return 0, p.fail("%q is no number from 0 to %d", p.word, most)
	}
	p.next()
	return n, nil
}
