package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Info says whose socket it is.
type Info struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"` // the command line, words separated by spaces
	Started time.Time `json:"started"` // when the socket was opened
}

// Config says where a process can be asked, and by whom.
type Config struct {
	Path string      // of the socket; default Path of this process
	Mode fs.FileMode // of the socket; default 0600, with Group 0660
	// Group may ask too: its name or number. Its members need to reach the socket as well: Dir can be entered by its owner only, so this
	// wants a Path elsewhere. Default: only the process's own user and root may ask.
	Group string

	Log *slog.Logger // of what goes wrong; default: nothing is logged
}

// Server answers on a control socket.
type Server struct {
	listener *bounded
	socket   *net.UnixListener // beneath
	path     string
	moved    bool        // the path is not the one that the socket was made at
	left     atomic.Bool // the path is another process's
	info     Info
	mux      *http.ServeMux
	log      *slog.Logger
}

// Listen makes the socket. From then on clients can connect, and are answered once Run runs. What is answered, besides GET /info, is said
// by Handle and HandleJSON before that.
func Listen(cfg Config) (*Server, error) {
	path := cfg.Path
	if path == "" {
		if err := makeDir(Dir()); err != nil {
			return nil, err
		}
		if err := removeStale(); err != nil {
			return nil, err
		}
		path = Path(os.Getpid())
	}
	may, err := newPermission(&cfg)
	if err != nil {
		return nil, err
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
	if err := may.apply(path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &Server{
		socket:   l.(*net.UnixListener),
		listener: &bounded{Listener: permitted{l, may}, limit: maxConns, patience: patience},
		path:     path, mux: http.NewServeMux(), log: cfg.Log,
		info: Info{PID: os.Getpid(), Command: strings.Join(os.Args, " "), Started: time.Now()},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.HandleJSON("GET /info", func(*http.Request) (any, error) { return s.info, nil })
	return s, nil
}

// Path returns where the socket is.
func (s *Server) Path() string { return s.path }

// Handle answers requests that match a pattern, as http.ServeMux has them.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleJSON answers requests that match a pattern with what answer returns, as JSON. It is called on a goroutine of the request's own.
func (s *Server) HandleJSON(pattern string, answer func(*http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v, err := answer(r)
		reply(w, v, err)
	})
}

// HandleStream answers requests that match a pattern with what answer writes, as it comes. An error that it returns before it has written
// anything is answered as one of HandleJSON's.
func (s *Server) HandleStream(pattern string, answer func(http.ResponseWriter, *http.Request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := answer(w, r); err != nil {
			replyError(w, err)
		}
	})
}

// Close removes the socket of a server that does not run.
func (s *Server) Close() error {
	s.unlink()
	return s.listener.Close()
}

// lastAnswers is how long requests may take that are being answered when the server ends: the one that asked for the end is among them.
const lastAnswers = 200 * time.Millisecond

// Run answers requests until ctx is done, then removes the socket.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: &guard{s.mux, s.log}, ConnContext: withConn, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader - serverSlop,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.Background(), lastAnswers)
		defer cancel()
		_ = server.Shutdown(last) // what goes on for ever does not end in time
		_ = server.Close()
	})
	defer s.unlink()
	err := server.Serve(s.listener)
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control: %s: %w", s.path, err)
	}
	return nil
}

// serverSlop is what net/http reads beyond its MaxHeaderBytes.
const serverSlop = 4096

// BadRequest is an error that is the asker's mistake: the answer has status 400.
type BadRequest struct{ Err error }

func (e BadRequest) Error() string { return e.Err.Error() }
func (e BadRequest) Unwrap() error { return e.Err }

func reply(w http.ResponseWriter, v any, err error) {
	var body []byte
	if err == nil {
		body, err = json.Marshal(v)
	}
	if err != nil {
		replyError(w, err)
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
