package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// protocol is what a connection is for that is no HTTP from its answer on.
const protocol = "xdpstack"

// HandleSocket gives the connection of a request that matches a pattern to take, which has it until it returns: for what HTTP cannot do, as
// to send open files.
func (s *Server) HandleSocket(pattern string, take func(*net.UnixConn)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != protocol {
			http.Error(w, "this is for xdpstack itself", http.StatusUpgradeRequired)
			return
		}
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			replyError(w, err)
			return
		}
		defer c.Close()
		inner := c
		if mine, ok := c.(*conn); ok {
			inner = mine.Conn
		}
		u, ok := inner.(*net.UnixConn)
		if !ok || buffered.Reader.Buffered() > 0 { // what comes with files must be read with them
			return
		}
		_ = u.SetDeadline(time.Time{})
		const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
		if _, err := fmt.Fprintf(u, answer, protocol); err == nil {
			take(u)
		}
	})
}

// Socket asks for a connection that is no HTTP any more: see Server.HandleSocket.
func (c Client) Socket(ctx context.Context, what string) (*net.UnixConn, error) {
	var dialer net.Dialer
	n, err := dialer.DialContext(ctx, "unix", c.Path)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	u := n.(*net.UnixConn)
	if err := switchProtocol(u, what); err != nil {
		return nil, errors.Join(fmt.Errorf("control: %s: %w", c.Path, err), u.Close())
	}
	return u, nil
}

func switchProtocol(u *net.UnixConn, what string) error {
	_ = u.SetDeadline(time.Now().Add(readTime))
	const request = "GET %s HTTP/1.1\r\nHost: xdpstack\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
	if _, err := fmt.Fprintf(u, request, what, protocol); err != nil {
		return err
	}
	// Byte by byte: what follows the header belongs to others.
	answer, err := http.ReadResponse(bufio.NewReaderSize(oneByte{u}, 16), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxError))
		return fmt.Errorf("the process answered: %s", strings.TrimSpace(string(text)))
	}
	return u.SetDeadline(time.Time{})
}

// oneByte reads a byte at a time.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(len(b), 1)]) }

// Replace puts the socket, which was made at a path beside it, in place of that of another process. That one is to Leave its own.
func (s *Server) Replace(path string) error {
	if err := os.Rename(s.path, path); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	s.socket.SetUnlinkOnClose(false)
	s.path, s.moved = path, true
	return nil
}

// Leave has the socket's name stay when the server ends: it is another process's by now.
func (s *Server) Leave() {
	s.socket.SetUnlinkOnClose(false)
	s.left.Store(true)
}

// unlink removes a socket that was put in another one's place.
func (s *Server) unlink() {
	if s.moved && !s.left.Load() {
		_ = os.Remove(s.path)
	}
}
