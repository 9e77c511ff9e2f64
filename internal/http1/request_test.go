package http1

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const host = "Host: a\r\n"
	for _, tt := range []struct {
		name, in  string
		status    int // of the *Error wanted; -1: ErrIncomplete
		method    string
		target    string
		body      int64
		keepAlive bool
		wait      bool
	}{
		{name: "simple", in: "GET / HTTP/1.1\r\n" + host + "\r\n", method: "GET", target: "/", keepAlive: true},
		{name: "blank lines before", in: "\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", method: "GET", target: "/", keepAlive: true},
		{name: "close", in: "GET / HTTP/1.1\r\n" + host + "Connection: x, Close\r\n\r\n", method: "GET", target: "/"},
		{name: "1.0", in: "HEAD /x HTTP/1.0\r\n\r\n", method: "HEAD", target: "/x"},
		{name: "1.0 kept", in: "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", method: "GET", target: "/x", keepAlive: true},
		{name: "1.7 is 1.1", in: "GET / HTTP/1.7\r\n" + host + "\r\n", method: "GET", target: "/", keepAlive: true},
		{name: "body", in: "POST / HTTP/1.1\r\n" + host + "CONTENT-LENGTH: 12 \r\n\r\n", method: "POST", target: "/", body: 12, keepAlive: true},
		{name: "expect", in: "PUT / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n",
			method: "PUT", target: "/", body: 1, keepAlive: true, wait: true},
		{name: "empty", in: "", status: -1},
		{name: "half a line", in: "GET / HT", status: -1},
		{name: "no blank line", in: "GET / HTTP/1.1\r\n" + host, status: -1},
		{name: "bare LF", in: "GET / HTTP/1.1\nHost: a\n\n", status: 400},
		{name: "no version", in: "GET /\r\n\r\n", status: 400},
		{name: "two blanks", in: "GET  / HTTP/1.1\r\n\r\n", status: 400},
		{name: "method with a control", in: "G\x01T / HTTP/1.1\r\n\r\n", status: 400},
		{name: "target with a control", in: "GET /\x7f HTTP/1.1\r\n\r\n", status: 400},
		{name: "HTTP/2", in: "PRI * HTTP/2.0\r\n\r\n", status: 505},
		{name: "no host", in: "GET / HTTP/1.1\r\n\r\n", status: 400},
		{name: "two hosts", in: "GET / HTTP/1.1\r\n" + host + host + "\r\n", status: 400},
		{name: "folded", in: "GET / HTTP/1.1\r\n" + host + " more\r\n\r\n", status: 400},
		{name: "blank before colon", in: "GET / HTTP/1.1\r\nHost : a\r\n\r\n", status: 400},
		{name: "NUL in value", in: "GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", status: 400},
		{name: "two lengths", in: "GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", status: 400},
		{name: "negative length", in: "GET / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", status: 400},
		{name: "length overflow", in: "GET / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", status: 400},
		{name: "length and chunked", in: "GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", status: 400},
		{name: "chunked", in: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", status: 501},
		{name: "large body", in: "POST / HTTP/1.1\r\n" + host + "Content-Length: 1048577\r\n\r\n", status: 413},
		{name: "expectation", in: "GET / HTTP/1.1\r\n" + host + "Expect: miracles\r\n\r\n", status: 417},
		{name: "large head", in: "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", MaxHead), status: 431},
		{name: "large head, complete", in: "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", MaxHead) + "\r\n\r\n", status: 431},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			n, err := Parse([]byte(tt.in), &r)
			var e *Error
			switch {
			case tt.status == -1:
				if !errors.Is(err, ErrIncomplete) {
					t.Fatalf("got %v, want ErrIncomplete", err)
				}
			case tt.status > 0:
				if !errors.As(err, &e) || e.Status != tt.status {
					t.Fatalf("got %v, want status %d", err, tt.status)
				}
			case err != nil:
				t.Fatal(err)
			default:
				if n != len(tt.in) || string(r.Method) != tt.method || string(r.Target) != tt.target ||
					r.BodyLen != tt.body || r.KeepAlive != tt.keepAlive || r.Continue != tt.wait {
					t.Errorf("got %d of %d bytes, %+v", n, len(tt.in), r)
				}
			}
		})
	}
}

// Wherever a request is cut, the first part is incomplete and the whole gives the same as in one piece.
func TestParseInPieces(t *testing.T) {
	in := []byte("GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n")
	var r Request
	for i := range in {
		if _, err := Parse(in[:i], &r); !errors.Is(err, ErrIncomplete) {
			t.Fatalf("the first %d bytes: %v, want ErrIncomplete", i, err)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	in := []byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nConnection: keep-alive\r\n\r\n")
	var r Request
	if n := testing.AllocsPerRun(100, func() { _, _ = Parse(in, &r) }); n != 0 {
		t.Errorf("%v allocations per request, want none", n)
	}
}

func TestPath(t *testing.T) {
	for _, tt := range []struct {
		target, want string
		ok           bool
	}{
		{"/", "/", true},
		{"/a/b?c=d", "/a/b", true},
		{"/a//b/./c/", "/a/b/c/", true},
		{"/%61%20b", "/a b", true},
		{"/../../etc/passwd", "/etc/passwd", true},
		{"/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", true},
		{"/a%2f..%2f..%2fb", "/b", true},
		{"http://host", "/", true},
		{"http://host/x", "/x", true},
		{"/a%00", "", false},
		{"/%zz", "", false},
		{"*", "", false},
		{"host:443", "", false},
		{"ftp://host/x", "", false},
	} {
		if got, ok := Path([]byte(tt.target)); got != tt.want || ok != tt.ok {
			t.Errorf("Path(%q) = %q, %v, want %q, %v", tt.target, got, ok, tt.want, tt.ok)
		}
	}
}

// What Parse accepts, net/http's parser accepts too, with the same method, target and length of head; what Parse takes for
// incomplete never becomes complete by reading past the bytes. Path never yields an element that leads upwards.
func FuzzParse(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HEAD /%2e%2e/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
	f.Add([]byte("\r\nGET http://a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		n, err := Parse(b, &r)
		var e *Error
		if err != nil {
			if !errors.Is(err, ErrIncomplete) && (!errors.As(err, &e) || e.Status < 400) {
				t.Fatalf("error without a status: %v", err)
			}
			return
		}
		if n <= 0 || n > len(b) || r.BodyLen < 0 || r.BodyLen > MaxBody {
			t.Fatalf("%d of %d bytes, body %d", n, len(b), r.BodyLen)
		}
		if p, ok := Path(r.Target); ok && (p[0] != '/' || strings.Contains(p+"/", "/../")) {
			t.Fatalf("unsafe path %q", p)
		}
		head := bytes.TrimLeft(b[:n], "\r\n")
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			return // net/http also judges URLs and hosts, which Parse leaves alone
		}
		if std.Method != string(r.Method) || std.RequestURI != string(r.Target) || max(std.ContentLength, 0) != r.BodyLen {
			t.Fatalf("net/http: %s %s %d, here %s %s %d", std.Method, std.RequestURI, std.ContentLength, r.Method, r.Target, r.BodyLen)
		}
	})
}
