package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// tasks returns the status of each thread of a process, as /proc has it.
func tasks(t *testing.T, pid int) (all []map[string]string) {
	t.Helper()
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		status := map[string]string{}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			status[key] = strings.TrimSpace(value)
		}
		all = append(all, status)
	}
	if len(all) < 3 {
		t.Fatalf("%d threads", len(all))
	}
	return all
}

// privileged fails the test if a thread of a process has more than it should.
func privileged(t *testing.T, pid, uid int, bounded bool) {
	t.Helper()
	const none = "0000000000000000"
	id := strings.TrimSuffix(strings.Repeat(strconv.Itoa(uid)+"\t", 4), "\t")
	want := map[string]string{"Uid": id, "Gid": id, "Groups": "", "CapInh": none, "CapPrm": none, "CapEff": none, "CapAmb": none,
		"NoNewPrivs": "1", "Seccomp": "2"}
	if bounded {
		want["CapBnd"] = none
	}
	for _, s := range tasks(t, pid) {
		for key, w := range want {
			if s[key] != w {
				t.Errorf("thread %s: %s is %q, want %q", s["Pid"], key, s[key], w)
			}
		}
	}
}

// TestServeWithoutPrivileges has serve do all that it does after it gave up its privileges, in two ways to have had them.
func TestServeWithoutPrivileges(t *testing.T) {
	for _, c := range []struct {
		name    string
		prefix  []string
		bounded bool
	}{
		{"root", nil, true},
		{"three capabilities", []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"--inh-caps=-all,+net_admin,+net_raw,+bpf", "--ambient-caps=-all,+net_admin,+net_raw,+bpf",
			"--bounding-set=-all,+net_admin,+net_raw,+bpf"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "privs", Queues: 2})
			dir := publicDir(t)
			if err := os.WriteFile(filepath.Join(dir, "page"), make([]byte, 1<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(dir, "s")
			args := append([]string{"serve", "echo", "http", "--root", dir, "--socket", socket,
				"--frames", "1024", "--rx-ring", "256", "--tx-ring", "256"}, linkArgs(lab)...) // within what an ordinary user may lock
			p := launch(t, lab, c.prefix, args...)
			p.ready(t)
			privileged(t, p.cmd.Process.Pid, 65534, c.bounded)
			serves(t, lab, socket)
			followsTheLink(t, lab, p)
			serves(t, lab, socket)
			privileged(t, p.cmd.Process.Pid, 65534, c.bounded)
			endsWell(t, lab, p, socket)
		})
	}
}

// publicDir returns a directory that everybody may use.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serves uses the services, and asks for the counters, those of the kernel's among them.
func serves(t *testing.T, lab *netlab.Lab, socket string) {
	t.Helper()
	c, err := lab.Kernel.Dial("tcp", address(lab, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)
	resp, err := httpClient(lab).Get("http://" + address(lab, 80) + "/page")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) != 1<<20 || resp.StatusCode != 200 {
		t.Errorf("%s, %d bytes, %v", resp.Status, len(b), err)
	}
	code, out, errs := command(t.Context(), nil, "stats", "--socket", socket, "--json")
	var snap snapshot.Snapshot
	if err := json.Unmarshal([]byte(out), &snap); code != exitOK || err != nil || snap.Value("steer_redirected_tcp") < 10 {
		t.Errorf("stats: exit code %d, %v, %d redirected\n%s", code, err, snap.Value("steer_redirected_tcp"), errs)
	}
}

func followsTheLink(t *testing.T, lab *netlab.Lab, p *process) {
	t.Helper()
	for _, change := range []struct {
		do   func() error
		says string
	}{{lab.Stack.SetDown, "ip link set " + lab.Stack.Interface + " up"}, {lab.Stack.SetUp, "the link works again"}} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		p.err.waitFor(t, change.says)
	}
}

// TestGuardOutlivesServe kills serve: the control socket goes all the same, and then the guard.
func TestGuardOutlivesServe(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "guard"})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, append([]string{"serve", "echo", "--socket", socket}, linkArgs(lab)...)...)
	p.ready(t)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(socket); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the control socket is still there")
		}
	}
	<-p.ended // when nobody has its standard error any more, the guard neither
}

// TestServeKeepsPrivileges has root stay root, because it was told.
func TestServeKeepsPrivileges(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "kept"})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, append([]string{"serve", "echo", "--user", "root", "--seccomp", "off", "--socket", socket}, linkArgs(lab)...)...)
	p.ready(t)
	for _, s := range tasks(t, p.cmd.Process.Pid) {
		if s["Uid"] != "0\t0\t0\t0" || s["CapEff"] == "0000000000000000" || s["Seccomp"] != "0" {
			t.Errorf("thread %s: Uid %q, CapEff %s, Seccomp %s", s["Pid"], s["Uid"], s["CapEff"], s["Seccomp"])
		}
	}
	endsWell(t, lab, p, socket)
}

// TestServeSharedWithoutPrivileges has serve follow the kernel's routes and neighbours, and answer from reserved ports, after it gave up its
// privileges.
func TestServeSharedWithoutPrivileges(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "shpriv", BothKernel: true})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, "serve", "--socket", socket, "-i", lab.Stack.Interface, "--shared", "echo")
	p.ready(t)
	privileged(t, p.cmd.Process.Pid, 65534, true)
	for range 2 {
		c, err := lab.Kernel.Dial("tcp", address(lab, 7))
		if err != nil {
			t.Fatal(err)
		}
		echoes(t, c)
		c.Close()
		followsTheLink(t, lab, p) // and with it the kernel's neighbours go and come
	}
	endsWell(t, lab, p, socket)
}
