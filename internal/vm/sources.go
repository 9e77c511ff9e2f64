package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is one place that apt gets packages from, as this machine is configured: a line of sources.list, or a stanza of a file
// in deb822 format.
type source struct {
	options    string // of a line, "signed-by=… arch=…"
	uri        string
	suite      string
	components []string
}

// String is the source as a line of sources.list.
func (s source) String() string {
	options := ""
	if s.options != "" {
		options = "[" + s.options + "] "
	}
	return fmt.Sprintf("deb %s%s %s %s", options, s.uri, s.suite, strings.Join(s.components, " "))
}

// with is the same place with another suite, of the component main.
func (s source) with(suite string) source {
	s.suite, s.components = suite, []string{"main"}
	return s
}

// readSources reads apt's configuration below root, which is / but in tests.
func readSources(root string) ([]source, error) {
	var all []source
	files, err := filepath.Glob(filepath.Join(root, "etc/apt/sources.list.d/*"))
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{filepath.Join(root, "etc/apt/sources.list")}, files...) {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // most machines have only one of them
		}
		switch filepath.Ext(name) {
		case ".list":
			all = append(all, parseLines(string(text))...)
		case ".sources":
			all = append(all, parseStanzas(string(text))...)
		}
	}
	return all, nil
}

// parseLines reads lines like "deb [signed-by=/a.gpg] http://deb.debian.org/debian bookworm main".
func parseLines(text string) []source {
	var all []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		if kind != "deb" {
			continue
		}
		var s source
		if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "[") {
			var whole bool
			if s.options, rest, whole = strings.Cut(rest[1:], "]"); !whole {
				continue
			}
			s.options = strings.TrimSpace(s.options)
		}
		f := strings.Fields(rest)
		if len(f) < 3 { // a flat repository is no mirror of Debian
			continue
		}
		s.uri, s.suite, s.components = f[0], f[1], f[2:]
		all = append(all, s)
	}
	return all
}

// parseStanzas reads deb822 format: fields "Name: value" with continuation lines, stanzas apart by empty lines.
func parseStanzas(text string) []source {
	var all []source
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := parseFields(stanza)
		if strings.EqualFold(fields["enabled"], "no") || !slices.Contains(strings.Fields(fields["types"]), "deb") {
			continue
		}
		options := ""
		// A key in the stanza itself cannot be said in a line; then the keys that apt trusts anyway must do.
		if key := fields["signed-by"]; strings.HasPrefix(key, "/") && len(strings.Fields(key)) == 1 {
			options = "signed-by=" + key
		}
		for _, uri := range strings.Fields(fields["uris"]) {
			for _, suite := range strings.Fields(fields["suites"]) {
				if components := strings.Fields(fields["components"]); len(components) > 0 {
					all = append(all, source{options: options, uri: uri, suite: suite, components: components})
				}
			}
		}
	}
	return all
}

func parseFields(stanza string) map[string]string {
	fields := make(map[string]string)
	name := ""
	for line := range strings.Lines(stanza) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			fields[name] += "\n" + strings.TrimSpace(line)
		default:
			n, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			name = strings.ToLower(strings.TrimSpace(n))
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}
