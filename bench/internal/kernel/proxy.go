package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// Backend is where proxies hand connections on to.
var Backend = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), app.HTTPPort)

// streamConfig has nginx hand connections on, in one worker, which is the process itself.
const streamConfig = `daemon off;
master_process off;
pid PLACE/pid;
error_log stderr crit;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events { worker_connections 16384; multi_accept on; }
stream {
	upstream backend { server BACKEND max_fails=0; }
	server { listen ADDRESS backlog=4096; proxy_pass backend; proxy_timeout 1h; }
}
`

// haproxyConfig has HAProxy do so, in one thread. It wants two descriptors for each connection, and 20,000 is a usual limit.
const haproxyConfig = `global
	nbthread 1
	maxconn 8192
defaults
	mode tcp
	timeout connect 5s
	timeout client 1h
	timeout server 1h
listen proxy
	bind ADDRESS backlog 4096
	server backend BACKEND
`

// StartBackend starts nginx where proxies hand connections on to, on every processor but the one that this process is bound to: what it
// costs is not the proxy's.
func StartBackend(ctx context.Context) (*Program, error) {
	n, err := StartNginx(ctx, Backend.Addr())
	if err != nil {
		return nil, err
	}
	var own, others unix.CPUSet
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		n.Close()
		return nil, fmt.Errorf("kernel: %w", err)
	}
	for cpu := range 1024 {
		if !own.IsSet(cpu) {
			others.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(n.PID(), &others); err != nil {
		n.Close()
		return nil, fmt.Errorf("kernel: move the backend to the other processors: %w", err)
	}
	return n, nil
}

// StartStream starts nginx as a proxy on the HTTP port of an address.
func StartStream(ctx context.Context, addr netip.Addr) (*Program, error) {
	path, err := FindNginx()
	if err != nil {
		return nil, err
	}
	return startProgram(ctx, netip.AddrPortFrom(addr, app.HTTPPort), withBackend(streamConfig), path, "-p", "PLACE", "-e", "stderr", "-c")
}

// StartHAProxy starts HAProxy as a proxy on the HTTP port of an address.
func StartHAProxy(ctx context.Context, addr netip.Addr) (*Program, error) {
	path, err := FindHAProxy()
	if err != nil {
		return nil, err
	}
	return startProgram(ctx, netip.AddrPortFrom(addr, app.HTTPPort), withBackend(haproxyConfig), path, "-db", "-q", "-f")
}

func withBackend(config string) string {
	return strings.ReplaceAll(config, "BACKEND", Backend.String())
}

// FindHAProxy says where HAProxy is, or that it is missing.
func FindHAProxy() (string, error) {
	for _, p := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(p); err == nil {
			return path, nil
		}
	}
	return "", errors.New("haproxy is not installed (Debian's package haproxy)")
}

// FindStream says whether nginx can be a proxy.
func FindStream() error {
	if _, err := FindNginx(); err != nil {
		return err
	}
	if _, err := os.Stat("/usr/lib/nginx/modules/ngx_stream_module.so"); err != nil {
		return errors.New("nginx has no stream module (Debian's package libnginx-mod-stream)")
	}
	return nil
}
