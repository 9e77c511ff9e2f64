package gen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// settings are what a stream has beside its layers, in the order of the documentation.
var settings = []string{"name", "weight", "size", "vary", "seed", "signature"}

// resolver turns a draft into a stream.
type resolver struct {
	*Mistakes
	d     *draft
	s     Stream
	order int
}

// resolve returns the stream that a draft says, and notes what is wrong with it.
func resolve(d *draft, m *Mistakes) Stream {
	r := resolver{Mistakes: m, d: d}
	for _, it := range d.settings {
		if !r.setting(it) {
			r.add(it.at, r.path(it.name), "no such setting%s", suggest(it.name, append([]string{"layer", "packet"}, settings...)))
		}
	}
	for _, l := range d.layers {
		k := kindNamed(l.name)
		if k == 0 {
			r.add(l.at, r.path(""), "no layer %q%s", l.name, suggest(l.name, layerNames()))
			continue
		}
		if !r.push(k) {
			r.add(l.at, r.path(l.name), "cannot follow %s: expected it behind %s", r.top(), orList(k.layer().over))
			continue
		}
		for _, it := range l.items {
			r.item(it)
		}
	}
	return r.s
}

// path returns the name of a field as mistakes tell it.
func (r *resolver) path(field string) string {
	switch {
	case r.d.field == "":
		return field
	case field == "":
		return r.d.field
	}
	return r.d.field + "." + field
}

// top returns the innermost layer so far, 0 if there is none.
func (r *resolver) top() Kind {
	if n := len(r.s.Layers); n > 0 {
		return r.s.Layers[n-1].Kind
	}
	return 0
}

// push adds a layer, below it those that must be there and are not. It reports false if the layer cannot be where it is.
func (r *resolver) push(k Kind) bool {
	if !k.isOver(r.top()) {
		below := k.layer().below
		if below == 0 || below == r.top() || !r.push(below) {
			return false
		}
	}
	r.s.Layers = append(r.s.Layers, Layer{Kind: k})
	return true
}

// setting takes an item that is about the stream, and reports whether there is such a thing.
func (r *resolver) setting(it item) bool {
	expected := ""
	switch it.name {
	case "name":
		r.s.Name = it.text
	case "weight":
		n, err := strconv.Atoi(it.text)
		if r.s.Weight = n; err != nil || n < 1 || n > maxWeight {
			expected = fmt.Sprintf("a number from 1 to %d", maxWeight)
		}
	case "size":
		size, err := parseSize(it.text)
		if r.s.Size = size; err != nil {
			r.add(it.value.after(err.at), r.path("size"), "%s", err.text)
		}
	case "vary":
		if r.s.Nested = it.text == "nested"; !r.s.Nested && it.text != "together" {
			expected = "together or nested"
		}
	case "seed":
		n, ok := parseNumber(it.text)
		if r.s.Seed = n; !ok {
			expected = "a number"
		}
	case "signature":
		i := slices.Index(signNames, it.text)
		if i < 0 {
			expected = orNames(signNames)
		}
		r.s.Sign = Sign(max(i, 0))
	default:
		return false
	}
	if expected != "" {
		r.add(it.value, r.path(it.name), "expected %s, got %q", expected, it.text)
	}
	return true
}

var signNames = []string{SignAuto: "auto", SignAlways: "on", SignNever: "off"}

// item gives a value to a field of the innermost layer, or of one below it, down to where a tunnel begins, or to a setting.
func (r *resolver) item(it item) {
	top := len(r.s.Layers) - 1
	if it.name == "" {
		if it.name = r.top().layer().main; it.name == "" {
			r.add(it.at, r.path(r.top().String()), "has no field that a value right behind it could be for: expected ,FIELD=VALUE")
			return
		}
	}
	for i := top; i >= 0; i-- {
		l := &r.s.Layers[i]
		if f := l.Kind.fieldFrom(it.name, i == top); f != nil {
			r.assign(l, f, it)
			return
		}
		if l.Kind == VXLAN && i != top {
			break
		}
	}
	if slices.Contains(settings, it.name) && r.d.field == "" {
		if slices.ContainsFunc(r.d.settings, func(s item) bool { return s.name == it.name }) {
			r.add(it.at, r.path(it.name), "is given twice")
			return
		}
		r.d.settings = append(r.d.settings, it)
		r.setting(it)
		return
	}
	r.add(it.at, r.path(r.top().String()), "no field %q%s", it.name, r.elsewhere(it.name))
}

// fieldFrom returns the field that a name means to the layer itself, or to one above it, or nil.
func (k Kind) fieldFrom(name string, own bool) *field {
	if own {
		if f := k.field(name); f != nil {
			return f
		}
	}
	for i := range k.layer().fields {
		if f := &k.layer().fields[i]; f.fromAbove() == name && name != "-" {
			return f
		}
	}
	return nil
}

// elsewhere says which layers have a field that this stream's have not, or what was perhaps meant.
func (r *resolver) elsewhere(name string) string {
	var has, names []string
	for k := range kinds {
		if kinds[k].name != "" && Kind(k).field(name) != nil {
			has = append(has, kinds[k].name)
		}
	}
	if has != nil {
		return ": " + orNames(has) + " has one"
	}
	for i := len(r.s.Layers) - 1; i >= 0; i-- {
		for _, f := range r.s.Layers[i].Kind.layer().fields {
			if n := f.name; i == len(r.s.Layers)-1 {
				names = append(names, n)
			} else if n := f.fromAbove(); n != "-" {
				names = append(names, n)
			}
		}
	}
	if r.d.field == "" {
		names = append(names, settings...)
	}
	return suggest(name, names)
}

// assign gives the value to a field.
func (r *resolver) assign(l *Layer, f *field, it item) {
	path := r.path(l.Kind.String() + "." + f.name)
	if l.get(f.name) != nil {
		r.add(it.at, path, "is given twice")
		return
	}
	r.order++
	g := Field{Name: f.name, order: r.order, at: it.value}
	if f.format == contents {
		g.Text = it.text
		if _, err := f.bytes(it.text); err != "" {
			r.add(it.value, path, "%s", err)
		}
	} else {
		v, err := parseValues(it.text, f)
		if err != nil {
			r.add(it.value.after(err.at), path, "%s", err.text)
			v = constant(f.def)
		}
		if f.width == 0 && v.varies() {
			r.add(it.value, path, "expected one value: it does not vary")
		}
		g.Values = v
	}
	l.Fields = append(l.Fields, g)
}

func layerNames() []string {
	var names []string
	for _, l := range kinds {
		if l.name != "" {
			names = append(names, l.name)
		}
	}
	return names
}

// orList and orNames return names with commas and "or".
func orList(kinds []Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	return orNames(names)
}

func orNames(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
