package gen

import (
	"strings"
)

// draft is a stream as it was written, on the command line or in a profile, before anybody has looked at what it means.
type draft struct {
	at       place
	field    string // of the profile that it is, such as stream[1]; "" on the command line
	settings []item
	layers   []draftLayer
}

// draftLayer is a layer as it was written.
type draftLayer struct {
	at    place
	name  string
	items []item
}

// item is one name=value.
type item struct {
	at    place // of the name
	value place
	name  string
	text  string
}

// ParseStream reads a stream in the language of the command line: layers from the outside in with a slash between them, each a name and
// fields behind commas, such as
//
//	udp,src=10.0.0.1-10.0.0.254,dst=10.1.0.1,sport=1024-65535,dport=9,size=64
//	vlan=7/ipv4,ttl=3/tcp,flags=syn,dport=80/payload,text="hello, world"
//
// Layers that must be there and are not are added, and a layer takes fields of those below it too. docs/profiles.md has all of it. An
// error is a *Mistakes, with everything that is wrong.
func ParseStream(text string) (Stream, error) {
	m := Mistakes{Text: text}
	d := parseSpec(text, place{column: 1}, &m)
	s := resolve(d, &m)
	if len(m.List) == 0 {
		check(&s, d, &m)
	}
	return s, m.err()
}

// parseSpec splits the text of a stream, which stands at the given place, into layers and fields.
func parseSpec(text string, at place, m *Mistakes) *draft {
	d := &draft{at: at}
	for len(text) > 0 || len(d.layers) == 0 {
		n := layerEnd(text)
		d.layers = append(d.layers, parseLayer(text[:n], at, m))
		if n == len(text) {
			break
		}
		text, at = text[n+1:], at.after(n+1)
	}
	return d
}

// layerEnd returns where the first layer of the text ends: before a slash that a letter follows, which none in a value is, outside of
// quotes.
func layerEnd(text string) int {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == '/' && !quoted && (i+1 == len(text) || isLetter(text[i+1])):
			return i
		}
	}
	return len(text)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// parseLayer splits a layer into its name and fields. A part without = behind a comma belongs to the value before it, which is a list.
func parseLayer(text string, at place, m *Mistakes) draftLayer {
	l := draftLayer{at: at}
	if i := strings.LastIndexByte(text, '"'); strings.Count(text, `"`)%2 != 0 {
		m.add(at.after(i), "", "a quote that does not end: expected another one")
	}
	for i, part := range splitCommas(text) {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case i == 0:
			l.name = name
			if ok {
				l.items = append(l.items, item{at: at, value: at.after(len(name) + 1), text: unquote(value)})
			}
		case ok:
			l.items = append(l.items, item{at: at, value: at.after(len(name) + 1), name: name, text: unquote(value)})
		case len(l.items) > 0:
			l.items[len(l.items)-1].text += "," + part
		default:
			m.add(at, l.name, "expected FIELD=VALUE, got %q", part)
		}
		at = at.after(len(part) + 1)
	}
	return l
}

// splitCommas splits at the commas outside of quotes.
func splitCommas(text string) []string {
	var parts []string
	from, quoted := 0, false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// unquote removes the quotes around a value.
func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}
