package gen

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocs: docs/profiles.md has a row for every field, as the code describes it, and every template in it is one.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, l := range kinds {
		if l.name == "" {
			continue
		}
		for _, f := range l.fields {
			if row := f.row(); !strings.Contains(doc, row) {
				t.Errorf("docs/profiles.md: %s: missing:\n%s", l.name, row)
			}
		}
	}
	for _, name := range append(append([]string{}, settings...), schedule...) {
		if !strings.Contains(doc, "| `"+name+"` |") {
			t.Errorf("docs/profiles.md: no row for the setting %s", name)
		}
	}
	for _, name := range []string{"imix.toml", "tunnels.yaml"} {
		example, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(doc, "```"+name[len(name)-4:]+"\n"+string(example)+"```\n") {
			t.Errorf("docs/profiles.md: does not show testdata/%s as it is", name)
		}
	}
	fenced := false
	for line := range strings.Lines(doc) {
		if fenced = fenced != strings.HasPrefix(line, "```"); fenced {
			continue
		}
		spec, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		spec, _, _ = strings.Cut(strings.TrimSpace(spec), "  ")
		if _, err := ParseStream(spec); err != nil {
			t.Errorf("docs/profiles.md: %s: %v", spec, err)
		}
	}
}

// row returns the row of the field in the documentation.
func (f *field) row() string {
	above := "`" + f.fromAbove() + "`"
	switch f.fromAbove() {
	case "-":
		above = ""
	case f.name:
		above = "yes"
	}
	varies := "yes"
	if f.width == 0 {
		varies = "no"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.name, f.help, varies, above)
}
