package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const exampleFile = "../../deploy/xdpstack.toml"

// The example is a configuration as it is, and, with each setting that it explains, has no mistake but those that exclude each other.
func TestExample(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := Parse("xdpstack.toml", text).Check(); err != nil {
		t.Errorf("as it is: %v", err)
	}
	all := regexp.MustCompile(`(?m)^#([a-z-]+ = |\[\[)`).ReplaceAll(text, []byte("$1"))
	d := Parse("xdpstack.toml", all)
	p := problems(d)
	if len(p) != 4 || !strings.Contains(p[3].Text, "not both: leave out root or body") {
		t.Errorf("with everything: %v", p)
	}
	for _, excluded := range p[:min(3, len(p))] {
		if !strings.Contains(excluded.Text, "with shared = true") {
			t.Errorf("with everything: %v", excluded)
		}
	}
	for _, f := range leaves {
		if _, ok := d.set[f.key]; !ok {
			t.Errorf("the example does not have %s", f.key)
		}
	}
	for _, f := range serviceLeaves {
		if _, ok := d.set["service[0]."+f.key]; ok {
			continue
		}
		if _, ok := d.set["service[1]."+f.key]; !ok {
			t.Errorf("the example does not have %s of services", f.key)
		}
	}
	for i, line := range strings.Split(string(text), "\n") {
		if len(line) > 140 {
			t.Errorf("line %d has %d characters", i+1, len(line))
		}
	}
}

// What the example marks as live is.
func TestExampleMarksWhatIsLive(t *testing.T) {
	live := make(map[string]bool)
	for _, f := range append(append([]leaf(nil), leaves...), serviceLeaves...) {
		live[f.key] = f.live
	}
	for key, want := range map[string]bool{
		"interface": false, "afxdp.mode": false, "log.level": true, "log.json": false, "stop.drain": true, "root": true, "body": true,
		"delay": false, "net-http": false, "to": true, "timeout": true,
	} {
		if got, ok := live[key]; !ok || got != want {
			t.Errorf("%s: live %v", key, got)
		}
	}
}
