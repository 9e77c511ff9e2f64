package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/xdpstack/xdpstack/tcp"
)

// pipe makes a connection between two stacks, as nettest wants it.
func pipe(t *testing.T) nettest.MakePipe {
	return func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := newPair(t, Config{})
		ln, err := b.Listen("tcp", ":5000")
		if err != nil {
			return nil, nil, nil, err
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				t.Errorf("accept: %v", err)
			}
			accepted <- c
		}()
		if c1, err = a.Dial("tcp", ln.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		c2 = <-accepted
		return c1, c2, func() { c1.Close(); c2.Close(); ln.Close() }, nil
	}
}

func TestConnBehavesAsNetConn(t *testing.T) { nettest.TestConn(t, pipe(t)) }

func TestHTTPServerAndClient(t *testing.T) {
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 300_000)
	rand.Read(body)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		w.Write(got)
	})}
	go srv.Serve(ln)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: a.DialContext}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				resp, err := client.Post("http://10.1.0.2/", "application/octet-stream", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("echo of %d bytes came back as %d bytes, error %v", len(body), len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestDialErrors(t *testing.T) {
	a, _ := newPair(t, Config{})
	t.Run("refused", func(t *testing.T) {
		_, err := a.Dial("tcp", "10.1.0.2:9")
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) {
			t.Errorf("got %v (%T), want a *net.OpError that is ECONNREFUSED", err, err)
		}
	})
	t.Run("no route", func(t *testing.T) {
		if _, err := a.Dial("tcp", "192.0.2.1:9"); !errors.Is(err, ErrNoRoute) || !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("got %v, want ErrNoRoute", err)
		}
	})
	t.Run("host unreachable", func(t *testing.T) {
		start := time.Now()
		if _, err := a.Dial("tcp", "10.1.0.77:9"); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("got %v after %v, want EHOSTUNREACH", err, time.Since(start))
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := a.DialContext(ctx, "tcp", "10.1.0.78:9"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
		}
	})
	for _, addr := range []string{"224.0.0.1:9", "255.255.255.255:9", "0.0.0.0:9"} {
		if _, err := a.Dial("tcp", addr); !errors.Is(err, ErrBroadcast) {
			t.Errorf("%s: got %v, want ErrBroadcast", addr, err)
		}
	}
}

func TestListenErrors(t *testing.T) {
	a, _ := newPair(t, Config{})
	ln, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Listen("tcp", ":80"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: got %v, want EADDRINUSE", err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: got %v, want net.ErrClosed", err)
	}
	if _, err = a.Listen("tcp", ":80"); err != nil {
		t.Errorf("listen again: %v", err)
	}
	for _, addr := range []string{"10.1.0.9:80", "80", ":http!", ":70000"} {
		if _, err := a.Listen("tcp", addr); err == nil {
			t.Errorf("Listen(%q) succeeded", addr)
		}
	}
}

func TestCloseWithUnreadDataResets(t *testing.T) {
	c1, c2, stop, err := pipe(t)()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := c1.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the data to arrive", func() bool {
		tc := c2.(*TCPConn)
		tc.in.mu.Lock()
		defer tc.in.mu.Unlock()
		return !tc.in.received.Empty()
	})
	c2.Close()
	c1.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c1.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: got %v, want ECONNRESET", err)
	}
}

func TestHalfClose(t *testing.T) {
	c1, c2, stop, err := pipe(t)()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c1.Write([]byte("question"))
	c1.(*TCPConn).CloseWrite()
	got, err := io.ReadAll(c2)
	if err != nil || string(got) != "question" {
		t.Fatalf("got %q, %v", got, err)
	}
	c2.Write([]byte("answer"))
	c2.Close()
	if got, err = io.ReadAll(c1); err != nil || string(got) != "answer" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStackCloseEndsWaitingCalls(t *testing.T) {
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Dial("tcp", "10.1.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
	go func() {
		for {
			if _, err := ln.Accept(); err != nil {
				errs <- err
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond)
	closeChecked(t, a)
	closeChecked(t, b)
	for range 2 {
		select {
		case err := <-errs:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want net.ErrClosed", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a call still waits")
		}
	}
}

func TestUDP(t *testing.T) {
	a, b := newPair(t, Config{})
	pc, err := b.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(bytes.ToUpper(buf[:n]), from)
		}
	}()
	c, err := a.Dial("udp", "10.1.0.2:53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "HELLO" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	large := bytes.Repeat([]byte("a"), 20_000) // in fragments, both ways
	c.Write(large)
	if n, err := io.ReadAtLeast(c, make([]byte, 65536), 1); err != nil || n != len(large) {
		t.Errorf("large datagram: got %d bytes, %v", n, err)
	}
	if _, err := c.Write(make([]byte, 65508)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("oversized datagram: got %v, want EMSGSIZE", err)
	}
	refused, err := a.Dial("udp", "10.1.0.2:54")
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	refused.SetDeadline(time.Now().Add(5 * time.Second))
	refused.Write([]byte("x"))
	if _, err := refused.Read(buf); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed port: got %v, want ECONNREFUSED", err)
	}
}

// TestFastOpenAsNetConn has the second connection to a server be open before it is: Dial returns, and what is written first goes with
// the SYN. A Read before the first Write has the SYN go alone.
func TestFastOpenAsNetConn(t *testing.T) {
	a, b := newPair(t, Config{TCP: tcp.Config{FastOpen: tcp.FastOpenClient | tcp.FastOpenServer}})
	ln, err := b.Listen("tcp", ":5000")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go serveEach(ln, func(c net.Conn) {
		io.WriteString(c, "welcome ")
		io.Copy(c, c)
	})
	for i := range 4 {
		c, err := a.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if got := make([]byte, 8); i == 3 {
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "welcome " {
				t.Fatalf("read before a write: %q, %v", got, err)
			}
		}
		if i < 2 {
			io.WriteString(c, "request")
			c.(*TCPConn).CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != "welcome request" {
				t.Errorf("connection %d: %q, %v", i, got, err)
			}
		}
		c.Close()
	}
	client, err := a.Report()
	if err != nil {
		t.Fatal(err)
	}
	server, err := b.Report()
	if err != nil {
		t.Fatal(err)
	}
	if st := client[0].Stats.TCP; st.FastOpenAsked != 1 || st.FastOpenSYNs != 1 || st.FastOpenData != 1 {
		t.Errorf("client: %d cookies asked for, %d SYNs with data, of %d it was taken, want 1 of each",
			st.FastOpenAsked, st.FastOpenSYNs, st.FastOpenData)
	}
	if st := server[0].Stats.TCP.Listen; st.FastOpens != 2 {
		t.Errorf("server: %d connections opened by SYNs with a cookie, want 2", st.FastOpens)
	}
}

// TestFastOpenHTTP has net/http's client, which reads before it writes, use the SYN for its requests all the same.
func TestFastOpenHTTP(t *testing.T) {
	a, b := newPair(t, Config{TCP: tcp.Config{FastOpen: tcp.FastOpenClient | tcp.FastOpenServer}})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })}
	go srv.Serve(ln)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: a.DialContext, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for range 20 {
		resp, err := client.Get("http://10.1.0.2/path")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != "/path" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	r, err := a.Report()
	if err != nil {
		t.Fatal(err)
	}
	// How many depends on how busy the machine is.
	if st := r[0].Stats.TCP; st.FastOpenData == 0 || st.FastOpenData != st.FastOpenSYNs {
		t.Errorf("%d of 20 requests went with the SYN, %d were taken from it", st.FastOpenSYNs, st.FastOpenData)
	} else {
		t.Logf("%d of 20 requests went with the SYN", st.FastOpenData)
	}
}
