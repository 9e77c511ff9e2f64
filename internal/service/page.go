package service

import (
	_ "embed"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
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

// Handler returns the same content for net/http.
func (h *HTTP) Handler() http.Handler {
	if h.root != nil {
		return http.FileServerFS(files{h})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", pageType)
		_, _ = w.Write(page) // a client that has gone needs no answer
	})
	return mux
}

// files are the files under the root as net/http wants them, with the same rules: nothing outside, no blocking, no listing of
// directories.
type files struct{ http *HTTP }

// file has no ReadDir.
type file struct {
	fs.File
	io.Seeker
}

// Open opens a file, or a directory that has an index.
func (f files) Open(name string) (fs.File, error) {
	opened, info, err := f.http.openFile(name)
	if err == nil && info.IsDir() {
		_, err = f.http.root.Stat(path.Join(name, "index.html"))
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
