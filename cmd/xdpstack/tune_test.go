package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/tune"
)

// tuneIn runs tune in a namespace whose sysfs is its own, and returns the exit code and the output.
func tuneIn(t *testing.T, lab *netlab.Lab, args ...string) (code int, out string) {
	t.Helper()
	needs(t, "ip", "go")
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"netns", "exec", lab.Stack.Namespace, path, "tune", "-i", lab.Stack.Interface}, args...)
	cmd := exec.CommandContext(t.Context(), "ip", args...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// tuneJSON is tuneIn, of settings by name. It fails the test if tune fails.
func tuneJSON(t *testing.T, lab *netlab.Lab, args ...string) map[string]tune.Setting {
	t.Helper()
	code, out := tuneIn(t, lab, append(args, "--json")...)
	var all []tune.Setting
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitOK {
		t.Fatalf("tune %v: exit code %d, %v:\n%s", args, code, err, out)
	}
	byName := map[string]tune.Setting{}
	for _, s := range all {
		byName[s.Name] = s
	}
	return byName
}

// TestTuneVeth proposes, applies and takes back what a veth has: its queues and the timers of its receive work. What is the whole
// machine's is only proposed.
func TestTuneVeth(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "tune", Queues: 2})
	statePath := filepath.Join(t.TempDir(), "state.json")
	args := []string{"--state", statePath, "--queues", "1", "--busy-poll"}
	want := map[string]tune.Setting{
		"queues":               {Now: "rx 2 tx 2", Want: "rx 1 tx 1"},
		"napi_defer_hard_irqs": {Now: "0", Want: "2"},
		"gro_flush_timeout":    {Now: "0", Want: "200000"},
	}
	check := func(what string, got map[string]tune.Setting, state tune.State) {
		t.Helper()
		for name, w := range want {
			if g := got[name]; g.Now != w.Now || g.Want != w.Want || g.State != state {
				t.Errorf("%s: %s is %+v, want %s to %s, %s", what, name, g, w.Now, w.Want, state)
			}
		}
	}
	proposed := tuneJSON(t, lab, args...)
	check("proposed", proposed, tune.Change)
	if s := proposed["vm.nr_hugepages"]; s.State == tune.Skipped || s.State == tune.Failed {
		t.Errorf("huge pages: %+v", s)
	}
	for _, lacking := range []string{"hardware rings", "interrupt coalescing", "interrupt affinity", "large receive offload"} {
		if s := proposed[lacking]; s.State != tune.Skipped || s.Reason == "" {
			t.Errorf("%s: %+v, want that veth does not have it", lacking, s)
		}
	}
	if code, out := tuneIn(t, lab, args...); code != exitOK || !strings.Contains(out, "--apply") || !strings.Contains(out, "rx 1 tx 1") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	args = append(args, "--only", "queues,napi_,gro_")
	check("applied", tuneJSON(t, lab, append(args, "--apply")...), tune.Applied)
	after := tuneJSON(t, lab, args...)
	if len(after) != len(want) {
		t.Errorf("%d settings were looked at, want %d", len(after), len(want))
	}
	for name, w := range want {
		if g := after[name]; g.State != tune.Good || g.Now != w.Want {
			t.Errorf("after --apply, %s is %+v, want %s", name, g, w.Want)
		}
	}
	undone := tuneJSON(t, lab, "--state", statePath, "--undo")
	for name, w := range want {
		if g := undone[name]; g.State != tune.Undone || g.Want != w.Now {
			t.Errorf("--undo: %s is %+v, want %s", name, g, w.Now)
		}
	}
	check("after --undo", tuneJSON(t, lab, args...), tune.Change)
	if _, err := os.Stat(statePath); !os.IsNotExist(err) {
		t.Errorf("the state file is still there: %v", err)
	}
	if code, out := tuneIn(t, lab, "--state", statePath, "--undo"); code != exitOK || !strings.Contains(out, "Nothing to undo") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestTuneErrors has tune fail, with a cure, and leave everything as it was.
func TestTuneErrors(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "tune", Queues: 2})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--queues", "3"}, exitFailure, "at most 2"},
		{[]string{"--queues", "-1"}, exitUsage, "at least 1"},
		{[]string{"--only", "speed"}, exitFailure, "there are queues,"},
		{[]string{"--apply", "--undo"}, exitUsage, "one of them"},
		{[]string{"--only", "queues", "--queues", "1", "--apply", "--state", "/proc/no/such"}, exitFailure, "keep what was before"},
	} {
		if code, out := tuneIn(t, lab, c.args...); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("tune %v: exit code %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}
	if s := tuneJSON(t, lab, "--only", "queues")["queues"]; s.Now != "rx 2 tx 2" {
		t.Errorf("the queues are %+v", s)
	}
	// Without a sysfs of the namespace, tune does not touch that of another.
	p := launch(t, lab, nil, "tune", "-i", lab.Stack.Interface, "--only", "gro_flush", "--busy-poll", "--json")
	<-p.ended
	var all []tune.Setting
	if err := json.Unmarshal([]byte(p.out.String()), &all); err != nil || !slices.ContainsFunc(all, func(s tune.Setting) bool {
		return s.State == tune.Skipped && strings.Contains(s.Reason, "namespace")
	}) {
		t.Errorf("%v: %s%s", err, &p.out, &p.err)
	}
}
