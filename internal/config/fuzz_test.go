package config

import (
	"os"
	"strings"
	"testing"
)

// Whatever a file has in it, there is an answer: a configuration that makes sense, or problems that have a place in the file.
func FuzzParse(f *testing.F) {
	if example, err := os.ReadFile("../../deploy/xdpstack.toml"); err == nil {
		f.Add(string(example))
	}
	f.Add(least + echo)
	f.Add("a.b.c = [1, {x = 'y'}, 1979-05-27]\n[[service]]\n[service.port]\n[[log]]\n[[service.x]]\n")
	f.Add("service = [[{name = 1}], 2]\nafxdp.mode.x = 1\n[afxdp]\nrx-ring = 0x\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := Parse("f", []byte(text))
		found := problems(d)
		if len(found) == 0 {
			if c := d.Config.Stack(); c.Check() != nil {
				t.Errorf("a configuration that the stack refuses: %v", c.Check())
			}
			if len(Changes(d, d)) != 0 {
				t.Error("it differs from itself")
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range found {
			if p.Line < 0 || p.Line > lines || p.Line > 0 && p.Column < 1 || p.Text == "" || strings.ContainsRune(p.Text, '\n') {
				t.Errorf("problem %+v of %d lines", p, lines)
			}
		}
	})
}
