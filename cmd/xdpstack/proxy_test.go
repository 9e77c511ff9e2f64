package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// nginxConfig has nginx tell whom it takes for the client, as an unmodified server behind a proxy does.
const nginxConfig = `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen 127.0.0.1:8080 proxy_protocol; location / { return 200 "client $proxy_protocol_addr port $proxy_protocol_server_port"; } }
}`

// TestProxyToNginx puts the fast path in front of a server that knows nothing of it, but the PROXY protocol.
func TestProxyToNginx(t *testing.T) {
	needs(t, "nginx", "curl")
	lab := netlab.ForTest(t, netlab.Config{Name: "proxy"})
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := lab.Stack.Command(t.Context(), "nginx", "-c", file, "-p", dir)
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Kill() // it has no other processes
		_ = nginx.Wait()
	})
	p := launch(t, lab, nil, append([]string{"proxy", "--listen", ":80", "--to", "kernel:127.0.0.1:8080", "--proxy-protocol",
		"--socket", filepath.Join(t.TempDir(), "s")}, linkArgs(lab)...)...)
	p.ready(t)
	url := "http://" + lab.Stack.Address.Addr().String() + "/"
	want := fmt.Sprintf("client %v port 80", lab.Kernel.Address.Addr())
	var got []byte
	for end := time.Now().Add(10 * time.Second); string(got) != want && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error // while nginx does not listen yet, curl fails
		if got, err = lab.Kernel.Command(t.Context(), "curl", "-s", "-m", "5", url).Output(); err != nil {
			got = []byte(err.Error())
		}
	}
	if string(got) != want {
		t.Errorf("the client gets %q, want %q\n%s", got, want, &p.err)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &p.err)
	}
}

// TestProxyToStack hands connections on to another host, here the kernel's side, through the stack, and counts them.
func TestProxyToStack(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "proxy"})
	ln, err := lab.Kernel.Listen("tcp4", lab.Kernel.Address.Addr().String()+":8080")
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 1<<20)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })}
	go server.Serve(ln)
	defer server.Close()
	_, socket := running(t, lab, "proxy", "--listen", ":80", "--to", "stack:"+ln.Addr().String())
	resp, err := httpClient(lab).Get("http://" + lab.Stack.Address.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != body {
		t.Errorf("%d bytes of %d, %v", len(b), len(body), err)
	}
	code, out, errs := command(t.Context(), nil, "stats", "--socket", socket)
	if code != exitOK || !strings.Contains(out, "proxy_accepted") {
		t.Errorf("stats ends with %d and shows no proxy_accepted: %s%s", code, out, errs)
	}
}
