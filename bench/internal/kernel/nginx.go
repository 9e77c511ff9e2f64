package kernel

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// nginxConfig has one worker, which is the process itself, and nothing that costs without need.
const nginxConfig = `daemon off;
master_process off;
pid PLACE/pid;
error_log stderr crit;
events { worker_connections 8192; multi_accept on; }
http {
	access_log off;
	server_tokens off;
	tcp_nodelay on;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path PLACE/body;
	proxy_temp_path PLACE/proxy;
	fastcgi_temp_path PLACE/fastcgi;
	uwsgi_temp_path PLACE/uwsgi;
	scgi_temp_path PLACE/scgi;
	server {
		listen ADDRESS backlog=4096;
		location / { default_type text/plain; return 200 "Hello, World!\n"; }
	}
}
`

// FindNginx says where nginx is, or that it is missing.
func FindNginx() (string, error) {
	for _, p := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(p); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("nginx is not installed (Debian's package nginx-light)")
}

// Nginx is a running nginx, on the processor that this process is bound to.
type Nginx struct {
	cmd    *exec.Cmd
	dir    string
	stderr bytes.Buffer
}

// StartNginx starts it on the HTTP port of an address and waits until it answers.
func StartNginx(ctx context.Context, addr netip.Addr) (_ *Nginx, err error) {
	path, err := FindNginx()
	if err != nil {
		return nil, err
	}
	n := new(Nginx)
	if n.dir, err = os.MkdirTemp("", "bench-nginx-"); err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	server := netip.AddrPortFrom(addr, app.HTTPPort)
	config := strings.NewReplacer("PLACE", n.dir, "ADDRESS", server.String()).Replace(nginxConfig)
	file := filepath.Join(n.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		_ = os.RemoveAll(n.dir)
		return nil, fmt.Errorf("kernel: %w", err)
	}
	n.cmd = exec.Command(path, "-p", n.dir, "-c", file, "-e", "stderr")
	n.cmd.Stderr = &n.stderr
	n.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		_ = os.RemoveAll(n.dir)
		return nil, fmt.Errorf("kernel: start nginx: %w", err)
	}
	for end := time.Now().Add(5 * time.Second); !listening(server); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			n.Close()
			return nil, fmt.Errorf("kernel: nginx does not answer on %v: %s", server, n.stderr.String())
		}
	}
	return n, nil
}

func listening(server netip.AddrPort) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}) == nil
}

// PID is nginx's process id.
func (n *Nginx) PID() int { return n.cmd.Process.Pid }

// Close ends it.
func (n *Nginx) Close() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	_ = os.RemoveAll(n.dir)
}
