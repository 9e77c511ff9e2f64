package alerts

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"go.yaml.in/yaml/v3"
)

const deploy = "../../../deploy/"

func readRules(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile(deploy+"alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func TestDashboard(t *testing.T) {
	file, err := os.ReadFile(deploy + "grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(file, &d); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			n++
			expr := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*").Replace(q.Expr)
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(expr); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d expressions", n)
	}
}

// A suite is a file of promtool's.
type suite struct {
	RuleFiles []string       `yaml:"rule_files"`
	Interval  model.Duration `yaml:"evaluation_interval"`
	Tests     []struct {
		Name     string
		Interval model.Duration
		Input    []struct{ Series, Values string } `yaml:"input_series"`
		Alerts   []struct {
			At    model.Duration `yaml:"eval_time"`
			Alert string         `yaml:"alertname"`
			Want  []struct {
				Labels      map[string]string `yaml:"exp_labels"`
				Annotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func TestAlertsFire(t *testing.T) {
	file, err := os.Open("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var s suite
	strict := yaml.NewDecoder(file)
	strict.KnownFields(true)
	if err := strict.Decode(&s); err != nil {
		t.Fatal(err)
	}
	rules := make(map[string]*rulefmt.Rule)
	for _, r := range readRules(t) {
		rules[r.Alert] = &r
	}
	fired := make(map[string]bool)
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	for _, c := range s.Tests {
		t.Run(c.Name, func(t *testing.T) {
			load := "load " + c.Interval.String() + "\n"
			for _, in := range c.Input {
				load += "  " + in.Series + " " + in.Values + "\n"
			}
			data := promqltest.LoadedStorage(t, load)
			defer data.Close()
			for _, a := range c.Alerts {
				r := rules[a.Alert]
				if r == nil {
					t.Fatalf("there is no alert %s", a.Alert)
				}
				got := firing(t, engine, data, r, time.Unix(0, 0).Add(time.Duration(a.At)), time.Duration(s.Interval))
				for _, want := range a.Want {
					fired[a.Alert] = true
					key := fmt.Sprint(want.Labels)
					if annotations, ok := got[key]; !ok || !maps.Equal(annotations, want.Annotations) {
						t.Errorf("%s fires for %v, want %s with %v", a.Alert, got, key, want.Annotations)
					}
					delete(got, key)
				}
				if len(got) != 0 {
					t.Errorf("%s fires for %v too", a.Alert, got)
				}
			}
		})
	}
	for name := range rules {
		if !fired[name] {
			t.Errorf("no test has %s fire", name)
		}
	}
}

// firing returns the annotations of a rule's alerts that fire, by their labels: those for which its expression was true at each evaluation
// of the time that the rule waits for.
func firing(
	t *testing.T, engine *promql.Engine, data storage.Queryable, r *rulefmt.Rule, at time.Time, every time.Duration,
) map[string]map[string]string {
	t.Helper()
	var now map[string]map[string]string
	for when := at.Add(-time.Duration(r.For)); !when.After(at); when = when.Add(every) {
		then := alerts(t, engine, data, r, when)
		for key := range then {
			if _, ok := now[key]; now != nil && !ok {
				delete(then, key)
			}
		}
		now = then
	}
	return now
}

// alerts returns the annotations of the alerts for which the expression is true at a time, by their labels.
func alerts(t *testing.T, engine *promql.Engine, data storage.Queryable, r *rulefmt.Rule, at time.Time) map[string]map[string]string {
	t.Helper()
	query := func(expr string) promql.Vector {
		q, err := engine.NewInstantQuery(t.Context(), data, nil, expr, at)
		if err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
		defer q.Close()
		v, err := q.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
		return append(promql.Vector(nil), v...)
	}
	all := make(map[string]map[string]string)
	for _, sample := range query(r.Expr) {
		own := make(map[string]string)
		sample.Metric.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				own[l.Name] = l.Value
			}
		})
		expand := func(text string) string {
			const defs = "{{$labels := .Labels}}{{$value := .Value}}"
			e := template.NewTemplateExpander(t.Context(), defs+text, r.Alert, template.AlertTemplateData(own, nil, "", sample),
				model.TimeFromUnixNano(at.UnixNano()), nil, &url.URL{}, nil)
			out, err := e.Expand()
			if err != nil {
				t.Fatalf("%s: %v", r.Alert, err)
			}
			return out
		}
		annotations := make(map[string]string)
		for k, v := range r.Annotations {
			annotations[k] = expand(v)
		}
		full := maps.Clone(own)
		for k, v := range r.Labels {
			full[k] = expand(v)
		}
		all[fmt.Sprint(full)] = annotations
	}
	return all
}
