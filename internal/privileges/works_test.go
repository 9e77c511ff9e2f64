package privileges

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"
)

// works does after the drop what a server does, apart from packets.
func works(dir string) (any, error) {
	path := filepath.Join(dir, "c.sock")
	unixListener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { // who connects is nobody, too
		return nil, err
	}
	tcpListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if _, err := Drop(Config{KernelSockets: true}); err != nil {
		return nil, err
	}
	for _, l := range []net.Listener{unixListener, tcpListener} {
		server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Second}
		go server.Serve(l)
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, l.Addr().Network(), l.Addr().String())
		}}}
		answer, err := client.Get("http://server/file") // sendfile, over TCP
		if err != nil {
			return nil, err
		}
		if b, err := io.ReadAll(answer.Body); err != nil || len(b) != 1<<20 {
			return nil, fmt.Errorf("%d bytes of a file, %w", len(b), err)
		}
	}
	// New threads, the profiler and its timers, the collector, interfaces by netlink.
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			lockThread() // and never unlocked: the thread ends
			for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
				_ = make([]byte, 1<<20)
			}
		})
	}
	all.Wait()
	runtime.GC()
	pprof.StopCPUProfile()
	for _, profile := range pprof.Profiles() {
		if err := profile.WriteTo(io.Discard, 0); err != nil {
			return nil, err
		}
	}
	if _, err := net.Interfaces(); err != nil {
		return nil, err
	}
	return os.Getuid(), nil
}

func TestWorksAfterwards(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := child(t, "works:"+dir, nil, new(int)); err != nil {
		t.Error(err)
	}
}
