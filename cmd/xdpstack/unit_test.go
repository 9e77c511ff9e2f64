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

const unitFile = "../../deploy/xdpstack@.service"

// unit returns the unit, as an instance in a directory of its own, with the command where it was built.
func unit(t *testing.T) (path, text string) {
	t.Helper()
	needs(t, "go", "systemd-analyze")
	command, err := build()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(string(b), "/usr/bin/xdpstack", command)
	path = filepath.Join(t.TempDir(), "xdpstack@eth0.service")
	rewrite(t, path, text)
	return path, text
}

func TestUnitIsOne(t *testing.T) {
	path, text := unit(t)
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), filepath.Base(path)) { // it warns of unknown settings by name
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"Type=notify", "WatchdogSec=", "ExecReload=", "RuntimeDirectory=xdpstack", "LimitMEMLOCK=infinity"} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
}

// systemd's own measure: 10 is a service that nothing keeps from anything.
func TestUnitExposesLittle(t *testing.T) {
	const most = 3.0
	path, _ := unit(t)
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", path).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for .*: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exposure, err := strconv.ParseFloat(string(m[1]), 64)
	t.Logf("exposure level %v", exposure)
	if err != nil || exposure > most {
		t.Errorf("exposure level %s, want at most %v\n%s", m[1], most, out)
	}
}

// With the capabilities that the unit leaves, and no others, it serves.
func TestUnitsCapabilitiesSuffice(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "unit"})
	_, text := unit(t)
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
