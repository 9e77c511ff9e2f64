package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Parse reads a file's content; name is what problems call it.
func Parse(name string, text []byte) *Document {
	d := New()
	d.file = name
	// The decoder checks what makes a document: its syntax, and that nothing is defined twice. What it means is looked at below, since the
	// decoder would stop at the first mistake.
	var anything map[string]any
	if err := toml.Unmarshal(text, &anything); err != nil {
		p := Problem{File: name, Line: 1, Column: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			p.Line, p.Column = at.Position()
		}
		d.problems, d.broken = append(d.problems, p), true
		return d
	}
	r := reader{Document: d, text: text, table: reflect.ValueOf(&d.Config).Elem()}
	r.parser.Reset(text)
	for r.parser.NextExpression() {
		r.expression(r.parser.Expression())
	}
	return d
}

// reader fills a Document from an abstract syntax tree.
type reader struct {
	*Document
	parser unstable.Parser
	text   []byte

	prefix string        // the key of the table that is being filled,
	table  reflect.Value // and it; not valid: there is no such table, which has been said
}

func (r *reader) expression(e *unstable.Node) {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		r.prefix, r.table = "", reflect.ValueOf(&r.Config).Elem()
		for it := e.Key(); it.Next() && r.table.IsValid(); {
			r.enter(it.Node(), e.Kind == unstable.ArrayTable && it.IsLast())
		}
	case unstable.KeyValue:
		if r.table.IsValid() {
			r.keyValue(e)
		}
	}
}

// enter goes from a table into one of its tables; add: it is a new one in an array.
func (r *reader) enter(key *unstable.Node, add bool) {
	at := r.position(key.Raw)
	v, name := r.field(key)
	switch {
	case !v.IsValid():
		r.table = v
		return
	case isTables(v.Type()) && add:
		name = fmt.Sprintf("%s[%d]", name, v.Len())
		v.Grow(1)
		v.SetLen(v.Len() + 1)
		v = v.Index(v.Len() - 1)
	case isTables(v.Type()) && v.Len() > 0: // the last is meant
		name = fmt.Sprintf("%s[%d]", name, v.Len()-1)
		v = v.Index(v.Len() - 1)
	case isTables(v.Type()):
		r.bad(at, name, "is a list of tables: write [[%s]]", name)
		v = reflect.Value{}
	case add:
		r.bad(at, name, "there is only one of it: write [%s]", name)
		v = reflect.Value{}
	case !isTable(v.Type()):
		r.bad(at, name, "is no table: write %s = %s", name, example(v.Type()))
		v = reflect.Value{}
	}
	if v.IsValid() {
		r.set[name] = at
	}
	r.prefix, r.table = name+".", v
}

// field finds a field of the present table by its key, and the full key. The value is not valid if there is none.
func (r *reader) field(key *unstable.Node) (reflect.Value, string) {
	name := string(key.Data)
	t := r.table.Type()
	var names []string
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("toml")
		if tag == name {
			return r.table.Field(i), r.prefix + name
		}
		names = append(names, tag)
	}
	hint := ""
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf(": is %s meant?", near)
	}
	r.bad(r.position(key.Raw), r.prefix+name, "there is no such key%s", hint)
	return reflect.Value{}, ""
}

// keyValue sets a value of the present table, or, with a dotted key, of one in it.
func (r *reader) keyValue(e *unstable.Node) {
	prefix, table := r.prefix, r.table
	defer func() { r.prefix, r.table = prefix, table }()
	for it := e.Key(); it.Next(); {
		if !it.IsLast() {
			if r.enter(it.Node(), false); !r.table.IsValid() {
				return
			}
			continue
		}
		if v, name := r.field(it.Node()); v.IsValid() {
			r.assign(v, name, r.position(it.Node().Raw), e.Value())
		}
	}
}

// assign sets a field from a value, which may be a table or a list of such, written in one line.
func (r *reader) assign(v reflect.Value, name string, at origin, value *unstable.Node) {
	r.set[name] = at
	switch t := v.Type(); {
	case isTable(t):
		r.fill(v, name, at, value)
	case isTables(t):
		if value.Kind != unstable.Array {
			r.bad(at, name, "want a list of tables, [[%s]], and this is %s", name, kinds[value.Kind])
			return
		}
		for it := value.Children(); it.Next(); {
			v.Grow(1)
			v.SetLen(v.Len() + 1)
			one := fmt.Sprintf("%s[%d]", name, v.Len()-1)
			r.set[one] = at
			r.fill(v.Index(v.Len()-1), one, at, it.Node())
		}
	case t.Kind() == reflect.Slice:
		if value.Kind != unstable.Array {
			r.bad(at, name, "want a list, such as %s, and this is %s", example(t), kinds[value.Kind])
			return
		}
		v.Set(reflect.MakeSlice(t, 0, 0))
		var texts []string
		for it := value.Children(); it.Next(); {
			one := reflect.New(t.Elem()).Elem()
			r.scalar(one, name, at, it.Node())
			v.Set(reflect.Append(v, one))
			texts = append(texts, string(it.Node().Data))
		}
		at.text = strings.Join(texts, ",")
		r.set[name] = at
	default:
		r.scalar(v, name, at, value)
	}
}

// fill sets the fields of a table that is written in one line.
func (r *reader) fill(v reflect.Value, name string, at origin, value *unstable.Node) {
	if value.Kind != unstable.InlineTable {
		r.bad(at, name, "want a table, and this is %s", kinds[value.Kind])
		return
	}
	prefix, table := r.prefix, r.table
	for it := value.Children(); it.Next(); {
		r.prefix, r.table = name+".", v
		r.keyValue(it.Node())
	}
	r.prefix, r.table = prefix, table
}

// scalar sets a field, or an element of one, from a value that is neither table nor list.
func (r *reader) scalar(v reflect.Value, name string, at origin, value *unstable.Node) {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value.Raw.Length > 0 {
		at = r.position(value.Raw)
		at.text = string(value.Data)
		r.set[name] = at
	}
	if value.Kind != kindOf(t) {
		r.bad(at, name, "want %s, such as %s, and this is %s", kinds[kindOf(t)], example(t), kinds[value.Kind])
		return
	}
	if err := setText(v, string(value.Data)); err != nil {
		r.bad(at, name, "%q: %v", value.Data, err)
	}
}

// bad notes a problem at a place.
func (r *reader) bad(at origin, key, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.file, Line: at.line, Column: at.column, Key: key, Text: fmt.Sprintf(format, args...)})
}

// position returns where a part of the text begins.
func (r *reader) position(raw unstable.Range) origin {
	before := r.text[:raw.Offset]
	return origin{line: 1 + bytes.Count(before, []byte("\n")), column: int(raw.Offset) - bytes.LastIndexByte(before, '\n')}
}

// kinds are the kinds of values, as people call them.
var kinds = map[unstable.Kind]string{
	unstable.String: "a string", unstable.Bool: "true or false", unstable.Integer: "a whole number",
	unstable.Float: "a number with a point",
	unstable.Array: "a list", unstable.InlineTable: "a table", unstable.DateTime: "a date", unstable.LocalDate: "a date",
	unstable.LocalTime: "a time of day", unstable.LocalDateTime: "a date",
}

// kindOf returns how values of a type are written.
func kindOf(t reflect.Type) unstable.Kind {
	switch {
	case isText(t):
		return unstable.String
	case t.Kind() == reflect.Bool:
		return unstable.Bool
	}
	return unstable.Integer
}

// example returns a value of a type as it is written.
func example(t reflect.Type) string {
	switch {
	case t == durationType || t == reflect.TypeFor[Patience]():
		return `"30s"`
	case t == reflect.TypeFor[Mode]():
		return `"0660"`
	case t.Kind() == reflect.Slice:
		return "[" + example(t.Elem()) + "]"
	case isText(t):
		return `"text"`
	case t.Kind() == reflect.Bool:
		return "true"
	}
	return "1"
}
