package web

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// What is in deploy/ for Grafana and Prometheus knows nothing but metrics that there are.

// grafana is what a dashboard of Grafana has, of which ours uses all that is here and nothing else.
type grafana struct {
	UID, Title, Description, Refresh, Timezone string
	Tags, Links                                []string
	SchemaVersion, Version, GraphTooltip       int
	Editable                                   bool
	Time                                       struct{ From, To string }
	Templating                                 struct{ List []grafanaVariable }
	Annotations                                struct{ List []grafanaQuery }
	Panels                                     []grafanaPanel
}

type grafanaSource struct{ Type, UID string }

type grafanaVariable struct {
	Name, Label, Type, Definition string
	Query                         any
	Datasource                    grafanaSource
	Refresh, Sort                 int
	Multi, IncludeAll             bool
	Current                       map[string]string
}

type grafanaQuery struct {
	Name, IconColor, Expr, TitleFormat, RefID, LegendFormat string
	Enable                                                  bool
	Datasource                                              grafanaSource
}

type grafanaPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               grafanaSource
	GridPos                  struct{ X, Y, W, H int }
	Collapsed                bool
	Panels                   []any
	Targets                  []grafanaQuery
	Options                  map[string]any
	FieldConfig              struct {
		Defaults struct {
			Unit     string
			Min      float64
			Custom   map[string]any
			Mappings []map[string]any
		}
		Overrides []any
	}
}

func readGrafana(t *testing.T) (d grafana) {
	t.Helper()
	file, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewDecoder(bytes.NewReader(file))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&d); err != nil {
		t.Fatalf("grafana.json: %v", err)
	}
	return d
}

// alertRules is a file of rules of Prometheus.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         time.Duration
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func readAlerts(t *testing.T) (r alertRules) {
	t.Helper()
	file, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	strict := yaml.NewDecoder(bytes.NewReader(file))
	strict.KnownFields(true)
	if err := strict.Decode(&r); err != nil {
		t.Fatalf("alerts.yaml: %v", err)
	}
	return r
}

func TestGrafanaDashboard(t *testing.T) {
	d := readGrafana(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) < 10 {
		t.Errorf("it is none: %+v", d)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %q has number %d, which another has, or no title", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q is at %+v: the grid has 24 columns", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q lacks a description, a unit, a query or the source that is chosen: %+v", p.Title, p)
		}
		for _, q := range p.Targets {
			knownExpression(t, p.Title, q.Expr)
			if !strings.Contains(q.Expr, `job=~"$job",instance=~"$instance"`) {
				t.Errorf("panel %q does not mind what is chosen: %s", p.Title, q.Expr)
			}
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			knownExpression(t, "variable "+v.Name, v.Definition)
		}
	}
	for _, a := range d.Annotations.List {
		knownExpression(t, "annotation "+a.Name, a.Expr)
	}
}

func TestAlerts(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range readAlerts(t).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] || r.For <= 0 || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("incomplete, or there twice: %+v", r)
			}
			seen[r.Alert] = true
			if s := r.Labels["severity"]; s != "critical" && s != "warning" && s != "info" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
			knownExpression(t, r.Alert, r.Expr)
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d alerts", len(seen))
	}
}

var (
	metricName = regexp.MustCompile(`\b(xdpstack|process|go|up)(_[a-z0-9_]+)?\b`)
	dropReason = regexp.MustCompile(`reason="([^"]*)"`)
	byLabels   = regexp.MustCompile(`by \(([^)]*)\)`)
	literal    = regexp.MustCompile(`"[^"]*"`)
)

// knownExpression checks that the metrics of an expression exist, and have the labels that it groups by.
func knownExpression(t *testing.T, where, expr string) {
	t.Helper()
	labels := listedMetrics(t)
	named := false
	have := []string{"job", "instance", "le"}
	for _, name := range metricName.FindAllString(literal.ReplaceAllString(byLabels.ReplaceAllString(expr, ""), ""), -1) {
		named = true
		if !strings.HasPrefix(name, "xdpstack_") {
			continue // Prometheus's, Go's and the process's own
		}
		own, ok := labels[name]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, found := strings.CutSuffix(name, suffix); found && !ok {
				own, ok = labels[base]
			}
		}
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		have = append(have, own...)
	}
	if !named {
		t.Errorf("%s: no metric in %q", where, expr)
	}
	for _, by := range byLabels.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(by[1], ",") {
			if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+strings.TrimSpace(l)+" ") {
				t.Errorf("%s: no label %s in %s", where, l, expr)
			}
		}
	}
	for _, r := range dropReason.FindAllStringSubmatch(expr, -1) {
		found := false
		for _, m := range snapshot.Names() {
			found = found || m.Name == r[1] && snapshot.IsDrop(metrics.Metric{Name: m.Name, Help: m.Help})
		}
		if !found {
			t.Errorf("%s: there are no drops for the reason %s", where, r[1])
		}
	}
}

// listedMetrics returns the labels of each metric in testdata/names.txt.
func listedMetrics(t *testing.T) map[string][]string {
	t.Helper()
	file, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(file)) {
		f := strings.Fields(line)
		all[f[0]] = nil
		if len(f) > 2 {
			all[f[0]] = strings.Split(f[2], ",")
		}
	}
	return all
}
