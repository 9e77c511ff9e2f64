package gen

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v3"
)

// node is a value of a profile's file, whichever language that is in, and where it stands.
type node struct {
	at    place
	kind  nodeKind
	text  string // of a scalar
	list  []*node
	table []entry
}

type nodeKind uint8

const (
	scalar nodeKind = iota
	list
	table
)

func (k nodeKind) String() string {
	return [...]string{"a value", "a list", "a table"}[k]
}

// entry is a key of a table and its value.
type entry struct {
	at    place
	name  string
	value *node
}

// get returns the value of a key, or nil.
func (n *node) get(name string) *node {
	for i := range n.table {
		if n.table[i].name == name {
			return n.table[i].value
		}
	}
	return nil
}

// put adds a key to a table, and notes if it is there already.
func (n *node) put(e entry, m *Mistakes) {
	if n.get(e.name) != nil {
		m.add(e.at, e.name, "is given twice")
		return
	}
	n.table = append(n.table, e)
}

// maxNodes is how many values a profile has at most, and maxDepth how deep they lie: aliases of YAML can make many of few.
const (
	maxNodes = 1 << 17
	maxDepth = 16
)

// parseYAML reads a file in YAML. A syntax error is noted, and nil returned.
func parseYAML(file string, data []byte, m *Mistakes) *node {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if n, _ := fmt.Sscanf(text, "line %d: ", &line); n == 1 {
			_, text, _ = strings.Cut(text, ": ")
		}
		m.add(place{file: file, line: line}, "", "not YAML: %s", text)
		return nil
	}
	if len(doc.Content) == 0 {
		return &node{at: place{file: file, line: 1}, kind: table}
	}
	r := yamlReader{m, file, maxNodes}
	return r.convert(doc.Content[0], 0)
}

type yamlReader struct {
	*Mistakes
	file string
	left int
}

// convert returns what n says, nil if that is too much.
func (r *yamlReader) convert(n *yaml.Node, depth int) *node {
	out := &node{at: place{r.file, n.Line, n.Column}, text: n.Value}
	if r.left--; r.left < 0 || depth > maxDepth {
		if r.left > -maxNodes {
			r.add(out.at, "", "too many values, or too deep: expected at most %d, %d levels deep", maxNodes, maxDepth)
		}
		r.left = -maxNodes
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.convert(n.Alias, depth+1)
	case yaml.SequenceNode:
		out.kind = list
		for _, c := range n.Content {
			v := r.convert(c, depth+1)
			if v == nil {
				return nil
			}
			out.list = append(out.list, v)
		}
	case yaml.MappingNode:
		out.kind = table
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			v := r.convert(n.Content[i+1], depth+1)
			if v == nil {
				return nil
			}
			out.put(entry{place{r.file, k.Line, k.Column}, k.Value, v}, r.Mistakes)
		}
	case yaml.ScalarNode:
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			out.at.column++
		}
	}
	return out
}

// parseTOML reads a file in TOML. Syntax errors are noted, and nil returned.
func parseTOML(file string, data []byte, m *Mistakes) *node {
	// The reader of whole documents finds what that of expressions lets pass, such as a table that is defined twice.
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		at := place{file: file, line: 1}
		var where *toml.DecodeError
		if errors.As(err, &where) {
			at.line, at.column = where.Position()
		}
		m.add(at, "", "not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		return nil
	}
	r := tomlReader{Mistakes: m, file: file}
	r.parser.Reset(data)
	root := &node{at: place{file: file, line: 1}, kind: table}
	into := root
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		switch e.Kind {
		case unstable.Table:
			into = r.walk(root, r.keys(e), false)
		case unstable.ArrayTable:
			into = r.walk(root, r.keys(e), true)
		case unstable.KeyValue:
			r.assign(into, e)
		}
	}
	if err := r.parser.Error(); err != nil {
		m.add(root.at, "", "not TOML: %v", err)
		return nil
	}
	return root
}

type tomlReader struct {
	*Mistakes
	parser unstable.Parser
	file   string
}

func (r *tomlReader) place(n *unstable.Node) place {
	if n.Raw.Length == 0 {
		return place{file: r.file}
	}
	at := r.parser.Shape(n.Raw).Start
	return place{r.file, at.Line, at.Column}
}

// keys returns the parts of a dotted key, without values.
func (r *tomlReader) keys(n *unstable.Node) []entry {
	var all []entry
	for it := n.Key(); it.Next(); {
		k := it.Node()
		all = append(all, entry{at: r.place(k), name: string(k.Data)})
	}
	return all
}

// walk returns the table that keys lead to from n, the last one of a list of tables. With more it is a new one of such a list.
func (r *tomlReader) walk(n *node, keys []entry, more bool) *node {
	for i, k := range keys {
		next := n.get(k.name)
		last := more && i == len(keys)-1
		if next == nil {
			next = &node{at: k.at, kind: table}
			if last {
				next.kind = list
			}
			n.table = append(n.table, entry{k.at, k.name, next})
		}
		if last {
			next.list = append(next.list, &node{at: k.at, kind: table})
		}
		if next.kind == list && len(next.list) > 0 {
			next = next.list[len(next.list)-1]
		}
		n = next
	}
	return n
}

// assign adds a key and its value to the table.
func (r *tomlReader) assign(into *node, e *unstable.Node) {
	keys := r.keys(e)
	last := keys[len(keys)-1]
	last.value = r.value(e.Value(), last.at)
	r.walk(into, keys[:len(keys)-1], false).put(last, r.Mistakes)
}

// value returns a value, whose place is that of its key if it does not have one.
func (r *tomlReader) value(n *unstable.Node, key place) *node {
	out := &node{at: r.place(n), text: string(n.Data)}
	if out.at.line == 0 {
		out.at = key
	}
	switch n.Kind {
	case unstable.Array:
		out.kind = list
		for it := n.Children(); it.Next(); {
			out.list = append(out.list, r.value(it.Node(), out.at))
		}
	case unstable.InlineTable:
		out.kind = table
		for it := n.Children(); it.Next(); {
			r.assign(out, it.Node())
		}
	case unstable.Integer, unstable.Float:
		out.text = strings.ReplaceAll(out.text, "_", "")
	case unstable.String:
		if out.at.column > 0 {
			out.at.column++ // behind the quote
		}
	}
	return out
}
