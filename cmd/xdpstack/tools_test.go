package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/service"
)

// webRoot makes a directory with files to serve and returns the content of the large one.
func webRoot(t *testing.T) (dir string, big []byte) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	big = make([]byte, 24<<20+17)
	_, _ = rand.Read(big)
	for name, content := range map[string][]byte{"big.bin": big, "page.html": []byte("<p>a page</p>\n"), "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, big
}

// curl runs curl on the kernel's side, with a bound on its time.
func curl(t *testing.T, lab *netlab.Lab, args ...string) (code int, out string) {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--noproxy", "*", "--max-time", "60"}, args...)
	cmd := lab.Kernel.Command(t.Context(), "curl", args...)
	b, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		t.Logf("curl: %s", failed.Stderr)
	case err != nil:
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// curl against serve http, on the handler API and on net/http.
func TestCurl(t *testing.T) {
	needs(t, "curl")
	root, big := webRoot(t)
	for _, flags := range []string{"", "--net-http"} {
		lab := netlab.ForTest(t, netlab.Config{Name: "curl"})
		args := append([]string{"serve", "http", "--root", root, "--socket", filepath.Join(t.TempDir(), "s")}, linkArgs(lab)...)
		p := launch(t, lab, nil, append(args, strings.Fields(flags)...)...)
		p.ready(t)
		base := "http://" + lab.Stack.Address.Addr().String()
		const notFound = 22 // curl's exit code with --fail
		for _, tt := range []struct {
			name string
			args []string
			code int
			out  string
		}{
			{"page", []string{base + "/page.html"}, 0, "<p>a page</p>\n"},
			{"empty file", []string{base + "/empty", "-w", "%{http_code} %{size_download}"}, 0, "200 0"},
			{"head", []string{"-I", base + "/big.bin", "-o", "/dev/null", "-w", "%{http_code} %header{content-length}"}, 0, fmt.Sprint("200 ", len(big))},
			{"HTTP/1.0", []string{"-0", base + "/page.html"}, 0, "<p>a page</p>\n"},
			{"not there", []string{"--fail", base + "/none", "-o", "/dev/null", "-w", "%{http_code}"}, notFound, "404"},
			{"no such method", []string{"-X", "DELETE", base + "/page.html", "-o", "/dev/null", "-w", "%{http_code}"}, 0, "405"},
			{"one connection for all", []string{base + "/page.html", base + "/page.html", "-w", "%{num_connects} "}, 0, "<p>a page</p>\n1 <p>a page</p>\n0 "},
		} {
			t.Run(tt.name+flags, func(t *testing.T) {
				code, out := curl(t, lab, tt.args...)
				if tt.name == "no such method" && flags != "" {
					tt.out = "200" // net/http's file server answers every method as GET
				}
				if code != tt.code || !strings.HasPrefix(out, tt.out) {
					t.Errorf("exit code %d, %.200q, want %d, %q", code, out, tt.code, tt.out)
				}
			})
		}
		t.Run("large file"+flags, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out")
			code, out := curl(t, lab, "--fail", "-o", file, base+"/big.bin", "-w", "%{size_download}")
			if got, err := os.ReadFile(file); code != 0 || out != fmt.Sprint(len(big)) || err != nil || !bytes.Equal(got, big) {
				t.Errorf("exit code %d, %s; %d bytes, %v", code, out, len(got), err)
			}
		})
		t.Run("fifty at once"+flags, func(t *testing.T) {
			code, out := curl(t, lab, "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "50", base+"/page.html?[1-200]")
			if want := strings.Repeat("<p>a page</p>\n", 200); code != 0 || out != want {
				t.Errorf("exit code %d, %d bytes, want %d", code, len(out), len(want))
			}
		})
	}
}

// nginx starts nginx on the kernel's side, port 80, until the test ends.
func nginx(t *testing.T, lab *netlab.Lab, root string) {
	t.Helper()
	needs(t, "nginx", "nsenter")
	dir := t.TempDir()
	config := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	types { text/html html; }
	server { listen %[2]s:80; root %[3]s; }
}
`, dir, lab.Kernel.Address.Addr(), root)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var said output
	cmd := lab.Kernel.Command(context.Background(), "nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait() // how it ends is its own business
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := lab.Kernel.Dial("tcp", lab.Kernel.Address.Addr().String()+":80")
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx does not serve: %v\n%s%s", err, &said, log)
		}
	}
}

// runClient runs the built command in the stack's namespace with an input and returns what it wrote.
func runClient(t *testing.T, lab *netlab.Lab, in io.Reader, args ...string) (code int, out []byte, errs string) {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bulkTime)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := lab.Stack.Command(ctx, path, append(args, linkArgs(lab)...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.String()
}

// get and nc against nginx on the kernel's TCP, with either driver.
func TestGetAndNCFromNginx(t *testing.T) {
	needs(t, "go")
	lab := netlab.ForTest(t, netlab.Config{Name: "nginx"})
	root, big := webRoot(t)
	nginx(t, lab, root)
	host := lab.Kernel.Address.Addr().String()
	for _, driver := range []string{"native", "asavie"} {
		t.Run("get/"+driver, func(t *testing.T) {
			code, out, errs := runClient(t, lab, nil, "get", "--include", "http://"+host+"/page.html", "--driver", driver)
			head, body, _ := strings.Cut(string(out), "\r\n\r\n")
			if code != exitOK || body != "<p>a page</p>\n" || !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "Server: nginx") {
				t.Errorf("exit code %d, %q, %s", code, out, errs)
			}
		})
		t.Run("get a large file/"+driver, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out")
			code, out, errs := runClient(t, lab, nil, "get", "-o", file, "http://"+host+"/big.bin", "--driver", driver)
			got, err := os.ReadFile(file)
			if code != exitOK || len(out) != 0 || err != nil || sha256.Sum256(got) != sha256.Sum256(big) {
				t.Errorf("exit code %d, %d bytes on standard output, %d in the file, %v, %s", code, len(out), len(got), err, errs)
			}
		})
		t.Run("get what is not there/"+driver, func(t *testing.T) {
			code, out, errs := runClient(t, lab, nil, "get", "--fail", "http://"+host+"/none", "--driver", driver)
			if code != exitFailure || !strings.Contains(errs, "404 Not Found") {
				t.Errorf("exit code %d, %q, %s", code, out, errs)
			}
		})
		t.Run("nc/"+driver, func(t *testing.T) {
			in, w, err := os.Pipe() // its end stays open: nginx takes a client that sends no more for one that has gone
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			defer w.Close()
			if _, err := w.WriteString("GET /big.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			code, out, errs := runClient(t, lab, in, "nc", host+":80", "--driver", driver)
			head, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
			if code != exitOK || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.Equal(body, big) {
				t.Errorf("exit code %d, head %q, %d bytes of body, %s", code, head, len(body), errs)
			}
		})
	}
}

// nc against echo servers on the kernel's TCP and UDP: what is sent comes back, to the last byte.
func TestNCFromKernelEcho(t *testing.T) {
	needs(t, "go", "nsenter")
	lab := netlab.ForTest(t, netlab.Config{Name: "echo"})
	target := lab.Kernel.Address.Addr().String() + ":7"
	ln, err := lab.Kernel.Listen("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c) // the client sees what did not come back
				c.Close()
			}()
		}
	}()
	datagrams, err := lab.Kernel.ListenPacket("udp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	go echoDatagrams(datagrams)
	_, big := webRoot(t)
	for _, driver := range []string{"native", "asavie"} {
		t.Run("tcp/"+driver, func(t *testing.T) {
			code, out, errs := runClient(t, lab, bytes.NewReader(big), "nc", target, "--driver", driver)
			if code != exitOK || !bytes.Equal(out, big) {
				t.Errorf("exit code %d, %d of %d bytes came back, %s", code, len(out), len(big), errs)
			}
		})
		t.Run("udp/"+driver, func(t *testing.T) {
			code, out, errs := runClient(t, lab, bytes.NewReader(service.Page()), "nc", "--udp", "--wait", "500ms", target, "--driver", driver)
			if code != exitOK || !bytes.Equal(out, service.Page()) {
				t.Errorf("exit code %d, %q came back, %s", code, out, errs)
			}
		})
	}
}

func echoDatagrams(pc net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = pc.WriteTo(buf[:n], from) // a datagram may be lost
	}
}
