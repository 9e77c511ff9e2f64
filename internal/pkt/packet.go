package pkt

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/xdpstack/xdpstack/internal/sock"
	"github.com/xdpstack/xdpstack/tcp"
)

// packet is a segment as a script has it: its numbers are those of the script.
type packet struct {
	ecn        ipECN
	flags      tcp.Flags
	seq        uint32
	length     uint32
	ack        uint32
	win        uint16
	urg        uint16
	hasWin     bool
	anyOptions bool // <...>
	options    []tcpOption
}

// tcpOption is one option of a segment.
type tcpOption struct {
	kind   byte
	a, b   uint32 // the values of mss, wscale and TS
	blocks []tcp.SACKBlock
	cookie string // the bytes of a Fast Open cookie
}

// The kinds of options that a script can name.
const (
	kindEOL    = 0
	kindNOP    = 1
	kindMSS    = 2
	kindWScale = 3
	kindSACKOK = 4
	kindSACK   = 5
	kindTS     = 8
	kindFO     = 34
	kindFOEXP  = 254
)

// fastOpenMagic follows the length in the experimental Fast Open option (RFC 6994).
const fastOpenMagic = 0xf989

// maxPayload is the most that an injected segment can carry.
const maxPayload = sock.MaxSegment - tcp.MaxHeaderLen

// flagLetters are the letters of the control bits, the first one's bit 0.
const flagLetters = "FSRP.UEW"

// packet reads what follows < or >.
func (s *scanner) packet(outbound bool) *packet {
	p := &packet{win: 65535}
	p.ecn = s.ipECN(outbound)
	p.flags = s.flags()
	p.seq = s.unsigned(32)
	s.expect(":")
	end := s.unsigned(32)
	s.expect("(")
	p.length = s.unsigned(16)
	s.expect(")")
	if s.err == nil && end != p.seq+p.length {
		s.fail("%d:%d is not %d bytes", p.seq, end, p.length)
	}
	if p.length > maxPayload && !outbound {
		s.fail("%d bytes are more than a frame of the runner holds, %d", p.length, maxPayload)
	}
	if s.acceptWord("ack") {
		p.ack = s.unsigned(32)
	}
	if s.acceptWord("win") {
		p.win, p.hasWin = uint16(s.unsigned(16)), true
	}
	if s.acceptWord("urg") {
		p.urg = uint16(s.unsigned(16))
	}
	if s.accept("<") {
		s.options(p)
	}
	if p.anyOptions && !outbound {
		s.fail("an injected segment needs its options named")
	}
	if n := len(p.encode(0, 0)); s.err == nil && (n%4 != 0 || n > tcp.MaxOptionsLen) {
		s.fail("the options take %d bytes: a multiple of 4 and at most %d is possible; pad with nop", n, tcp.MaxOptionsLen)
	}
	return p
}

// ipECN is the ECN field of the IP header as a script has it.
type ipECN int8

// ipECN values besides those on the wire, 0 to 3.
const (
	ecnAny   ipECN = -1 // whatever it is
	ecnECT01 ipECN = -2 // ECT(0) or ECT(1)
)

var ecnNames = map[string]ipECN{
	"noecn": 0, "ect0": ipECN(tcp.ECT0), "ect1": ipECN(tcp.ECT1), "ce": ipECN(tcp.CE), "ect01": ecnECT01,
}

// ipECN reads what may stand before the flags: the name of an ECN field in brackets.
func (s *scanner) ipECN(outbound bool) ipECN {
	if !s.accept("[") {
		if outbound {
			return ecnAny
		}
		return 0
	}
	name := s.word()
	e, ok := ecnNames[name]
	if !ok {
		s.fail("ECN field %q: known are noecn, ect0, ect1, ce, and ect01 for either of two", name)
	} else if e == ecnECT01 && !outbound {
		s.fail("an injected segment is ect0 or ect1")
	}
	s.expect("]")
	return e
}

func (e ipECN) matches(wire uint8) bool {
	switch e {
	case ecnAny:
		return true
	case ecnECT01:
		return wire == tcp.ECT0 || wire == tcp.ECT1
	}
	return e == ipECN(wire)
}

// String returns the name in brackets, or nothing for a field that does not matter or is 0.
func (e ipECN) String() string {
	if e == ecnAny || e == 0 {
		return ""
	}
	for name, v := range ecnNames {
		if v == e {
			return "[" + name + "] "
		}
	}
	return ""
}

func (s *scanner) flags() tcp.Flags {
	text := s.run(func(c byte) bool { return c > ' ' })
	if text == "" {
		s.fail("the flags of a segment expected")
	}
	f := tcp.Flags(0)
	for i := range len(text) {
		bit := strings.IndexByte(flagLetters, text[i])
		if bit < 0 && text != "-" {
			s.fail("flags %q: each of them must be one of S F R P . U E W, or - for none", text)
			return 0
		}
		if bit >= 0 {
			f |= 1 << bit
		}
	}
	return f
}

// options reads the options behind <.
func (s *scanner) options(p *packet) {
	if s.accept("...") {
		p.anyOptions = true
		s.expect(">")
		return
	}
	for s.err == nil && !s.accept(">") {
		p.options = append(p.options, s.tcpOption())
		if s.next(1) != ">" {
			s.expect(",")
		}
	}
}

func (s *scanner) tcpOption() tcpOption {
	switch name := s.word(); name {
	case "eol":
		return tcpOption{kind: kindEOL}
	case "nop":
		return tcpOption{kind: kindNOP}
	case "mss":
		return tcpOption{kind: kindMSS, a: s.unsigned(16)}
	case "wscale":
		return tcpOption{kind: kindWScale, a: s.unsigned(8)}
	case "sackOK":
		return tcpOption{kind: kindSACKOK}
	case "TS":
		o := tcpOption{kind: kindTS}
		s.expect("val")
		o.a = s.unsigned(32)
		s.expect("ecr")
		o.b = s.unsigned(32)
		return o
	case "FO":
		return tcpOption{kind: kindFO, cookie: s.cookie()}
	case "FOEXP":
		return tcpOption{kind: kindFOEXP, cookie: s.cookie()}
	case "sack":
		o := tcpOption{kind: kindSACK}
		for c := s.next(1); s.err == nil && c != "" && isDigit(c[0]); c = s.next(1) {
			b := tcp.SACKBlock{Start: tcp.Seq(s.unsigned(32))}
			s.expect(":")
			b.End = tcp.Seq(s.unsigned(32))
			o.blocks = append(o.blocks, b)
		}
		return o
	default:
		s.fail("option %q: known are mss, wscale, sackOK, TS, sack, FO, FOEXP, nop and eol", name+s.next(10))
		return tcpOption{}
	}
}

// cookie reads the hexadecimal digits of a Fast Open cookie, none of which asks for one.
func (s *scanner) cookie() string {
	b, err := hex.DecodeString(s.run(isWord))
	if err != nil || len(b) > tcp.MaxCookie {
		s.fail("a cookie is an even number of hexadecimal digits, at most %d", 2*tcp.MaxCookie)
	}
	return string(b)
}

// encode returns the options as they are on the wire. SACK blocks are moved by shift, and echoed timestamps by ecrShift.
func (p *packet) encode(shift tcp.Seq, ecrShift uint32) []byte {
	var b []byte
	for _, o := range p.options {
		switch o.kind {
		case kindEOL, kindNOP:
			b = append(b, o.kind)
		case kindMSS:
			b = binary.BigEndian.AppendUint16(append(b, o.kind, 4), uint16(o.a))
		case kindWScale:
			b = append(b, o.kind, 3, byte(o.a))
		case kindSACKOK:
			b = append(b, o.kind, 2)
		case kindTS:
			b = binary.BigEndian.AppendUint32(append(b, o.kind, 10), o.a)
			b = binary.BigEndian.AppendUint32(b, o.b+ecrShift)
		case kindFO:
			b = append(append(b, o.kind, byte(2+len(o.cookie))), o.cookie...)
		case kindFOEXP:
			b = append(b, o.kind, byte(4+len(o.cookie)), fastOpenMagic>>8, fastOpenMagic&0xff)
			b = append(b, o.cookie...)
		case kindSACK:
			b = append(b, o.kind, byte(2+8*len(o.blocks)))
			for _, k := range o.blocks {
				b = binary.BigEndian.AppendUint32(b, uint32(k.Start+shift))
				b = binary.BigEndian.AppendUint32(b, uint32(k.End+shift))
			}
		}
	}
	return b
}

// decodeOptions reads options from the wire. SACK blocks are moved by shift. What it does not know it leaves out.
func decodeOptions(b []byte, shift tcp.Seq) []tcpOption {
	var list []tcpOption
	for len(b) > 0 {
		if b[0] <= kindNOP {
			list = append(list, tcpOption{kind: b[0]})
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return list
		}
		o, v := tcpOption{kind: b[0]}, b[2:b[1]]
		switch {
		case o.kind == kindMSS && len(v) == 2:
			o.a = uint32(binary.BigEndian.Uint16(v))
		case o.kind == kindWScale && len(v) == 1:
			o.a = uint32(v[0])
		case o.kind == kindTS && len(v) == 8:
			o.a, o.b = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
		case o.kind == kindFO:
			o.cookie = string(v)
		case o.kind == kindFOEXP && len(v) >= 2 && binary.BigEndian.Uint16(v) == fastOpenMagic:
			o.cookie = string(v[2:])
		case o.kind == kindSACK:
			for ; len(v) >= 8; v = v[8:] {
				o.blocks = append(o.blocks, tcp.SACKBlock{
					Start: tcp.Seq(binary.BigEndian.Uint32(v)) + shift,
					End:   tcp.Seq(binary.BigEndian.Uint32(v[4:])) + shift,
				})
			}
		}
		list = append(list, o)
		b = b[b[1]:]
	}
	return list
}

// String returns the segment as a script would have it.
func (p *packet) String() string {
	var b strings.Builder
	b.WriteString(p.ecn.String())
	for _, i := range []int{1, 0, 2, 3, 6, 7, 5, 4} { // S F R P E W U .
		if p.flags&(1<<i) != 0 {
			b.WriteByte(flagLetters[i])
		}
	}
	if p.flags == 0 {
		b.WriteByte('-')
	}
	fmt.Fprintf(&b, " %d:%d(%d)", p.seq, p.seq+p.length, p.length)
	if p.flags&tcp.FlagACK != 0 {
		fmt.Fprintf(&b, " ack %d", p.ack)
	}
	if p.hasWin {
		fmt.Fprintf(&b, " win %d", p.win)
	}
	if p.flags&tcp.FlagURG != 0 {
		fmt.Fprintf(&b, " urg %d", p.urg)
	}
	switch {
	case p.anyOptions:
		b.WriteString(" <...>")
	case len(p.options) != 0:
		b.WriteString(" <" + formatOptions(p.options) + ">")
	}
	return b.String()
}

func formatOptions(list []tcpOption) string {
	text := make([]string, 0, len(list))
	for _, o := range list {
		switch o.kind {
		case kindEOL:
			text = append(text, "eol")
		case kindNOP:
			text = append(text, "nop")
		case kindMSS:
			text = append(text, fmt.Sprint("mss ", o.a))
		case kindWScale:
			text = append(text, fmt.Sprint("wscale ", o.a))
		case kindSACKOK:
			text = append(text, "sackOK")
		case kindTS:
			text = append(text, fmt.Sprintf("TS val %d ecr %d", o.a, o.b))
		case kindFO:
			text = append(text, strings.TrimSpace("FO "+hex.EncodeToString([]byte(o.cookie))))
		case kindFOEXP:
			text = append(text, strings.TrimSpace("FOEXP "+hex.EncodeToString([]byte(o.cookie))))
		case kindSACK:
			t := "sack"
			for _, k := range o.blocks {
				t += fmt.Sprintf(" %d:%d", k.Start, k.End)
			}
			text = append(text, t)
		default:
			text = append(text, fmt.Sprint("kind ", o.kind))
		}
	}
	return strings.Join(text, ",")
}
