package ours

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/internal/ss"
	"github.com/xdpstack/xdpstack/internal/web"
)

// Watched is a server with a control socket on which all is answered that xdpstack serve shows of itself.
type Watched struct {
	*Server
	dir     string
	control *control.Server
}

// NewWatched opens the interface as NewServer does. No answer serves two who ask: as many looks are taken as are asked for.
func NewWatched(cfg ServerConfig) (*Watched, error) {
	s, err := NewServer(cfg)
	if err != nil {
		return nil, err
	}
	w := &Watched{Server: s}
	if w.dir, err = os.MkdirTemp("", "xdpstack-bench-"); err == nil {
		w.control, err = control.Listen(control.Config{Path: filepath.Join(w.dir, "control.sock")})
	}
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	take := func() (snapshot.Snapshot, error) { return snapshot.Take(s.stack, time.Now()) }
	web.New(web.Config{
		Take: take, Status: func() web.Status { return web.Status{Ready: true, State: web.Serving} },
		Connections: web.ConnectionsOf(s.stack), Build: web.ReadBuild(), Fresh: time.Nanosecond,
	}).Register(w.control.Handle)
	w.control.HandleJSON("GET /stats", func(*http.Request) (any, error) { return take() })
	w.control.HandleStream("GET "+ss.Path, func(rw http.ResponseWriter, r *http.Request) error { return ss.Serve(s.stack, rw, r) })
	return w, nil
}

// Path returns where the control socket is.
func (w *Watched) Path() string { return w.control.Path() }

// Run answers those who watch until ctx is done.
func (w *Watched) Run(ctx context.Context) error { return w.control.Run(ctx) }

// Close gives the interface back.
func (w *Watched) Close() error {
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
	return w.Server.Close()
}
