package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// abused is a server that answers some things, and ends with the test.
func abused(t testing.TB, log *slog.Logger) *Server {
	t.Helper()
	s, err := Listen(Config{Path: filepath.Join(t.TempDir(), "c.sock"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.HandleJSON("POST /double", func(r *http.Request) (any, error) {
		var n int
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			return nil, BadRequest{err}
		}
		return 2 * n, nil
	})
	s.HandleJSON("GET /panic", func(*http.Request) (any, error) { panic("out of ideas") })
	s.HandleStream("GET /flood", func(w http.ResponseWriter, r *http.Request) error {
		for line := bytes.Repeat([]byte("x"), 4096); ; {
			if _, err := w.Write(line); err != nil {
				return nil
			}
		}
	})
	s.HandleStream("GET /wait", func(w http.ResponseWriter, r *http.Request) error { <-r.Context().Done(); return nil })
	return s
}

func runServer(t testing.TB, s *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", s.Path())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// alive checks that the server answers.
func alive(t testing.TB, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var i Info
	if err := (Client{s.Path()}).Get(ctx, "/info", &i); err != nil || i.PID == 0 {
		t.Fatalf("the server does not answer any more: %+v, %v", i, err)
	}
}

// TestGarbage sends what is no request, or a wrong one, and wants an answer of status 4xx, as JSON where the request could be read at all.
func TestGarbage(t *testing.T) {
	s := abused(t, nil)
	runServer(t, s)
	big := strings.Repeat("a", 2<<20)
	for name, tt := range map[string]struct {
		send   string
		status int
		says   string // in the JSON; "": net/http answers with text
	}{
		"no request":       {"hello\r\n\r\n", 400, ""},
		"binary":           {"\x16\x03\x01\x00\xa5\x01\x00\x00\r\n\r\n", 400, ""},
		"no host":          {"GET /info HTTP/1.1\r\n\r\n", 400, ""},
		"bad header":       {"GET /info HTTP/1.1\r\nHost: x\r\na b\r\n\r\n", 400, ""},
		"bad version":      {"GET /info HTTP/9.9\r\nHost: x\r\n\r\n", 505, ""},
		"huge path":        {"GET /" + big + " HTTP/1.1\r\nHost: x\r\n\r\n", 431, ""},
		"huge header":      {"GET /info HTTP/1.1\r\nHost: x\r\nA: " + big + "\r\n\r\n", 431, ""},
		"many headers":     {"GET /info HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 10_000) + "\r\n", 431, ""},
		"unknown path":     {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, `nothing is answered at "/nothing"`},
		"unclean path":     {"GET //x/../info HTTP/1.1\r\nHost: x\r\n\r\n", 404, "nothing is answered"},
		"long path":        {"GET /" + big[:9000] + " HTTP/1.1\r\nHost: x\r\n\r\n", 404, "nothing is answered"},
		"wrong method":     {"DELETE /info HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Method Not Allowed"},
		"unknown method":   {"BREW /info HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET"},
		"body of text":     {"POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400, "invalid character"},
		"no body":          {"POST /double HTTP/1.1\r\nHost: x\r\n\r\n", 400, "EOF"},
		"huge body":        {"POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n" + big, 413, "more than"},
		"huge length":      {"POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, ""},
		"negative length":  {"POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, ""},
		"half a body":      {"POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n1", 400, "not complete"},
		"bad chunks":       {"POST /double HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "not complete"},
		"endless chunks":   {"POST /double HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + big, 413, "more than"},
		"a handler panics": {"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n", 500, "out of ideas"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			defer c.Close()
			go func() { // the server may answer, and end, before it has all
				_, _ = io.WriteString(c, tt.send)
				_ = c.(*net.UnixConn).CloseWrite()
			}()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status {
				t.Errorf("%s, want %d: %s", resp.Status, tt.status, body)
			}
			var e Error
			if tt.says == "" {
				return
			}
			if err := json.Unmarshal(body, &e); err != nil || e.Status != tt.status || !strings.Contains(e.Message, tt.says) {
				t.Errorf("%q, want %q: %v", body, tt.says, err)
			}
			if len(body) > 512 {
				t.Errorf("the answer has %d bytes", len(body))
			}
		})
	}
	alive(t, s)
}

// TestThousandsOfClients has many more clients than the server keeps: such as say nothing, such as never finish, and such as ask properly,
// who are all answered.
func TestThousandsOfClients(t *testing.T) {
	s := abused(t, nil)
	runServer(t, s)
	alive(t, s)
	before := runtime.NumGoroutine()
	for i := range 20 * maxConns {
		c := dial(t, s)
		defer c.Close()
		if i%2 == 0 {
			if _, err := io.WriteString(c, "GET /info HTTP/1.1\r\nHost: x\r\nA"); err != nil && i < maxConns {
				t.Fatal(err)
			}
		}
		if i%500 == 0 {
			alive(t, s)
		}
	}
	alive(t, s)
	s.listener.mu.Lock()
	n := s.listener.conns.Len()
	s.listener.mu.Unlock()
	if evicted := s.listener.evicted.Load(); n > maxConns || evicted < 18*maxConns {
		t.Errorf("%d connections are kept and %d gave way, want at most %d", n, evicted, maxConns)
	}
	if now := runtime.NumGoroutine(); now > before+2*maxConns+20 {
		t.Errorf("%d goroutines, and %d before", now, before)
	}
}

// TestAllAreBeingAnswered has every connection wait for an answer that takes its time: another one is told so, and when one has gone the
// next is answered.
func TestAllAreBeingAnswered(t *testing.T) {
	s := abused(t, nil)
	runServer(t, s)
	var waiting []net.Conn
	for range maxConns {
		c := dial(t, s)
		defer c.Close()
		_, _ = io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		waiting = append(waiting, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	busy := func() (n int) {
		s.listener.mu.Lock()
		defer s.listener.mu.Unlock()
		for e := s.listener.conns.Front(); e != nil; e = e.Next() {
			if e.Value.(*conn).busy.Load() {
				n++
			}
		}
		return n
	}
	for busy() < maxConns && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	var e Error
	if err := stats(ctx, s.Path()); !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
		t.Fatalf("error %v, want status 503", err)
	}
	waiting[7].Close()
	for busy() == maxConns && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	alive(t, s)
}

// TestClientThatDoesNotRead is sent no more than its socket holds.
func TestClientThatDoesNotRead(t *testing.T) {
	s := abused(t, nil)
	s.listener.patience = 50 * time.Millisecond
	runServer(t, s)
	c := dial(t, s)
	defer c.Close()
	_, _ = io.WriteString(c, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.listener.mu.Lock()
		n := s.listener.conns.Len()
		s.listener.mu.Unlock()
		if n == 0 && time.Now().Before(deadline) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", n)
		}
	}
	if n, _ := io.Copy(io.Discard, c); n > 4<<20 {
		t.Errorf("%d bytes were waiting", n)
	}
}

func TestPanicIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := abused(t, slog.New(slog.NewTextHandler(&log, nil)))
	runServer(t, s)
	var e Error
	err := (Client{s.Path()}).Get(t.Context(), "/panic", nil)
	if !errors.As(err, &e) || e.Status != 500 || !strings.Contains(err.Error(), "out of ideas") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "out of ideas") || !strings.Contains(log.String(), "garbage_test.go") {
		t.Errorf("logged: %s", &log)
	}
}

// TestRandomBytes has clients of all kinds at once, each of which sends a valid request with some bytes changed, cut or repeated.
func TestRandomBytes(t *testing.T) {
	const seed = 1
	s := abused(t, nil)
	runServer(t, s)
	valid := []string{
		"GET /info HTTP/1.1\r\nHost: x\r\n\r\n", "POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n21",
		"POST /double HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n",
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 100 {
				b := []byte(valid[r.IntN(len(valid))])
				for range 1 + r.IntN(6) {
					switch at := r.IntN(len(b) + 1); r.IntN(3) {
					case 0:
						b = append(b[:at:at], append([]byte{byte(r.Uint32())}, b[at:]...)...)
					case 1:
						b = b[:max(at, 1)]
					case 2:
						b = append(b, b[at:]...)
					}
				}
				exchangeBytes(t, s, b)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
	alive(t, s)
}

// exchangeBytes sends bytes and wants responses of HTTP, or nothing, and then the end.
func exchangeBytes(t testing.TB, s *Server, b []byte) {
	c, err := net.Dial("unix", s.Path())
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write(b)
	_ = c.(*net.UnixConn).CloseWrite()
	for r := bufio.NewReader(c); ; {
		if _, err := r.Peek(1); err != nil {
			if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			if bytes.Contains(b, []byte("HEAD")) || bytes.Contains(b, []byte("CONNECT")) {
				return // whose answers this does not know to be without a body
			}
			t.Errorf("%q: %v", b, err)
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if strings.HasPrefix(string(b), "GET /flood") || strings.HasPrefix(string(b), "GET /wait") {
			return
		}
	}
}

// FuzzServer sends anything.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"GET /info HTTP/1.1\r\nHost: x\r\n\r\n", "POST /double HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n21", "\x00\xff", "GET",
		"GET /info HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /panic HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /double HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n0\r\nA: b\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	s := abused(f, nil)
	runServer(f, s)
	f.Fuzz(func(t *testing.T, b []byte) {
		exchangeBytes(t, s, b)
		alive(t, s)
	})
}
