package service

import (
	_ "embed"
	"net/http"
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
		return http.FileServerFS(h.root.FS())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", pageType)
		_, _ = w.Write(page) // a client that has gone needs no answer
	})
	return mux
}
