package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/xdpstack/xdpstack/internal/config"
)

// writeConfig writes a file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "x.toml")
	rewrite(t, path, text)
	return path
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Whatever a flag of serve sets, the file can, and what the file says reaches the flag.
func TestEveryFlagHasItsKey(t *testing.T) {
	newServe(streams{}).Flags().VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "config", "help":
			return
		}
		d := config.New()
		if !d.Override(f.Name, "1") && !config.ServiceFlag(f.Name) {
			t.Errorf("--%s has no key in the configuration file: add a field to internal/config.Config", f.Name)
		}
	})
}

func TestFileFillsFlags(t *testing.T) {
	path := writeConfig(t, `interface = "eth0"
address = "192.0.2.10/24"
addresses = ["198.51.100.1", "198.51.100.3-198.51.100.5"]
[afxdp]
frames = 0x8000
mode = "copy"
busy-poll = "50us"
[shards]
cpus = [1, -1]
[log]
json = true
[stop]
drain = "0s"
[[service]]
name = "http"
`)
	cmd := newServe(streams{})
	source := serveSource{file: path}
	if err := cmd.ParseFlags([]string{"--mode", "zero-copy", "--root", "/srv"}); err != nil {
		t.Fatal(err)
	}
	source.note(cmd, nil)
	d, err := source.read()
	if err != nil {
		t.Fatal(err)
	}
	if err := source.fill(d); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{
		"interface": "eth0", "address": "192.0.2.10/24", "addresses": "[198.51.100.1,198.51.100.3-198.51.100.5]", "frames": "32768",
		"mode": "zero-copy", "busy-poll": "50µs", "cpus": "[1,-1]", "log-json": "true", "drain": "0s", "gateway": "",
	} {
		if got := cmd.Flags().Lookup(flag).Value.String(); got != want {
			t.Errorf("--%s is %q, want %q", flag, got, want)
		}
	}
	if got := d.Config.Service[0].Root; got != "/srv" {
		t.Errorf("root %q", got)
	}
}

func TestCheckCommand(t *testing.T) {
	good := writeConfig(t, "interface = \"xs-none\"\naddress = \"192.0.2.10/24\"\n[[service]]\nname = \"echo\"\n")
	bad := writeConfig(t, "interface = \"xs-none\"\naddress = \"192.0.2.10\"\n[servce]\nname = \"echo\"\n")
	for _, tt := range []struct {
		args string
		code int
		says []string
	}{
		{good, exitOK, []string{"is right"}},
		{"--json " + good, exitOK, []string{`"ok": true`}},
		{bad, exitFailure, []string{bad + ":2:11: address:", bad + ":3:2: servce: there is no such key: is service meant?"}},
		{"--json " + bad, exitFailure, []string{`"ok": false`, `"line": 3`, `"key": "servce"`}},
		{"--system " + good, exitFailure, []string{"no such interface"}},
		{"--system --json " + good, exitFailure, []string{`"level": "fail"`, `"ok": false`}},
		{filepath.Dir(good), exitFailure, []string{"no file"}},
		{good + "-none", exitFailure, []string{"no such file"}},
		{good + " " + bad, exitUsage, []string{"too many arguments"}},
		{"../../deploy/xdpstack.toml", exitOK, []string{"is right"}},
	} {
		code, out, errs := command(t.Context(), nil, append([]string{"check"}, strings.Fields(tt.args)...)...)
		if code != tt.code {
			t.Errorf("check %s: exit code %d, want %d\n%s%s", tt.args, code, tt.code, out, errs)
		}
		for _, s := range tt.says {
			if !strings.Contains(out+errs, s) {
				t.Errorf("check %s: no %q in\n%s%s", tt.args, s, out, errs)
			}
		}
	}
}

func TestServeRefusesABadFile(t *testing.T) {
	bad := writeConfig(t, "interface = \"xs-none\"\naddrss = \"192.0.2.10/24\"\n[[service]]\nname = \"echo\"\n")
	code, _, errs := command(t.Context(), nil, "serve", "--config", bad, "-a", "192.0.2.10/24")
	if code != exitFailure || !strings.Contains(errs, bad+":2:1: addrss: there is no such key: is address meant?") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	code, _, errs = command(t.Context(), nil, "serve", "--config", bad+"-none")
	if code != exitFailure || !strings.Contains(errs, "no such file") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}
