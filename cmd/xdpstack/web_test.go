package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/web"
)

// webServer serves http with a web listener, and returns where that is and a client in its namespace.
func webServer(t *testing.T, lab *netlab.Lab, args ...string) (url, socket string, client *http.Client, log *output) {
	t.Helper()
	log, socket = server(t, lab, append([]string{"http", "--body", "1000", "--web", "127.0.0.1:0"}, args...)...)
	found := regexp.MustCompile(`url=(http://\S+)/`).FindStringSubmatch(log.String())
	if found == nil {
		t.Fatalf("the log does not say where the dashboard is:\n%s", log)
	}
	client = &http.Client{Transport: &http.Transport{DialContext: lab.Stack.DialContext}, Timeout: 10 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return found[1], socket, client, log
}

func fetchText(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// What is shown of a process under traffic is what happened.
func TestWatchedServer(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "watched"})
	url, socket, client, _ := webServer(t, lab)
	const requests = 7
	for range requests {
		traffic := httpClient(lab)
		if code, body := fetchText(t, traffic, "http://"+address(lab, 80)+"/"); code != 200 || len(body) != 1000 {
			t.Fatalf("status %d, %d bytes", code, len(body))
		}
		traffic.CloseIdleConnections()
	}
	keep, err := lab.Kernel.Dial("tcp", address(lab, 80))
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()

	if code, body := fetchText(t, client, url+"/readyz"); code != 200 || !strings.Contains(body, `"state":"serving"`) {
		t.Errorf("readiness: %d %s", code, body)
	}
	var metrics string
	// Dialing returns before the server has the handshake's last segment.
	for end := time.Now().Add(10 * time.Second); !strings.Contains(metrics, "rtt_seconds_count 8\n") && time.Now().Before(end); {
		var code int
		if code, metrics = fetchText(t, client, url+"/metrics"); code != 200 {
			t.Fatalf("metrics: status %d: %s", code, metrics)
		}
	}
	for _, line := range []string{
		`xdpstack_tcp_listen_accepted_total 8`, `xdpstack_connections{stage="open"} 1`, `xdpstack_ready 1`, `xdpstack_shards 1`,
		`xdpstack_link_down 0`, `xdpstack_handshake_rtt_seconds_count 8`, `xdpstack_queue_connections{queue="0"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, " ")
			t.Errorf("want %s, have:\n%s", line, strings.Join(regexp.MustCompile(regexp.QuoteMeta(name)+".*").FindAllString(metrics, -1), "\n"))
		}
	}
	var live web.Live
	if code, body := fetchText(t, client, url+"/live"); code != 200 || json.Unmarshal([]byte(body), &live) != nil {
		t.Fatalf("live: %d %s", code, body)
	}
	if live.Open != 1 || live.Values["tcp_bytes_out"] < requests*1000 || len(live.Top) != 1 || live.Top[0].Remote.String() != keep.LocalAddr().String() {
		t.Errorf("live: %+v", live)
	}
	if q := live.Queues; len(q) != 1 || q[0].Received == 0 || q[0].Sent == 0 || q[0].Batches == 0 || q[0].Frames.Free == 0 {
		t.Errorf("queues: %+v", live.Queues)
	}

	var over web.Live
	if err := (control.Client{Path: socket}).Get(t.Context(), "/live?top=0", &over); err != nil || over.PID != live.PID {
		t.Errorf("over the control socket: %+v, %v", over, err)
	}
	if code, _ := fetchText(t, client, url+"/debug/pprof/heap"); code != 404 {
		t.Errorf("profiles over TCP: status %d", code)
	}
	r, err := (control.Client{Path: socket}).Stream(t.Context(), "/debug/pprof/heap")
	if err != nil {
		t.Fatalf("profiles over the control socket: %v", err)
	}
	r.Close()
}

// A server without a link is not ready, and says why.
func TestNotReadyWithoutLink(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "noready"})
	url, _, client, log := webServer(t, lab)
	if err := lab.Kernel.SetDown(); err != nil {
		t.Fatal(err)
	}
	log.waitFor(t, "no carrier")
	if code, body := fetchText(t, client, url+"/readyz"); code != 503 || !strings.Contains(body, "is down") {
		t.Errorf("readiness: %d %s", code, body)
	}
	if code, body := fetchText(t, client, url+"/healthz"); code != 200 {
		t.Errorf("health: %d %s", code, body)
	}
}

func TestLogLevelAndWebFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--web", "0.0.0.0:9290"}, "--web-anyone"},
		{[]string{"--web", "nonsense"}, "want an IP address and a port"},
		{[]string{"--web-anyone"}, "belong to --web"},
		{[]string{"--log-level", "loud"}, "log-level"},
	} {
		args := append([]string{"serve", "-i", "eth9", "-a", "192.0.2.1/24", "echo"}, c.args...)
		if code, _, errs := command(t.Context(), nil, args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d: %s", c.args, code, errs)
		}
	}
}

// A server that has given up its privileges can be watched as before.
func TestWatchedWithoutPrivileges(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "nobody"})
	socket := filepath.Join(t.TempDir(), "s")
	p := launch(t, lab, nil, append([]string{"serve", "--socket", socket, "--web", "127.0.0.1:0", "--web-pprof", "--log-level", "debug", "http"}, linkArgs(lab)...)...)
	p.ready(t)
	if !p.err.contains("level=DEBUG msg=queue interface=" + lab.Stack.Interface + " queue=0") {
		t.Errorf("the log lacks what it has at debug:\n%s", &p.err)
	}
	url := regexp.MustCompile(`url=(http://\S+)/`).FindStringSubmatch(p.err.String())[1]
	client := &http.Client{Transport: &http.Transport{DialContext: lab.Stack.DialContext}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	_, metrics := fetchText(t, client, url+"/metrics")
	for _, name := range []string{
		"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "go_goroutines", "xdpstack_ready",
		`xdpstack_steer_frames_total{action="redirected",reason="tcp"}`,
	} {
		if !strings.Contains(metrics, "\n"+name+" ") {
			t.Errorf("no %s", name)
		}
	}
	for _, path := range []string{"/live", "/healthz", "/readyz", "/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		if code, body := fetchText(t, client, url+path); code != 200 {
			t.Errorf("%s: status %d: %.200s", path, code, body)
		}
	}
}
