package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"time"
)

// What a client can make the process hold or wait for. All of them are the process's own user, root, or of the group that may ask: the
// bounds are for their programs' mistakes.
const (
	maxConns  = 128              // connections
	maxHeader = 16 << 10         // bytes of a request line with its headers, about
	maxBody   = 1 << 20          // bytes of a request's body
	readTime  = 10 * time.Second // for a request to come
	idleTime  = 30 * time.Second // between requests
	patience  = 30 * time.Second // for the client to take the next part of an answer
)

// Error is the form in which every error is answered.
type Error struct {
	Status  int    `json:"status"` // of HTTP
	Message string `json:"error"`
}

func (e Error) Error() string { return e.Message }

// replyError answers with an error: a BadRequest or an Error of the asker's, or else one of the process's.
func replyError(w http.ResponseWriter, err error) {
	e := Error{Status: http.StatusInternalServerError, Message: err.Error()}
	var bad BadRequest
	var own Error
	switch {
	case errors.As(err, &own):
		e.Status = own.Status
	case errors.As(err, &bad):
		e.Status = http.StatusBadRequest
	}
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(e.json(), '\n')) // a client that has gone needs no answer
}

func (e Error) json() []byte {
	b, err := json.Marshal(e)
	if err != nil { // it is a number and a string
		panic(err)
	}
	return b
}

// guard stands before everything that answers: it has a request whole and of bounded size before anybody looks at it, and an answer in the
// form of an Error whatever goes wrong.
type guard struct {
	mux *http.ServeMux
	log *slog.Logger
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.busy.Store(true)
		defer c.busy.Store(false)
	}
	defer g.recovered(w, r)
	if err := takeBody(w, r); err != nil {
		w.Header().Set("Connection", "close")
		replyError(w, err)
		return
	}
	if _, pattern := g.mux.Handler(r); pattern == "" || !clean(r.URL.Path) {
		g.unknown(w, r)
		return
	}
	g.mux.ServeHTTP(w, r)
}

// clean reports whether a path is what it leads to. For others an http.ServeMux would tell the client to ask again.
func clean(p string) bool {
	c := path.Clean(p)
	return p == c || p == c+"/"
}

// takeBody reads the body of a request.
func takeBody(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(readTime)) // without it, one that waits too long only waits for longer
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return Error{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", maxBody)}
	case err != nil:
		return Error{http.StatusBadRequest, "the request is not complete: " + err.Error()}
	}
	_ = c.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// unknown answers what no pattern matches: not found, or not with this method.
func (g *guard) unknown(w http.ResponseWriter, r *http.Request) {
	said := said{http.Header{}, http.StatusOK}
	g.mux.ServeHTTP(&said, r)
	e := Error{Status: said.status, Message: fmt.Sprintf("nothing is answered at %q", clip(r.URL.Path))}
	switch {
	case said.status == http.StatusMethodNotAllowed:
		allow := said.header.Get("Allow")
		w.Header().Set("Allow", allow)
		e.Message = fmt.Sprintf("Method Not Allowed: %q is asked for with %s", clip(r.URL.Path), allow)
	case said.status < http.StatusBadRequest: // a redirection
		e.Status = http.StatusNotFound
	}
	replyError(w, e)
}

// said is what an http.ServeMux answers of its own accord, without the text.
type said struct {
	header http.Header
	status int
}

func (s *said) Header() http.Header         { return s.header }
func (s *said) WriteHeader(status int)      { s.status = status }
func (s *said) Write(p []byte) (int, error) { return len(p), nil }

// clip bounds what is repeated of what somebody sent.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// recovered answers for who was to answer and panicked.
func (g *guard) recovered(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // net/http's own way to end an answer
	}
	g.log.Error("a request for the control socket failed", "method", r.Method, "path", clip(r.URL.Path), "panic", fmt.Sprint(p),
		"stack", string(debug.Stack()))
	replyError(w, Error{http.StatusInternalServerError, fmt.Sprintf("the process failed to answer, which is a mistake of its own: %v", p)})
}

// connKey is the key of a connection in the context of its requests.
type connKey struct{}

// withConn is http.Server.ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}
