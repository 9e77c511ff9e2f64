package service

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/stack"
)

// shutDown begins the orderly end of a stack and returns once connections are being drained; the function waits for the end of it.
func shutDown(t *testing.T, s *stack.Stack, patience time.Duration) (wait func() stack.Drained) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	begun, done := make(chan struct{}), make(chan stack.Drained, 1)
	go func() {
		first := true
		d, err := s.Shutdown(ctx, func(int) {
			if first {
				close(begun)
			}
			first = false
		})
		if err != nil {
			t.Errorf("shutdown: %v", err)
		}
		done <- d
	}()
	select {
	case <-begun:
	case d := <-done:
		t.Fatalf("nothing was open: %+v", d)
	}
	return func() stack.Drained { return <-done }
}

// readResponse reads one answer and its body.
func readResponse(t *testing.T, r *bufio.Reader) (resp *http.Response, size int64) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	size, err = io.Copy(io.Discard, resp.Body)
	if err != nil {
		t.Fatalf("body, after %d bytes: %v", size, err)
	}
	return resp, size
}

func TestHTTPDrains(t *testing.T) {
	const size = 32 << 20
	server, client := pair(t)
	h, err := NewHTTP(HTTPConfig{Made: true, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	handle(t, server, "80", h)

	idle, partial, busy, piped := dial(t, client, "tcp", "80"), dial(t, client, "tcp", "80"), dial(t, client, "tcp", "80"), dial(t, client, "tcp", "80")
	send := func(c net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	const head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	heads := bufio.NewReader(idle)
	send(idle, head)
	if resp, err := http.ReadResponse(heads, &http.Request{Method: "HEAD"}); err != nil || resp.Close {
		t.Fatalf("before: %v, %v", resp, err)
	}
	send(partial, get+get[:10])
	send(busy, get)
	send(piped, get+get+get) // two wait for the first
	bodies, pipes, parts := bufio.NewReader(busy), bufio.NewReader(piped), bufio.NewReader(partial)
	readResponse(t, parts)
	for _, r := range []*bufio.Reader{bodies, pipes} { // the answer has begun, and does not fit the buffers
		if _, err := r.Peek(100); err != nil {
			t.Fatal(err)
		}
	}

	wait := shutDown(t, server, patience)
	if b, err := io.ReadAll(heads); len(b) != 0 || err != nil {
		t.Errorf("the idle connection: %q, %v, want its end at once", b, err)
	}
	send(partial, get[10:])
	if resp, n := readResponse(t, parts); !resp.Close || n != size {
		t.Errorf("the request that had begun: %d bytes, close %v", n, resp.Close)
	}
	if resp, n := readResponse(t, bodies); resp.Close || n != size {
		t.Errorf("the answer that had begun: %d bytes, close %v", n, resp.Close)
	}
	if b, err := io.ReadAll(bodies); len(b) != 0 || err != nil {
		t.Errorf("after it: %q, %v", b, err)
	}
	readResponse(t, pipes)
	if resp, n := readResponse(t, pipes); !resp.Close || n != size {
		t.Errorf("the first request that waited: %d bytes, close %v", n, resp.Close)
	}
	for _, c := range []net.Conn{idle, partial, busy, piped} {
		c.Close()
	}
	if d := wait(); d != (stack.Drained{Ended: 4}) {
		t.Errorf("%+v", d)
	}
}

func TestHTTPDrainDeadline(t *testing.T) {
	server, client := pair(t)
	h, err := NewHTTP(HTTPConfig{Made: true, Size: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	handle(t, server, "80", h)
	c := dial(t, client, "tcp", "80")
	if _, err := io.WriteString(c, get); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if _, err := r.Peek(100); err != nil { // the answer has begun
		t.Fatal(err)
	}
	if d := shutDown(t, server, 50*time.Millisecond)(); d != (stack.Drained{Reset: 1}) {
		t.Errorf("%+v", d)
	}
	if n, err := io.Copy(io.Discard, r); err == nil {
		t.Errorf("%d bytes and an orderly end: the client must not take them for the whole", n)
	}
}

func TestSmallServicesDrain(t *testing.T) {
	server, client := pair(t)
	handle(t, server, "7", Echo{})
	handle(t, server, "19", Chargen{})
	echo, chargen := dial(t, client, "tcp", "7"), dial(t, client, "tcp", "19")
	if _, err := io.ReadFull(chargen, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := echo.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	wait := shutDown(t, server, patience)
	if _, err := io.Copy(io.Discard, chargen); err != nil {
		t.Errorf("chargen: %v, want an orderly end", err)
	}
	chargen.Close()
	if err := echo.(closeWriter).CloseWrite(); err != nil { // an echo ends with its client
		t.Error(err)
	}
	if b, err := io.ReadAll(echo); string(b) != "x" || err != nil {
		t.Errorf("echo: %q, %v", b, err)
	}
	if d := wait(); d != (stack.Drained{Ended: 2}) {
		t.Errorf("%+v", d)
	}
}
