package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// unitFiles are in deploy/. The first starts as root.
var unitFiles = []string{"xdpstack@.service", "xdpstack-broker@.service", "xdpstack-unprivileged@.service"}

// unit returns a unit, as an instance in a directory of its own, with the command where it was built.
func unit(t *testing.T, name string) (path, text string) {
	t.Helper()
	needs(t, "go", "systemd-analyze")
	command, err := build()
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(unitText(t, name), "/usr/bin/xdpstack", command)
	path = filepath.Join(t.TempDir(), strings.Replace(name, "@", "@eth0", 1))
	rewrite(t, path, text)
	return path, text
}

func unitText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestUnitsAreOnes(t *testing.T) {
	for _, name := range unitFiles {
		path, text := unit(t, name)
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), filepath.Base(path)) { // it warns of unknown settings by name
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, want := range []string{"Type=notify", "RuntimeDirectory=xdpstack", "ExecStart=", "CapabilityBoundingSet="} {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
	}
}

// systemd's own measure: 10 is a service that nothing keeps from anything.
func TestUnitsExposeLittle(t *testing.T) {
	for name, most := range map[string]float64{unitFiles[0]: 3, unitFiles[1]: 3, unitFiles[2]: 2} {
		path, _ := unit(t, name)
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", path).CombinedOutput()
		m := regexp.MustCompile(`Overall exposure level for .*: ([0-9.]+)`).FindSubmatch(out)
		if err != nil || m == nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		exposure, err := strconv.ParseFloat(string(m[1]), 64)
		t.Logf("%s: exposure level %v", name, exposure)
		if err != nil || exposure > most {
			t.Errorf("%s: exposure level %s, want at most %v\n%s", name, m[1], most, out)
		}
	}
}

// With the capabilities that the unit leaves, and no others, it serves.
func TestUnitsCapabilitiesSuffice(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "unit"})
	_, text := unit(t, unitFiles[0])
	m := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("the unit has no CapabilityBoundingSet")
	}
	kept := strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(m[1], "CAP_", "+")), " ", ",")
	path := writeConfig(t, configFor(lab, "", serviceNamed("echo")))
	p := launch(t, lab, []string{"setpriv", "--bounding-set=-all," + kept, "--no-new-privs"}, "serve", "--config", path,
		"--socket", filepath.Join(t.TempDir(), "s"))
	p.ready(t)
	says(t, kernelDials(t, lab, 7), "hello")
}
