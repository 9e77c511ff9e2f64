package service

import (
	_ "embed"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const (
	pageType = "text/html; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// page is what the http service answers with when it has no directory to serve.
//
//go:embed page.html
var page []byte

// Page returns the built-in page.
func Page() []byte { return page }

// Handler returns the same content for net/http, as late.
func (h *HTTP) Handler() http.Handler {
	content := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.content.Load().ServeHTTP(w, r) })
	if h.delay.IsZero() {
		return content
	}
	var mu sync.Mutex
	dice := newDice(h.seed, 0)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := clock.Now()
		mu.Lock()
		x := dice.roll()
		mu.Unlock()
		select {
		case <-time.After(h.delay.due(now, x, &h.stall).Sub(now)):
			content.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// ServeHTTP answers a request of net/http's.
func (c *content) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case c.root != nil:
		http.FileServerFS(files{c.root}).ServeHTTP(w, r)
	case c.made:
		c.serveMade(w, r)
	default:
		pageMux.ServeHTTP(w, r)
	}
}

// pageMux answers with the page.
var pageMux = func() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", pageType)
		_, _ = w.Write(page) // a client that has gone needs no answer
	})
	return mux
}()

// serveMade answers with a made-up body.
func (c *content) serveMade(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are served here", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", textType)
	w.Header().Set("Content-Length", strconv.FormatInt(c.size, 10))
	if r.Method == http.MethodHead {
		return
	}
	for left := c.size; left > 0; left -= pieceSize {
		if _, err := w.Write(made[:min(pieceSize, left)]); err != nil {
			return // the client has gone
		}
	}
}

// files are the files under the root as net/http wants them, with the same rules: nothing outside, no blocking, no listing of
// directories.
type files struct{ root *os.Root }

// file has no ReadDir.
type file struct {
	fs.File
	io.Seeker
}

// Open opens a file, or a directory that has an index.
func (f files) Open(name string) (fs.File, error) {
	opened, info, err := openFile(f.root, name)
	if err == nil && info.IsDir() {
		_, err = f.root.Stat(path.Join(name, "index.html"))
	} else if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrPermission
	}
	if err == nil {
		return file{opened, opened}, nil
	}
	if opened != nil {
		opened.Close()
	}
	if !errors.Is(err, fs.ErrPermission) {
		err = fs.ErrNotExist // also for a link that leads out of the root
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: err}
}
