package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSocket has a request's connection become one for anything, files too, without a byte of it lost in a buffer.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	s, err := Listen(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s.HandleSocket("GET /echo", func(c *net.UnixConn) {
		_, _ = c.Write([]byte("first"))
		_, _ = io.Copy(c, c)
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c, err := Client{path}.Socket(t.Context(), "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("second")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, 11)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "firstsecond" {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	if _, err := (Client{path}).Socket(t.Context(), "/nothing"); err == nil || !strings.Contains(err.Error(), "the process answered") {
		t.Errorf("what there is not: %v", err)
	}
	if err := (Client{path}).Get(t.Context(), "/echo", nil); err == nil || !strings.Contains(err.Error(), "for xdpstack itself") {
		t.Errorf("an ordinary request: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReplace has a process take the name of another one's socket: that one leaves it there at its end, and the new one removes it.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	serve := func(s *Server, name string) (end func()) {
		s.HandleJSON("GET /name", func(*http.Request) (any, error) { return name, nil })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	who := func() (name string) {
		if err := (Client{path}).Get(t.Context(), "/name", &name); err != nil {
			t.Error(err)
		}
		return name
	}
	old, err := Listen(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	endOld := serve(old, "old")
	young, err := Listen(Config{Path: path + ".new"})
	if err != nil {
		t.Fatal(err)
	}
	if got := who(); got != "old" {
		t.Errorf("before: %s", got)
	}
	if err := young.Replace(path); err != nil {
		t.Fatal(err)
	}
	endYoung := serve(young, "new")
	old.Leave()
	if got := who(); got != "new" || young.Path() != path {
		t.Errorf("after: %s at %s", got, young.Path())
	}
	endOld()
	if got := who(); got != "new" {
		t.Errorf("after the end of the old one: %s", got)
	}
	endYoung()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
