package app

import (
	"net"
	"net/http"
)

// ServeNetHTTP answers every request with the same response as the other servers, byte for byte, by net/http. It returns when the
// listener is closed.
func ServeNetHTTP(ln net.Listener) error {
	srv := &http.Server{Handler: http.HandlerFunc(hello)}
	return srv.Serve(ln)
}

func hello(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Date"] = nil // which the other servers do not send
	h["Content-Type"] = textPlain
	_, _ = w.Write(body) // a client that is gone needs no answer
}

var (
	textPlain = []string{"text/plain"}
	body      = []byte("Hello, World!\n")
)
