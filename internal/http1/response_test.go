package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// drain reads one response, its bytes in pieces of n, and returns how many were taken.
func drain(r *Reader, in []byte, n int, headRequest bool, m *Memo) (taken int, done bool, err error) {
	for taken < len(in) && !done {
		var k int
		k, done, err = r.Read(in[taken:min(taken+n, len(in))], headRequest, m)
		taken += k
		if err != nil {
			return taken, false, err
		}
	}
	return taken, done, nil
}

func TestReadResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name, in string
		head     bool  // the request is HEAD
		rest     int   // bytes that belong to the next response
		status   int   // 0: an error
		close    bool  // the connection is not kept
		toEnd    bool  // it ends with the connection
		want     error // the error
	}{
		{name: "length", in: ok + "Content-Length: 5\r\n\r\nhello", status: 200},
		{name: "length, next", in: ok + "content-length:5\r\n\r\nhelloHTTP/1.1 2", status: 200, rest: 10},
		{name: "empty", in: ok + "Content-Length: 0\r\n\r\nHTTP", status: 200, rest: 4},
		{name: "no reason", in: "HTTP/1.1 204\r\n\r\nH", status: 204, rest: 1},
		{name: "no content with a length", in: "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nHTTP", status: 204, rest: 4},
		{name: "not modified", in: "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", status: 304},
		{name: "HEAD", in: ok + "Content-Length: 99\r\n\r\nHTTP", head: true, status: 200, rest: 4},
		{name: "HEAD, chunked", in: chunked + "H", head: true, status: 200, rest: 1},
		{name: "HEAD, to the end", in: ok + "\r\n", head: true, status: 200},
		{name: "close", in: ok + "Connection: x ,Close\r\nContent-Length: 1\r\n\r\nx", status: 200, close: true},
		{name: "1.0", in: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 200, close: true},
		{name: "1.0 kept", in: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", status: 200},
		{name: "interim", in: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx", status: 200},
		{name: "chunked", in: chunked + "5\r\nhello\r\n0a;x=\"y\"\r\n0123456789\r\n000\r\n\r\nHTTP", status: 200, rest: 4},
		{name: "chunked, trailer", in: chunked + "1 \r\nx\r\n0\r\nA: b\r\nC:\t\r\n\r\nH", status: 200, rest: 1},
		{name: "chunked, empty", in: chunked + "0\r\n\r\n", status: 200},
		{name: "to the end", in: ok + "\r\nanything", status: 200, close: true, toEnd: true},
		{name: "not found", in: "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", status: 404},

		{name: "nothing like it", in: "SSH-2.0-x\r\n", want: errStatusLine},
		{name: "one wrong byte", in: "X", want: errStatusLine},
		{name: "HTTP/2", in: "HTTP/2 200 OK\r\n\r\n", want: errStatusLine},
		{name: "status of two digits", in: "HTTP/1.1 20 OK\r\n\r\n", want: errStatusLine},
		{name: "status of four", in: "HTTP/1.1 2000 OK\r\n\r\n", want: errStatusLine},
		{name: "status 600", in: "HTTP/1.1 600 OK\r\n\r\n", want: errStatusLine},
		{name: "signed status", in: "HTTP/1.1 +20 OK\r\n\r\n", want: errStatusLine},
		{name: "control in the reason", in: "HTTP/1.1 200 \x00\r\n\r\n", want: errStatusLine},
		{name: "CR in the status line", in: "HTTP/1.1 200 a\rb\r\n\r\n", want: errStatusLine},
		{name: "bare LF", in: "HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\n", want: errStatusLine},
		{name: "bare LF in a field", in: ok + "A: b\nC: d\r\n\r\n", want: errHeadField},
		{name: "bare CR in a field", in: ok + "A: b\rC: d\r\n\r\n", want: errHeadField},
		{name: "folded", in: ok + "A: b\r\n c\r\n\r\n", want: errHeadField},
		{name: "blank before colon", in: ok + "Content-Length : 5\r\n\r\n", want: errHeadField},
		{name: "no colon", in: ok + "Content-Length\r\n\r\n", want: errHeadField},
		{name: "two lengths", in: ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", want: errBodyLength},
		{name: "list of lengths", in: ok + "Content-Length: 1, 1\r\n\r\n", want: errBodyLength},
		{name: "negative", in: ok + "Content-Length: -1\r\n\r\n", want: errBodyLength},
		{name: "huge", in: ok + "Content-Length: 9999999999999999999\r\n\r\n", want: errBodyLength},
		{name: "hexadecimal", in: ok + "Content-Length: 0x5\r\n\r\n", want: errBodyLength},
		{name: "empty length", in: ok + "Content-Length:\r\n\r\n", want: errBodyLength},
		{name: "both framings", in: ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", want: errTwoFramings},
		{name: "1.0 chunked", in: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want: errTwoFramings},
		{name: "gzip", in: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", want: errCodings},
		{name: "chunked twice", in: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", want: errCodings},
		{name: "switching", in: "HTTP/1.1 101 Switching Protocols\r\n\r\n", want: errUpgrade},
		{name: "interim without end", in: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 17), want: errInterim},
		{name: "large head", in: ok + "A: " + strings.Repeat("x", MaxHead), want: errHeadLarge},
		{name: "large head, complete", in: ok + "A: " + strings.Repeat("x", MaxHead) + "\r\n\r\n", want: errHeadLarge},
		{name: "no chunk size", in: chunked + "\r\n", want: errChunkSize},
		{name: "chunk size too large", in: chunked + strings.Repeat("f", 17), want: errChunkSize},
		{name: "chunk size with a sign", in: chunked + "-1\r\n", want: errChunkSize},
		{name: "chunk size with LF", in: chunked + "1\nx", want: errChunkSize},
		{name: "chunk too long", in: chunked + "1\r\nxy\r\n", want: errChunkEnd},
		{name: "chunk without LF", in: chunked + "1\r\nx\rx", want: errChunkEnd},
		{name: "control in an extension", in: chunked + "1;\x00\r\n", want: errTrailer},
		{name: "endless extension", in: chunked + "1;" + strings.Repeat("x", 2*MaxHead), want: errTrailerLong},
		{name: "trailer without a colon", in: chunked + "0\r\nA\r\n\r\n", want: errTrailer},
		{name: "trailer without a name", in: chunked + "0\r\n: b\r\n\r\n", want: errTrailer},
		{name: "endless trailer", in: chunked + "0\r\n" + strings.Repeat("A: b\r\n", MaxHead), want: errTrailerLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1 << 20, 1, 2, 7} {
				var r Reader
				n, done, err := drain(&r, []byte(tt.in), piece, tt.head, new(Memo))
				if !errors.Is(err, tt.want) || err != nil && !errors.Is(err, ErrResponse) {
					t.Fatalf("in pieces of %d: %v, want %v", piece, err, tt.want)
				}
				if err != nil {
					continue
				}
				if done == tt.toEnd || r.End() != tt.toEnd || n != len(tt.in)-tt.rest || r.Response.Status != tt.status ||
					r.Response.KeepAlive == tt.close {
					t.Fatalf("in pieces of %d: %d of %d bytes, done %v, ends with the connection %v, %+v", piece, n, len(tt.in), done, r.End(),
						r.Response)
				}
			}
		})
	}
}

// A Reader goes from one response to the next, and a Memo makes no difference.
func TestReadPipelined(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
	two := "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
	in := []byte(strings.Repeat(one+one+two, 20))
	for piece := 1; piece < 200; piece++ {
		var r Reader
		var m Memo
		count, off := map[int]int{}, 0
		for off < len(in) {
			n, done, err := drain(&r, in[off:], piece, false, &m)
			if err != nil || !done {
				t.Fatalf("in pieces of %d, at byte %d: done %v, %v", piece, off, done, err)
			}
			off += n
			count[r.Response.Status]++
		}
		if count[200] != 40 || count[404] != 20 {
			t.Fatalf("in pieces of %d: %v", piece, count)
		}
	}
}

func TestMemoKnowsHEAD(t *testing.T) {
	in := []byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	var m Memo
	for range 3 {
		for _, head := range []bool{true, false} {
			var r Reader
			n, done, err := r.Read(in, head, &m)
			if want := len(in) - map[bool]int{true: 3}[head]; n != want || !done || err != nil {
				t.Fatalf("HEAD %v: %d bytes, done %v, %v", head, n, done, err)
			}
		}
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	in := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	var r Reader
	var m Memo
	if n := testing.AllocsPerRun(100, func() {
		in[36]++ // the head is another each time
		for _, p := range [][]byte{in[:20], in[20:60], in[60:]} {
			if _, _, err := r.Read(p, false, &m); err != nil {
				in[36] = 'a'
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations per response, want none", n)
	}
}

// Whatever is read completely, net/http reads in the same way: no server can make us see the end of a response elsewhere.
func FuzzReader(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), false, uint8(5))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"), false, uint8(1))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nabc"), false, uint8(9))
	f.Add([]byte("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"), true, uint8(200))
	f.Fuzz(func(t *testing.T, in []byte, head bool, piece uint8) {
		var r Reader
		var m Memo
		n, done, err := drain(&r, in, max(int(piece), 1), head, &m)
		var whole Reader
		n2, done2, err2 := drain(&whole, in, len(in)+1, head, &m)
		if (err == nil) != (err2 == nil) || done != done2 || err == nil && n != n2 {
			t.Fatalf("in pieces %d, %v, %v; whole %d, %v, %v", n, done, err, n2, done2, err2)
		}
		if err != nil {
			if !errors.Is(err, ErrResponse) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if n > len(in) {
			t.Fatalf("%d of %d bytes", n, len(in))
		}
		if !done && !r.End() {
			return
		}
		request := &http.Request{Method: map[bool]string{true: "HEAD", false: "GET"}[head]}
		b := bufio.NewReader(bytes.NewReader(in))
		std, err := http.ReadResponse(b, request)
		for err == nil && std.StatusCode < 200 {
			std, err = http.ReadResponse(b, request)
		}
		if err != nil {
			return // net/http is stricter about names and values of some fields
		}
		if std.StatusCode != r.Response.Status {
			t.Fatalf("status %d, net/http has %d", r.Response.Status, std.StatusCode)
		}
		if _, err := io.Copy(io.Discard, std.Body); err != nil {
			return
		}
		if rest, _ := io.ReadAll(b); len(rest) != len(in)-n {
			t.Fatalf("%d bytes are left, with net/http %d", len(in)-n, len(rest))
		}
	})
}
