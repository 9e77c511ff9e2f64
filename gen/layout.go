package gen

import (
	"fmt"
)

// placed is a layer at its place in the packet.
type placed struct {
	*Layer
	off  int // bytes from the start of the packet
	len  int // of the header
	next Kind
}

// layout says where everything is in the packets of a stream.
type layout struct {
	layers  []placed
	headers int // bytes of all headers
	content content
	sign    bool
	tunnel  bool
	sizes   []uint64 // distinct, without frame check sequence
	turn    []uint32
	random  bool
}

// problem is what is wrong with a stream, and of which layer and field.
type problem struct {
	layer int    // index; -1: of the stream
	field string // "": of the layer
	text  string
}

// check notes what is wrong with a stream whose fields are right each by itself.
func check(s *Stream, d *draft, m *Mistakes) {
	_, problems := s.layout()
	for _, p := range problems {
		at, path := d.at, p.path(s)
		if p.layer >= 0 {
			if f := s.Layers[p.layer].get(p.field); f != nil {
				at = f.at
			}
		} else {
			for _, it := range d.settings {
				if it.name == p.field {
					at = it.value
				}
			}
		}
		if d.field != "" {
			path = d.field + "." + path
		}
		m.add(at, path, "%s", p.text)
	}
}

// path returns the name of the field that a problem is with.
func (p *problem) path(s *Stream) string {
	switch {
	case p.layer < 0:
		return p.field
	case p.field == "":
		return s.Layers[p.layer].Kind.String()
	}
	return s.Layers[p.layer].Kind.String() + "." + p.field
}

// layout places the layers and finds what contradicts itself.
func (s *Stream) layout() (*layout, []problem) {
	var l layout
	var problems []problem
	wrong := func(layer int, field, format string, args ...any) {
		problems = append(problems, problem{layer, field, fmt.Sprintf(format, args...)})
	}
	if len(s.Layers) == 0 || s.Layers[0].Kind != Ethernet {
		wrong(-1, "layer", "expected layers that begin with eth")
		return nil, problems
	}
	var payload *Layer
	tags := 0
	for i := range s.Layers {
		p := placed{Layer: &s.Layers[i], off: l.headers}
		p.len = p.headerLen()
		p.next = Payload
		if i+1 < len(s.Layers) {
			p.next = s.Layers[i+1].Kind
		}
		switch p.Kind {
		case Payload:
			payload = p.Layer
		case Ethernet:
			tags = 0
		case VLAN, SVLAN:
			if tags++; tags > 2 {
				wrong(i, "", "more than two tags in a row")
			}
		case VXLAN:
			if l.tunnel {
				wrong(i, "", "a tunnel in a tunnel: expected one vxlan at most")
			}
			l.tunnel = true
			if p.next == Payload {
				wrong(i, "", "expected a layer inside, such as vxlan/udp")
			}
		}
		p.contradictions(i, wrong)
		if p.Kind != Payload {
			l.headers += p.len
			l.layers = append(l.layers, p)
		}
	}
	l.content = payload.content()
	l.sized(s, payload, wrong)
	if payload != nil {
		l.checkPayload(s, payload, len(s.Layers)-1, wrong)
	}
	return &l, problems
}

// headerLen returns the length of the header in bytes.
func (l *Layer) headerLen() int {
	n := l.Kind.layer().len
	if l.Kind == TCP {
		n += len(l.tcpOptions())
	}
	return n
}

// contradictions finds fields that say what another one denies.
func (p *placed) contradictions(i int, wrong func(int, string, string, ...any)) {
	both := func(a string, others ...string) {
		for _, b := range others {
			if p.get(a) != nil && p.get(b) != nil {
				wrong(i, b, "contradicts %s: expected one of the two", a)
			}
		}
	}
	switch p.Kind {
	case Ethernet, VLAN, SVLAN:
		if p.get("type") != nil && p.next != Payload {
			wrong(i, "type", "contradicts the next layer, %s, which says it", p.next)
		}
	case IPv4:
		both("tos", "dscp", "ecn")
		if p.get("proto") != nil && p.next != Payload {
			wrong(i, "proto", "contradicts the next layer, %s, which says it", p.next)
		}
	case Payload:
		both("text", "hex", "fill", "random", "len")
		both("hex", "fill", "random", "len")
		both("fill", "random")
	}
	// Two fields of one word of the header do not both vary.
	for a := range p.Fields {
		for b := range a {
			f, g := p.Kind.field(p.Fields[a].Name), p.Kind.field(p.Fields[b].Name)
			if f.width == 0 || g.width == 0 || f.off >= g.off+g.width || g.off >= f.off+f.width {
				continue
			}
			if p.Kind == Payload || p.Fields[a].Values.varies() && p.Fields[b].Values.varies() {
				wrong(i, f.name, "and %s lie in the same bytes: at most one of them may vary", g.name)
			}
		}
	}
}

// sized works out the sizes, and whether there is a signature.
func (l *layout) sized(s *Stream, payload *Layer, wrong func(int, string, string, ...any)) {
	last := l.layers[len(l.layers)-1].Kind
	least := l.headers
	if l.content.len > 0 {
		least += l.content.len
	}
	size := s.Size
	if size.IsZero() {
		l.sign = s.Sign == SignAlways || s.Sign == SignAuto && last == UDP && l.content.len < 0
		n := least
		if l.sign {
			n += SignatureLen
		}
		size = FixedSize(max(n, MinLen) + FCSLen)
	}
	l.sizes, l.turn, l.random = size.sizes()
	shortest := l.sizes[0]
	for i, n := range l.sizes {
		shortest = min(shortest, n)
		l.sizes[i] = n - FCSLen
	}
	room := int(shortest) - FCSLen - least
	if !s.Size.IsZero() {
		l.sign = s.Sign == SignAlways || s.Sign == SignAuto && last == UDP && room >= SignatureLen
	}
	switch {
	case last == ARP && s.Sign == SignAlways:
		wrong(-1, "signature", "an arp packet has no room for a signature")
		l.sign = false
	case payload != nil && payload.get("len") != nil && !s.Size.IsZero():
		wrong(len(s.Layers)-1, "len", "contradicts size: expected one of the two")
	case shortest < MinSize || room < 0:
		wrong(-1, "size", "%d is smaller than the headers (%d), the payload (%d) and the frame check sequence (%d)",
			shortest, l.headers, least-l.headers, FCSLen)
	case l.sign && room < SignatureLen:
		wrong(-1, "signature", "does not fit: size %d has %d bytes left for it, expected at least %d", shortest, room, SignatureLen)
	}
	for i, p := range l.layers {
		for _, n := range l.sizes {
			if p.Kind == IPv4 && int(n)-p.off > 65535 {
				wrong(i, "", "a datagram of %d bytes: expected at most 65535, from a smaller size", int(n)-p.off)
				return
			}
		}
	}
}

// end returns where the payload of a packet of n bytes ends: before the padding.
func (l *layout) end(s *Stream, n int) int {
	last := l.layers[len(l.layers)-1].Kind
	signature := 0
	if l.sign {
		signature = SignatureLen
	}
	switch {
	case last == ARP && !l.tunnel:
		return l.headers
	case s.Size.IsZero() && l.content.len >= 0:
		return l.headers + l.content.len + signature
	case n == MinLen && last != UDP && !l.sign && l.content.len < 0:
		return l.headers // rather padding than a payload that nobody asked for
	}
	return n
}

// checkPayload finds fields beyond the end of the payload.
func (l *layout) checkPayload(s *Stream, payload *Layer, layer int, wrong func(int, string, string, ...any)) {
	shortest := l.sizes[0]
	for _, n := range l.sizes {
		shortest = min(shortest, n)
	}
	room := l.end(s, int(shortest)) - l.headers
	if l.sign {
		room -= SignatureLen
	}
	for _, f := range payload.Fields {
		if g := Payload.field(f.Name); g.width > 0 && g.off+g.width > room {
			wrong(layer, f.Name, "ends at byte %d of a payload of %d", g.off+g.width, max(room, 0))
		}
	}
}
