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

// Program is a running server of somebody else's, on the processor that this process is bound to.
type Program struct {
	cmd    *exec.Cmd
	dir    string
	stderr bytes.Buffer
}

// StartNginx starts nginx on the HTTP port of an address and waits until it answers.
func StartNginx(ctx context.Context, addr netip.Addr) (*Program, error) {
	path, err := FindNginx()
	if err != nil {
		return nil, err
	}
	return startProgram(ctx, netip.AddrPortFrom(addr, app.HTTPPort), nginxConfig, path, "-p", "PLACE", "-e", "stderr", "-c")
}

// startProgram starts a program that listens at an address, and waits until it answers. Its last argument is the file with its
// configuration; PLACE stands for a directory of its own, ADDRESS for the address.
func startProgram(ctx context.Context, at netip.AddrPort, config, path string, args ...string) (_ *Program, err error) {
	n := new(Program)
	if n.dir, err = os.MkdirTemp("", "bench-server-"); err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	places := strings.NewReplacer("PLACE", n.dir, "ADDRESS", at.String())
	file := filepath.Join(n.dir, "config")
	if err := os.WriteFile(file, []byte(places.Replace(config)), 0o600); err != nil {
		_ = os.RemoveAll(n.dir)
		return nil, fmt.Errorf("kernel: %w", err)
	}
	for i := range args {
		args[i] = places.Replace(args[i])
	}
	n.cmd = exec.Command(path, append(args, file)...)
	n.cmd.Stderr = &n.stderr
	n.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		_ = os.RemoveAll(n.dir)
		return nil, fmt.Errorf("kernel: start %s: %w", path, err)
	}
	for end := time.Now().Add(5 * time.Second); !listening(at); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			n.Close()
			return nil, fmt.Errorf("kernel: %s does not answer on %v: %s", path, at, n.stderr.String())
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

// PID is the program's process id.
func (n *Program) PID() int { return n.cmd.Process.Pid }

// Close ends it.
func (n *Program) Close() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	_ = os.RemoveAll(n.dir)
}
