package service

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/http1"
	"github.com/xdpstack/xdpstack/stack"
)

func serveHTTP(t *testing.T, root string) *stack.Stack {
	t.Helper()
	server, client := pair(t)
	h, err := NewHTTP(HTTPConfig{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	handle(t, server, "80", h)
	return client
}

// exchange sends raw bytes and returns all answers, parsed, up to the end of the connection or the given number of them.
func exchange(t *testing.T, c net.Conn, in string, methods ...string) []*http.Response {
	t.Helper()
	go func() { _, _ = io.WriteString(c, in) }()
	r := bufio.NewReader(c)
	var out []*http.Response
	for _, m := range methods {
		resp, err := http.ReadResponse(r, &http.Request{Method: m})
		if err != nil {
			t.Fatalf("answer %d: %v", len(out)+1, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("body of answer %d: %v", len(out)+1, err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		out = append(out, resp)
	}
	return out
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func TestHTTPPage(t *testing.T) {
	client := serveHTTP(t, "")
	c := dial(t, client, "tcp", "80")
	in := get + "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /none HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + get + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	out := exchange(t, c, in, "GET", "HEAD", "GET", "POST", "GET", "GET")
	for i, want := range []struct {
		status int
		body   string
	}{{200, string(page)}, {200, ""}, {404, "404 there is nothing here; try /\n"}, {405, "405 only GET and HEAD are served here\n"},
		{200, string(page)}, {200, string(page)}} {
		if got := body(t, out[i]); out[i].StatusCode != want.status || got != want.body {
			t.Errorf("answer %d: %s, %q", i+1, out[i].Status, got)
		}
		date, err := http.ParseTime(out[i].Header.Get("Date"))
		if err != nil || time.Since(date).Abs() > patience {
			t.Errorf("answer %d: Date %v, %v", i+1, date, err)
		}
	}
	if out[1].ContentLength != int64(len(page)) || out[3].Header.Get("Allow") != "GET, HEAD" || !out[5].Close || out[4].Close {
		t.Errorf("HEAD's length %d, Allow %q, close %v %v", out[1].ContentLength, out[3].Header.Get("Allow"), out[4].Close, out[5].Close)
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after Connection: close: %d bytes, %v", n, err)
	}
}

// However a request is cut into segments, the answer is the same.
func TestHTTPInPieces(t *testing.T) {
	client := serveHTTP(t, "")
	c := dial(t, client, "tcp", "80")
	r := bufio.NewReader(c)
	for _, cut := range []int{1, 3, 17, len(get) - 1} {
		for p := get + get; len(p) > 0; {
			n := min(cut, len(p))
			if _, err := io.WriteString(c, p[:n]); err != nil {
				t.Fatal(err)
			}
			p = p[n:]
			time.Sleep(time.Millisecond)
		}
		for range 2 {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := body(t, resp); got != string(page) {
				t.Errorf("in pieces of %d: %q", cut, got)
			}
		}
	}
}

// What cannot be served gets one answer, and the end of the connection.
func TestHTTPRefuses(t *testing.T) {
	client := serveHTTP(t, "")
	for name, tt := range map[string]struct {
		in     string
		status int
	}{
		"garbage":      {"\x16\x03\x01\x02\x00\r\n\r\n", 400},
		"no host":      {"GET / HTTP/1.1\r\n\r\n", 400},
		"traversal":    {"GET /%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400},
		"chunked":      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"large head":   {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 3*http1.MaxHead), 431},
		"many fields":  {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", http1.MaxHead), 431},
		"large body":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413},
		"HTTP/2":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"100-continue": {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", 405},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, client, "tcp", "80")
			out := exchange(t, c, tt.in+"", "GET")
			if out[0].StatusCode != tt.status || !out[0].Close {
				t.Errorf("%s, close %v", out[0].Status, out[0].Close)
			}
			if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("after the answer: %d bytes, %v", n, err)
			}
		})
	}
}

func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "sub", "bare"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o644))
	must(os.WriteFile(filepath.Join(root, "index.html"), []byte("top"), 0o644))
	must(os.WriteFile(filepath.Join(root, "a b.txt"), []byte("text"), 0o644))
	must(os.WriteFile(filepath.Join(root, "empty"), nil, 0o644))
	must(os.WriteFile(filepath.Join(root, "sub", "index.html"), []byte("sub"), 0o644))
	must(os.WriteFile(filepath.Join(root, "big"), randomBytes(5<<20), 0o644))
	must(os.Symlink("../secret", filepath.Join(root, "escape")))
	must(os.Symlink("index.html", filepath.Join(root, "inside")))
	must(unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	return root
}

// The handler on the shard and net/http agree on what a tree of files is.
func TestHTTPFiles(t *testing.T) {
	client := serveHTTP(t, tree(t))
	web := &http.Client{
		Transport:     &http.Transport{DialContext: client.DialContext},
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, tt := range []struct {
		path   string
		status int
		body   string
		header string // "Name: value"
	}{
		{"/", 200, "top", "Content-Type: text/html; charset=utf-8"},
		{"/index.html", 200, "top", ""},
		{"/a%20b.txt?x=y", 200, "text", "Content-Type: text/plain; charset=utf-8"},
		{"/empty", 200, "", "Content-Length: 0"},
		{"/sub", 301, "", "Location: /sub/"},
		{"/sub/", 200, "sub", ""},
		{"/sub/bare/", 404, "", ""},
		{"/inside", 200, "top", ""},
		{"/escape", 404, "", ""},
		{"/../secret", 404, "", ""},
		{"/%2e%2e/secret", 404, "", ""},
		{"/sub/..%2f..%2fsecret", 404, "", ""},
		{"/index.html/", 404, "", ""},
		{"/none", 404, "", ""},
		{"/fifo", 403, "", ""},
		{"/big", 200, string(randomBytes(5 << 20)), "Content-Type: application/octet-stream"},
	} {
		resp, err := web.Get("http://192.0.2.1" + tt.path)
		if err != nil {
			t.Fatalf("%s: %v", tt.path, err)
		}
		got := body(t, resp)
		resp.Body.Close()
		name, value, _ := strings.Cut(tt.header, ": ")
		if resp.StatusCode != tt.status || tt.status == 200 && got != tt.body || value != "" && resp.Header.Get(name) != value {
			t.Errorf("%s: %s, %d bytes, %s: %s", tt.path, resp.Status, len(got), name, resp.Header.Get(name))
		}
	}
}

// Many requests at once for files larger than the send buffer, from a client that begins to read late.
func TestHTTPPipelinedFiles(t *testing.T) {
	client := serveHTTP(t, tree(t))
	c := dial(t, client, "tcp", "80")
	const n = 4
	in := strings.Repeat("GET /big HTTP/1.1\r\nHost: a\r\n\r\n", n)
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if err := c.(closeWriter).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r, want := bufio.NewReader(c), string(randomBytes(5<<20))
	for i := range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if got := body(t, resp); got != want {
			t.Errorf("answer %d has %d bytes, or other ones", i, len(got))
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v", err)
	}
}

// A file that shrinks while it is sent: the client is not left with a part that looks like the whole.
func TestHTTPFileShrinks(t *testing.T) {
	root := tree(t)
	client := serveHTTP(t, root)
	c := dial(t, client, "tcp", "80")
	if _, err := io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, "big"), 100); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d of %d bytes without an error", n, resp.ContentLength)
	}
}

func TestHTTPNoSuchRoot(t *testing.T) {
	if _, err := NewHTTP(HTTPConfig{Root: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("error %v", err)
	}
}

// The same for net/http.
func TestHTTPHandler(t *testing.T) {
	h, err := NewHTTP(HTTPConfig{Root: tree(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	server, client := pair(t)
	ln, err := server.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h.Handler()}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	web := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}, Timeout: patience}
	defer web.CloseIdleConnections()
	for path, want := range map[string]string{"/": "200 top", "/a%20b.txt": "200 text", "/sub": "200 sub", "/escape": "404", "/none": "404",
		"/sub/bare/": "404", "/fifo": "403"} {
		resp, err := web.Get("http://192.0.2.1" + path)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d %s", resp.StatusCode, body(t, resp))
		resp.Body.Close()
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %.60s, want %s", path, got, want)
		}
	}
}

// What is served changes between two requests of a connection, and an answer that has begun goes on.
func TestHTTPChanges(t *testing.T) {
	server, client := pair(t)
	first, second := t.TempDir(), t.TempDir()
	big := bytes.Repeat([]byte("first "), 1<<20)
	for name, content := range map[string][]byte{
		filepath.Join(first, "a"): []byte("one"), filepath.Join(second, "a"): []byte("two"), filepath.Join(first, "big"): big,
	} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := NewHTTP(HTTPConfig{Root: first})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	handle(t, server, "80", h)
	c, download := dial(t, client, "tcp", "80"), dial(t, client, "tcp", "80")
	const a = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	if got := body(t, exchange(t, c, a, "GET")[0]); got != "one" {
		t.Errorf("before: %q", got)
	}
	if _, err := io.WriteString(download, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(download)
	if _, err := r.Peek(100); err != nil {
		t.Fatal(err)
	}
	change := func(cfg HTTPConfig) {
		t.Helper()
		use, err := h.Prepare(cfg)
		if err != nil {
			t.Fatal(err)
		}
		use()
	}
	change(HTTPConfig{Root: second})
	if got := body(t, exchange(t, c, a, "GET")[0]); got != "two" {
		t.Errorf("another directory: %q", got)
	}
	change(HTTPConfig{Made: true, Size: 5})
	if got := body(t, exchange(t, c, a, "GET")[0]); len(got) != 5 {
		t.Errorf("made up: %q", got)
	}
	change(HTTPConfig{})
	if got := body(t, exchange(t, c, get, "GET")[0]); got != string(page) {
		t.Errorf("the page: %q", got)
	}
	if _, err := h.Prepare(HTTPConfig{Root: filepath.Join(first, "none")}); err == nil {
		t.Error("no such directory: no error")
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, big) {
		t.Errorf("the download that had begun: %d bytes, %v", len(got), err)
	}
}
