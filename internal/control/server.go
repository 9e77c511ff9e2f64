package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Info says whose socket it is.
type Info struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"` // the command line, words separated by spaces
	Started time.Time `json:"started"` // when the socket was opened
}

// Server answers on a control socket.
type Server struct {
	listener net.Listener
	path     string
	info     Info
	snapshot func() (any, error)
}

// Serve listens on path, Path of this process if it is empty, until ctx is done, and then removes the socket. Each request for
// the counters calls snapshot, from a goroutine of its own, and sends what it returns as JSON.
func Serve(ctx context.Context, path string, snapshot func() (any, error)) error {
	s, err := Listen(path, snapshot)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// Listen is the first half of Serve: after it, clients can connect and will be answered once Run runs.
func Listen(path string, snapshot func() (any, error)) (*Server, error) {
	if path == "" {
		if err := makeDir(Dir()); err != nil {
			return nil, err
		}
		if err := removeStale(); err != nil {
			return nil, err
		}
		path = Path(os.Getpid())
	}
	if err := vacate(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
			return nil, fmt.Errorf("control: the path %s is longer than the %d bytes that a socket's may have", path,
				len(unix.RawSockaddrUnix{}.Path)-1)
		}
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control: %w", err), l.Close())
	}
	info := Info{PID: os.Getpid(), Command: strings.Join(os.Args, " "), Started: time.Now()}
	return &Server{ownUserOnly{l}, path, info, snapshot}, nil
}

// Path returns where the socket is.
func (s *Server) Path() string { return s.path }

// Close removes the socket of a server that does not run.
func (s *Server) Close() error { return s.listener.Close() }

// Run answers requests until ctx is done, then removes the socket.
func (s *Server) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.info, nil) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		v, err := s.snapshot()
		reply(w, v, err)
	})
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control: %s: %w", s.path, err)
	}
	return nil
}

func reply(w http.ResponseWriter, v any, err error) {
	var body []byte
	if err == nil {
		body, err = json.Marshal(v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

// vacate makes sure that a socket can be made at path: one that was left behind is removed.
func vacate(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control: %s exists and is not a socket: choose another path or remove it", path)
	}
	if !abandoned(path) {
		return fmt.Errorf("control: %s is in use by a running process: choose another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control: a socket that was left behind: %w", err)
	}
	return nil
}

// removeStale removes the sockets in Dir that were left behind.
func removeStale() error {
	found, err := sockets()
	for _, path := range found {
		if abandoned(path) {
			_ = os.Remove(path) // somebody else may have done so
		}
	}
	return err
}

// abandoned reports whether nobody listens on a socket.
func abandoned(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return errors.Is(err, unix.ECONNREFUSED)
	}
	c.Close()
	return false
}

// ownUserOnly is a listener that refuses other users than its own and root: between the making of a socket and its chmod, and in
// a directory that others may enter, the file's mode is not enough.
type ownUserOnly struct{ net.Listener }

func (l ownUserOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUser(c); err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return c, nil
		}
		c.Close()
	}
}

func peerUser(c net.Conn) (uint32, error) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
