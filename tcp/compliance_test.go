package tcp

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// complianceDoc is the table of what RFC 9293 requires and what does it here.
const complianceDoc = "../docs/rfc9293.md"

// complianceIDs returns the ids of RFC 9293's appendix B.
func complianceIDs() []string {
	var ids []string
	for _, k := range []struct {
		kind string
		n    int
	}{{"MUST", 69}, {"SHLD", 31}, {"REC", 1}, {"MAY", 18}} {
		for i := range k.n {
			ids = append(ids, fmt.Sprintf("%s-%d", k.kind, i+1))
		}
	}
	return ids
}

// TestComplianceTable checks that each requirement has its row, in order, with a status and what belongs to that: a function and a test
// for one that is met, a reason for one that is not.
func TestComplianceTable(t *testing.T) {
	text, err := os.ReadFile(complianceDoc)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || !regexp.MustCompile(`^(MUST|SHLD|REC|MAY)-\d+$`).MatchString(strings.TrimSpace(cells[1])) {
			continue
		}
		if len(cells) != 8 {
			t.Errorf("%d cells, want 6: %s", len(cells)-2, line)
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		id, status, where, shown, remarks := cells[1], cells[3], cells[4], cells[5], cells[6]
		ids = append(ids, id)
		switch status {
		case "met":
			if !strings.Contains(where, "`") || !strings.Contains(shown, "`") {
				t.Errorf("%s is met, but by what, and where is it shown?", id)
			}
		case "deliberately not", "not applicable":
			if remarks == "" {
				t.Errorf("%s: %s, for no reason", id, status)
			}
		case "not yet":
			if strings.HasPrefix(id, "MUST") {
				t.Errorf("%s is not met", id)
			}
		default:
			t.Errorf("%s: status %q", id, status)
		}
	}
	if want := complianceIDs(); !slices.Equal(ids, want) {
		t.Errorf("the table has %v\nwant %v", ids, want)
	}
}

// TestComplianceNames checks that everything in the table and around it that is written as code and looks like a name of this
// repository exists.
func TestComplianceNames(t *testing.T) {
	text, err := os.ReadFile(complianceDoc)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, dir := range []string{"tcp", "stack", "ipv4", "ethernet"} {
		declaredNames(t, dir, names)
	}
	name := regexp.MustCompile("`((?:tcp|stack|ipv4|ethernet)\\.[A-Za-z0-9_.]+)`")
	for _, m := range name.FindAllSubmatch(text, -1) {
		if !names[string(m[1])] {
			t.Errorf("there is no %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`([a-z0-9-]+\\.pkt)`").FindAllSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("testdata/scripts", string(m[1]))); err != nil {
			t.Error(err)
		}
	}
	if n := len(name.FindAll(text, -1)); n < 200 {
		t.Errorf("only %d names were found in the text", n)
	}
}

// declaredNames adds the names that a package declares: functions, types, constants, methods and fields, as package.Type.Name.
func declaredNames(t *testing.T, pkg string, names map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", pkg, err)
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[pkg+"."+receiverPrefix(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declaredBySpec(pkg, spec, names)
				}
			}
		}
	}
}

// receiverPrefix returns "Type." for a method, "" for a function.
func receiverPrefix(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}

func declaredBySpec(pkg string, spec ast.Spec, names map[string]bool) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names[pkg+"."+n.Name] = true
		}
	case *ast.TypeSpec:
		names[pkg+"."+s.Name.Name] = true
		st, ok := s.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, f := range st.Fields.List {
			for _, n := range f.Names {
				names[pkg+"."+s.Name.Name+"."+n.Name] = true
			}
		}
	}
}
